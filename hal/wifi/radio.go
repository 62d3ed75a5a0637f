// Package wifi is a Wi-Fi station and a monitor on Linux.
//
// The station is wpa_supplicant's: it is spoken to over its control socket (wpa_ctrl.h), which needs no right but that
// to open the socket. Names and raw keys go there as hexadecimal digits, so that no byte of them means anything.
// Addresses are the board's own DHCP client's: the package watches for them (rtnetlink). Country and channels are read
// from the kernel (nl80211). The monitor is in monitor.go.
package wifi

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"github.com/ocellus/ocellus/hal"
)

// Options say which radio it is.
type Options struct {
	Interface string // of the station, as the kernel names it: wlan0
	Control   string // folder of wpa_supplicant's sockets; empty: /run/wpa_supplicant
	Ear       string // socket of the service that hears (Serve); empty: this process has the right to hear by itself
}

// Radio is a Wi-Fi station. It implements hal.Radio. Nothing of it runs between two calls but wpa_supplicant.
type Radio struct {
	o       Options
	control string
	turn    chan struct{}   // capacity 1: whoever put something in does a call, the others wait
	life    context.Context // ends with Close
	kill    func()

	// Whoever has the turn reads and writes these.
	country string
	joined  *hal.Credentials // nil for none
	air     *air             // open, nil for none
	// agreeing is since when Link has found a handshake without a sign of the gateway, call by call; zero for none.
	agreeing time.Time
}

// New names a radio and its monitor; nothing is opened before they are called.
func New(o Options) (*Radio, *Monitor) {
	if o.Control == "" {
		o.Control = "/run/wpa_supplicant"
	}
	r := &Radio{o: o, control: filepath.Join(o.Control, o.Interface), turn: make(chan struct{}, 1)}
	r.life, r.kill = context.WithCancel(context.Background())
	return r, &Monitor{radio: r}
}

// call is one call of the radio: its turn, and a context that ends with the radio.
type call struct {
	context.Context
	radio *Radio
	end   func()
}

// begin waits for the caller's turn.
func (r *Radio) begin(ctx context.Context) (call, error) {
	inner, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(r.life, cancel)
	c := call{inner, r, func() { stop(); cancel() }}
	if c.Err() == nil && r.life.Err() == nil {
		select {
		case r.turn <- struct{}{}:
			c.end = func() { stop(); cancel(); <-r.turn }
			return c, nil
		case <-c.Done():
		}
	}
	err := c.cause()
	c.end()
	return call{}, err
}

// cause says why a call's context has ended.
func (c call) cause() error {
	if c.radio.life.Err() != nil {
		return hal.ErrClosed
	}
	return c.Err()
}

// sending begins a call that sends, and reaches wpa_supplicant with its events.
func (r *Radio) sending(ctx context.Context) (call, *supplicant, error) {
	c, err := r.begin(ctx)
	if err != nil {
		return call{}, nil, err
	}
	s, err := r.reach(c)
	if err != nil {
		c.end()
		return call{}, nil, err
	}
	return c, s, nil
}

func (r *Radio) reach(c call) (*supplicant, error) {
	if r.country == "" {
		return nil, fmt.Errorf("none set: %w", hal.ErrCountry)
	}
	if r.air != nil {
		return nil, fmt.Errorf("monitor open: %w", hal.ErrBusy)
	}
	s, err := connect(r.control)
	if err != nil {
		return nil, err
	}
	err = s.attach()
	if err == nil {
		err = s.ready(c)
	}
	if err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// readyPatience is for wpa_supplicant to notice that its interface is up again after the monitor.
const readyPatience = 3 * time.Second

// ready waits until wpa_supplicant has its interface.
func (s *supplicant) ready(c call) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for begin := time.Now(); ; {
		answer, err := s.ask("STATUS")
		if err != nil || parseValues(answer)["wpa_state"] != "INTERFACE_DISABLED" {
			return err
		}
		if time.Since(begin) > readyPatience {
			return fmt.Errorf("the interface is down: %w", hal.ErrBusy)
		}
		select {
		case <-tick.C:
		case <-s.news:
		case <-c.Done():
			return c.cause()
		}
	}
}

// errGone: wpa_supplicant ended during a call.
var errGone = fmt.Errorf("wpa_supplicant has gone: %w", hal.ErrClosed)

// Scan implements hal.Radio.
func (r *Radio) Scan(ctx context.Context) ([]hal.Network, error) {
	list, err := r.scan(ctx)
	if err != nil {
		return nil, fmt.Errorf("scan by %s: %w", r.o.Interface, err)
	}
	return list, nil
}

func (r *Radio) scan(ctx context.Context) ([]hal.Network, error) {
	c, s, err := r.sending(ctx)
	if err != nil {
		return nil, err
	}
	defer c.end()
	defer s.close()
	// What it remembers of before is not there any more, or will be found again.
	if err := s.demand("BSS_FLUSH 0"); err != nil {
		return nil, err
	}
	entries, err := r.sweep(c, s, actively)
	if err == nil && len(entries) == 0 {
		entries, err = r.sweep(c, s, passively)
	}
	if err != nil {
		return nil, err
	}
	list := make([]hal.Network, 0, len(entries))
	for _, e := range entries {
		list = append(list, e.Network)
	}
	slices.SortStableFunc(list, func(a, b hal.Network) int { return b.Signal - a.Signal })
	return list, nil
}

