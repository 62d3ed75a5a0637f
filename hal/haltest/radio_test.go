package haltest

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ocellus/ocellus/hal"
)

// fakeRadio keeps the law, unless its flaw says otherwise. It is its own monitor.
type fakeRadio struct {
	flaw string
	turn chan struct{}
	done chan struct{}
	once sync.Once

	mu      sync.Mutex // guards the rest
	country bool
	there   *Network
	joined  *Network
	air     *fakeAir
}

func newFakeRadio(flaw string) *fakeRadio {
	return &fakeRadio{flaw: flaw, turn: make(chan struct{}, 1), done: make(chan struct{})}
}

func (r *fakeRadio) raise(n *Network) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.there = n; r.flaw == "forgets a lost network" {
		r.joined = nil
	}
	return nil
}

// begin is the start of every call.
func (r *fakeRadio) begin(ctx context.Context) (func(), error) {
	select {
	case <-r.done:
		return nil, hal.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	default:
	}
	select {
	case r.turn <- struct{}{}:
		return func() { <-r.turn }, nil
	case <-r.done:
		return nil, hal.ErrClosed
	}
}

func (r *fakeRadio) Country(ctx context.Context, code string) error {
	end, err := r.begin(ctx)
	if err != nil {
		return err
	}
	defer end()
	if code != "DE" && code != "00" && r.flaw != "takes any country" {
		return hal.ErrCountry
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.country = true
	return nil
}

func (r *fakeRadio) maySend() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case !r.country && r.flaw != "sends at once":
		return hal.ErrCountry
	case r.air != nil && r.flaw != "joins while it hears":
		return hal.ErrBusy
	}
	return nil
}

func (n Network) asSeen() hal.Network {
	return hal.Network{SSID: n.SSID, BSSID: [6]byte{2}, Frequency: 2437, Signal: -40, Security: n.Security}
}

func (n Network) asLink() hal.Link {
	return hal.Link{Network: n.asSeen(), Address: netip.MustParsePrefix("192.0.2.2/24"),
		Gateway: netip.MustParseAddr("192.0.2.1")}
}

func (r *fakeRadio) Scan(ctx context.Context) ([]hal.Network, error) {
	end, err := r.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer end()
	if err := r.maySend(); err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.flaw == "loses its network by a scan" {
		r.joined = nil
	}
	if r.there == nil {
		return nil, nil
	}
	list := []hal.Network{r.there.asSeen(), {BSSID: [6]byte{4}, Frequency: 5180, Signal: -80, Security: hal.SecurityOpen}}
	switch r.flaw {
	case "sorts by nothing":
		slices.Reverse(list)
	case "knows no security":
		list[0].Security = hal.SecurityOther
	case "sees nothing":
		list = list[1:]
	}
	return list, nil
}

func (r *fakeRadio) Join(ctx context.Context, c hal.Credentials, first func(error)) (hal.Link, error) {
	if err := c.Check(); err != nil && r.flaw != "takes nonsense" {
		return hal.Link{}, err
	}
	end, err := r.begin(ctx)
	if err != nil {
		return hal.Link{}, err
	}
	defer end()
	if err := r.maySend(); err != nil {
		return hal.Link{}, err
	}
	r.mu.Lock()
	there := r.there
	if r.flaw != "keeps the network before" {
		r.joined = nil
	}
	r.mu.Unlock()
	if why := r.trouble(there, c); why != nil {
		return hal.Link{}, r.fail(ctx, why, first)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.joined = there; r.flaw == "goes on" {
		r.joined = nil
	}
	return there.asLink(), nil
}

func (r *fakeRadio) trouble(there *Network, c hal.Credentials) error {
	switch {
	case there == nil || there.SSID != c.SSID:
		return hal.ErrNoNetwork
	case !c.Suit(there.Security) && r.flaw != "joins what is open":
		return hal.ErrSecurity
	case there.Fault != nil:
		return there.Fault
	case c.Passphrase != there.Passphrase && r.flaw != "joins what is open":
		return hal.ErrPassword
	}
	return nil
}

// fail tells a first sign, and a second later what is sure.
func (r *fakeRadio) fail(ctx context.Context, why error, first func(error)) error {
	if r.flaw == "knows one reason" {
		why = hal.ErrNoNetwork
	}
	times := map[string]int{"tells nothing": 0, "tells twice": 2}
	n, odd := times[r.flaw]
	if !odd {
		n = 1
	}
	for ; first != nil && n > 0; n-- {
		first(why)
	}
	done, ended := (<-chan struct{})(r.done), ctx.Done()
	switch r.flaw {
	case "deaf to close":
		done = nil
	case "deaf to context":
		ended = nil
	}
	select {
	case <-time.After(time.Minute):
		return why
	case <-done:
		return hal.ErrClosed
	case <-ended:
		return fmt.Errorf("%w (%w)", why, ctx.Err())
	}
}

func (r *fakeRadio) Leave(ctx context.Context) error {
	end, err := r.begin(ctx)
	if err != nil {
		return err
	}
	defer end()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.flaw != "never leaves" {
		r.joined = nil
	}
	return nil
}

func (r *fakeRadio) Link(ctx context.Context) (hal.Link, error) {
	end, err := r.begin(ctx)
	if err != nil {
		return hal.Link{}, err
	}
	defer end()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.joined == nil || r.there == nil || r.joined.SSID != r.there.SSID {
		return hal.Link{}, nil
	}
	return r.joined.asLink(), nil
}

func (r *fakeRadio) Close() error {
	again := true
	r.once.Do(func() { close(r.done); again = false })
	if again && r.flaw == "close once" {
		return errors.New("closed already")
	}
	return nil
}

func TestSuiteCatchesRadios(t *testing.T) {
	for _, tt := range []struct{ flaw, law string }{
		{"", ""},
		{"sends at once", "nothing is sent before the country is known"},
		{"takes any country", "an unknown country is refused"},
		{"sorts by nothing", "a scan tells what is there"},
		{"knows no security", "a scan tells what is there"},
		{"sees nothing", "a scan tells what is there"},
		{"takes nonsense", "credentials that no network can have change nothing"},
		{"never leaves", "leave leaves"},
		{"loses its network by a scan", "a scan works while joined"},
		{"keeps the network before", "a join leaves the network before"},
		{"forgets a lost network", "a lost network is found again"},
		{"deaf to context", "join heeds its context"},
		{"deaf to close", "close ends calls"},
		{"close once", "close is idempotent"},
		{"goes on", "join WPA3"},
		{"joins what is open", "join tells that an open network has a protected one's name"},
		{"joins what is open", "join tells a wrong WPA2 password"},
		{"knows one reason", "join tells that there is no gateway"},
		{"tells nothing", "join tells that there is no such network"},
		{"tells twice", "join tells that there is no such network"},
	} {
		t.Run(tt.flaw+" "+tt.law, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var r *fakeRadio
				open := func() hal.Radio {
					r = newFakeRadio(tt.flaw)
					return r
				}
				laws := only(radioLaws(RadioOptions{Raise: func(n *Network) error { return r.raise(n) }}), tt.law)
				caught(t, findings(t.Context(), laws, open, nil), tt.law)
			})
		})
	}
}

// caught wants the law to be among the broken ones, or none to be for none.
func caught(t *testing.T, found []Finding, law string) {
	t.Helper()
	laws := broken(found)
	if law == "" && len(laws) > 0 {
		t.Errorf("a lawful one breaks %v", laws)
	}
	if law != "" && !slices.Contains(laws, law) {
		t.Errorf("broken laws %v, want %q", laws, law)
	}
}
