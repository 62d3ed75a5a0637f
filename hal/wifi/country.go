package wifi

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/ocellus/ocellus/hal"
)

// countryPatience is for the kernel. One that lacks a country asks user space for it, gives up after 3.142 s and takes
// no other meanwhile (net/wireless/reg.c). If a network ends in that time, joined or of an access point of its own, it
// forgets to give up, and never takes a country again: so it has to be done with one before it is told the next.
const countryPatience = 4 * time.Second

// awayPatience is for a domain that every kernel has.
const awayPatience = time.Second

// countryTick is for looks without an event: wpa_supplicant drops some.
const countryTick = 100 * time.Millisecond

// lawmaker is wpa_supplicant, which tells the kernel a country, and the kernel, which follows or not.
type lawmaker struct {
	*supplicant
	domain   func() (string, error) // the country in force
	patience time.Duration          // countryPatience
}

// Country implements hal.Radio.
func (r *Radio) Country(ctx context.Context, code string) error {
	if err := r.setCountry(ctx, code); err != nil {
		return fmt.Errorf("set country %q of %s: %w", code, r.o.Interface, err)
	}
	return nil
}

func (r *Radio) setCountry(ctx context.Context, code string) error {
	letter := func(b byte) bool { return b >= 'A' && b <= 'Z' }
	c, err := r.begin(ctx)
	if err != nil {
		return err
	}
	defer c.end()
	if code != "00" && (len(code) != 2 || !letter(code[0]) || !letter(code[1])) {
		return hal.ErrCountry
	}
	s, err := connect(r.control)
	if err != nil {
		return err
	}
	defer s.close()
	if err := s.attach(); err != nil {
		return err
	}
	err = lawmaker{s, regulatoryDomain, countryPatience}.set(c, code)
	if err == nil {
		r.country = code
	}
	return err
}

// set brings the kernel into a country. The way of another one is for a kernel that was not told, or that may keep to
// its network's: one that was told and does not follow lacks the country.
func (l lawmaker) set(c call, code string) error {
	now, err := l.domain()
	if err != nil {
		return err
	}
	before, err := l.ask("GET country")
	if err != nil {
		return err
	}
	if strings.TrimSpace(before) == code && now != code {
		return l.insist(c, code)
	}
	if err := l.demand("SET country", code); err != nil {
		return err
	}
	err = l.moved(c, code, l.patience)
	if errors.Is(err, hal.ErrCountry) && l.associated() {
		return l.insist(c, code)
	}
	return err
}

// insist asks for a country by the way of another one: wpa_supplicant does not tell the kernel what it told it last,
// and somebody else may have told it something since. A kernel that follows neither while a network is joined keeps to
// the country that the network tells (IEEE 802.11-2020 9.4.2.8), and to ours as far as that allows.
func (l lawmaker) insist(c call, code string) error {
	other := elsewhere(code)
	if err := l.demand("SET country", other); err != nil {
		return err
	}
	away := l.moved(c, other, min(l.patience, awayPatience))
	if away != nil && !errors.Is(away, hal.ErrCountry) {
		return away
	}
	if err := l.demand("SET country", code); err != nil {
		return err
	}
	err := l.moved(c, code, l.patience)
	if away != nil && errors.Is(err, hal.ErrCountry) && l.associated() {
		return nil
	}
	return err
}

// elsewhere is another domain than code.
func elsewhere(code string) string {
	if code == "00" {
		return "US"
	}
	return "00"
}

// moved waits until the kernel is in a regulatory domain.
func (l lawmaker) moved(c call, code string, patience time.Duration) error {
	tick := time.NewTicker(countryTick)
	defer tick.Stop()
	for begin := time.Now(); ; {
		late := time.Since(begin) > patience // before the look: the last one comes after the end
		now, err := l.domain()
		if err != nil || now == code {
			return err
		}
		if late {
			return fmt.Errorf("the kernel stays in %q: %w", now, hal.ErrCountry)
		}
		select {
		case e, ok := <-l.news:
			if !ok || e.name == eventTerminating {
				return errGone
			}
		case <-tick.C:
		case <-c.Done():
			return c.cause()
		}
	}
}

// associated reports whether wpa_supplicant is in a network.
func (s *supplicant) associated() bool {
	answer, err := s.ask("STATUS")
	return err == nil && parseValues(answer)["wpa_state"] == stateCompleted
}