// How a scan looks. On a channel it asks, and waits for less than 60 ms: an access point that is slow, or whose answer
// was lost, is not found. Or it waits for a beacon, of which there are ten in a second, for 110 ms.
const (
	actively  = "SCAN TYPE=ONLY only_new=1"
	passively = "SCAN TYPE=ONLY only_new=1 passive=1"
)

// sweep goes over all channels once, and returns what is there. A scan that is under way, which wpa_supplicant began to
// find a lost network, is as good as ours.
func (r *Radio) sweep(c call, s *supplicant, how string) ([]entry, error) {
	if err := r.swept(c, s, how); err != nil {
		return nil, err
	}
	return s.entries()
}

// swept begins a scan and waits for its end.
func (r *Radio) swept(c call, s *supplicant, how string) error {
	begin := func() error {
		answer, err := s.ask(how)
		if err == nil && answer != "OK\n" && answer != "FAIL-BUSY\n" {
			err = fmt.Errorf("SCAN: %w: %q", errFail, answer)
		}
		return err
	}
	if err := begin(); err != nil {
		return err
	}
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	for failures := 0; ; {
		select {
		case e, ok := <-s.news:
			switch {
			case !ok, e.name == eventTerminating:
				return errGone
			case e.name == eventScanResults:
				return nil
			case e.name == eventScanFailed:
				if failures++; failures > 3 {
					return fmt.Errorf("the driver does not scan: error %s: %w", e.values["ret"], hal.ErrBusy)
				}
			}
		case <-beat.C:
			if failures > 0 {
				if err := begin(); err != nil {
					return err
				}
			}
			if err := s.alive(); err != nil {
				return err
			}
		case <-c.Done():
			return c.cause()
		}
	}
}

// heartbeat is how often a waiting call asks whether wpa_supplicant is still there: its end is no event.
const heartbeat = time.Second

func (s *supplicant) alive() error {
	_, err := s.ask("PING")
	return err
}

// entryMask wants id, BSSID, frequency, level, flags, SSID and the line behind each (WPA_BSS_MASK_ of wpa_ctrl.h).
const entryMask = "MASK=0x21887"

// maxEntries bounds the list of access points.
const maxEntries = 1024

// entries returns the list of access points. An answer holds as many as fit, the next goes on behind them.
func (s *supplicant) entries() ([]entry, error) {
	var all []entry
	for next := 0; len(all) < maxEntries; {
		answer, err := s.ask(fmt.Sprintf("BSS RANGE=%d- %s", next, entryMask))
		if err != nil {
			return nil, err
		}
		list := parseEntries(answer)
		if len(list) == 0 || list[len(list)-1].id < next {
			break
		}
		all = append(all, list...)
		next = list[len(list)-1].id + 1
	}
	return all, nil
}

// Leave implements hal.Radio.
func (r *Radio) Leave(ctx context.Context) error {
	c, err := r.begin(ctx)
	if err == nil {
		defer c.end()
		r.joined = nil
		err = r.forget()
	}
	if err != nil {
		return fmt.Errorf("leave by %s: %w", r.o.Interface, err)
	}
	return nil
}

// forget makes wpa_supplicant know no network. It has a connection of its own: what it does is done in every state.
func (r *Radio) forget() error {
	s, err := connect(r.control)
	if err != nil {
		return err
	}
	defer s.close()
	return s.demand("REMOVE_NETWORK all")
}

// Link implements hal.Radio.
func (r *Radio) Link(ctx context.Context) (hal.Link, error) {
	var l hal.Link
	c, err := r.begin(ctx)
	if err == nil {
		defer c.end()
		l, err = r.link()
	}
	if err != nil {
		return hal.Link{}, fmt.Errorf("link of %s: %w", r.o.Interface, err)
	}
	return l, nil
}

func (r *Radio) link() (hal.Link, error) {
	s, err := connect(r.control)
	if err != nil {
		return hal.Link{}, err
	}
	defer s.close()
	answer, err := s.ask("STATUS")
	if err != nil {
		return hal.Link{}, err
	}
	status := parseValues(answer)
	switch status["wpa_state"] {
	case stateCompleted:
		r.agreeing = time.Time{}
	case stateHandshake:
		if deaf, err := r.deaf(s); deaf {
			return hal.Link{}, err
		}
	default:
		r.agreeing = time.Time{}
		return hal.Link{}, r.remind(s)
	}
	if answer, err = s.ask("BSS CURRENT", entryMask); err != nil {
		return hal.Link{}, err
	}
	list := parseEntries(answer)
	if len(list) == 0 { // lost between the two questions
		return hal.Link{}, nil
	}
	l := hal.Link{Network: list[0].Network}
	if name, err := unescape(status["ssid"]); err == nil { // a hidden network's entry may have none
		l.SSID = hal.SSID(name)
	}
	index, err := indexOf(r.o.Interface)
	if err != nil {
		return hal.Link{}, err
	}
	w, err := look(index, false)
	l.Address, l.Gateway = w.address, w.gateway
	return l, err
}

// remind tells wpa_supplicant the network that was joined, if it knows none: it was started again, and is to go on
// looking.
func (r *Radio) remind(s *supplicant) error {
	if r.joined == nil {
		return nil
	}
	err := s.free()
	if err == nil {
		_, err = s.choose(*r.joined)
	}
	if errors.Is(err, hal.ErrBusy) { // it knows the network
		return nil
	}
	return err
}

// Close implements hal.Radio. A network that was joined stays joined: wpa_supplicant lives on, and the agent may be
// about to start again.
func (r *Radio) Close() error {
	r.kill()
	return nil
}
