package sim

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ocellus/ocellus/codec/dot11"
	"github.com/ocellus/ocellus/hal"
)

// AccessPoint is a network around a simulated radio.
type AccessPoint struct {
	// Network is what a scan tells of it. A zero BSSID gets one of its own, a zero Frequency is channel 1, a zero Signal
	// is -50 dBm, no Security is what the passphrase suits.
	hal.Network
	Hidden     bool // a scan and its beacons tell no name
	Passphrase hal.Passphrase
	// Fault is what joining it ends in although the credentials are right: hal.ErrRefused, ErrNoAddress, ErrNoGateway; nil
	// for none.
	Fault error
}

// How long a step of a simulated join takes when all is well. A step that fails is tried a second time.
const (
	scanTime      = 50 * time.Millisecond
	handshakeTime = 30 * time.Millisecond
	addressTime   = 30 * time.Millisecond
	gatewayTime   = 10 * time.Millisecond
	patience      = 300 * time.Millisecond // with a DHCP server or a gateway that says nothing
)

// Radio is a simulated radio, and what is around it. It begins alone: Raise puts networks on the air.
type Radio struct {
	monitor *Monitor
	turn    chan struct{} // capacity 1: whoever put something in does a call, the others wait
	done    chan struct{} // closed by Close
	once    sync.Once

	mu      sync.Mutex // guards the fields below
	country string
	points  []raised
	count   byte // of access points, ever
	joined  *hal.Credentials
	enrolls *enrollment // nil: nobody waits for a phone
	since   time.Time   // of joined
}

// raised is an access point and when it came.
type raised struct {
	AccessPoint
	at time.Time
}

// NewRadio makes a radio.
func NewRadio() *Radio {
	r := &Radio{turn: make(chan struct{}, 1), done: make(chan struct{})}
	r.monitor = newMonitor(r)
	return r
}

// Monitor returns the monitor of the same radio.
func (r *Radio) Monitor() *Monitor { return r.monitor }

// Raise puts an access point on the air, in place of one with the same BSSID, and returns it as it is there. Its
// beacons are heard every 102.4 ms.
func (r *Radio) Raise(a AccessPoint) AccessPoint {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.count++
	if a.BSSID == [6]byte{} {
		a.BSSID = [6]byte{2, 0, 0, 0, 1, r.count}
	}
	if a.Frequency == 0 {
		a.Frequency = dot11.Frequency(1)
	}
	if a.Signal == 0 {
		a.Signal = -50
	}
	if a.Security == hal.SecurityAny {
		a.Security = hal.SecurityWPA2
		if a.Passphrase == "" {
			a.Security = hal.SecurityOpen
		}
	}
	r.points = slices.DeleteFunc(r.points, func(p raised) bool { return p.BSSID == a.BSSID })
	r.points = append(r.points, raised{a, time.Now()})
	r.monitor.beacons(a)
	return a
}

// Lower takes all access points of a name off the air.
func (r *Radio) Lower(name hal.SSID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.points = slices.DeleteFunc(r.points, func(p raised) bool {
		if p.SSID == name {
			r.monitor.silence(p.BSSID)
		}
		return p.SSID == name
	})
}

// begin waits for the caller's turn. end gives it on.
func (r *Radio) begin(ctx context.Context) (end func(), err error) {
	select {
	case r.turn <- struct{}{}:
	case <-r.done:
		return nil, hal.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	end = func() { <-r.turn }
	if err := r.wait(ctx, 0); err != nil {
		end()
		return nil, err
	}
	return end, nil
}

// wait lets time pass.
func (r *Radio) wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-r.done:
		return hal.ErrClosed
	default:
	}
	select {
	case <-timer.C:
		return ctx.Err()
	case <-r.done:
		return hal.ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
}

// sends begins a call that sends something.
func (r *Radio) sends(ctx context.Context) (end func(), err error) {
	end, err = r.begin(ctx)
	if err != nil {
		return nil, err
	}
	if err = r.maySend(); err != nil {
		end()
	}
	return end, err
}

func (r *Radio) maySend() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.country == "" {
		return fmt.Errorf("none set: %w", hal.ErrCountry)
	}
	if r.monitor.open() {
		return fmt.Errorf("monitor open: %w", hal.ErrBusy)
	}
	return nil
}

// Country implements hal.Radio. The codes that ISO 3166-1 leaves to its users (AA, QM to QZ, XA to XZ, ZZ) are unknown.
func (r *Radio) Country(ctx context.Context, code string) error {
	end, err := r.begin(ctx)
	if err != nil {
		return fmt.Errorf("set country %q of radio sim: %w", code, err)
	}
	defer end()
	letters := len(code) == 2 && strings.Trim(code, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == ""
	if code != "00" && (!letters || code == "AA" || code == "ZZ" || code[0] == 'X' || code >= "QM" && code <= "QZ") {
		return fmt.Errorf("set country %q of radio sim: %w", code, hal.ErrCountry)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.country = code
	return nil
}

// Scan implements hal.Radio.
func (r *Radio) Scan(ctx context.Context) ([]hal.Network, error) {
	end, err := r.sends(ctx)
	if err == nil {
		defer end()
		err = r.wait(ctx, scanTime)
	}
	if err != nil {
		return nil, fmt.Errorf("scan by radio sim: %w", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	var list []hal.Network
	for _, p := range r.points {
		n := p.Network
		if p.Hidden {
			n.SSID = ""
		}
		list = append(list, n)
	}
	slices.SortStableFunc(list, func(a, b hal.Network) int { return b.Signal - a.Signal })
	return list, nil
}

// Join implements hal.Radio.
func (r *Radio) Join(ctx context.Context, c hal.Credentials, first func(error)) (hal.Link, error) {
	if err := c.Check(); err != nil {
		return hal.Link{}, fmt.Errorf("join by radio sim: %w", err)
	}
	end, err := r.sends(ctx)
	if err != nil {
		return hal.Link{}, fmt.Errorf("join %q by radio sim: %w", c.SSID, err)
	}
	defer end()
	r.remember(nil)
	if err := r.attempt(ctx, c, first); err != nil {
		return hal.Link{}, fmt.Errorf("join %q by radio sim: %w", c.SSID, err)
	}
	r.remember(&c)
	return r.link(), nil
}

func (r *Radio) remember(c *hal.Credentials) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.joined, r.since = c, time.Now()
}

// steps of a join: how long each takes, and how much longer until a failure is sure.
func steps() [4]struct{ takes, sure time.Duration } {
	return [4]struct{ takes, sure time.Duration }{{scanTime, scanTime}, {handshakeTime, handshakeTime},
		{addressTime, patience}, {gatewayTime, patience}}
}

// attempt goes through the steps.
func (r *Radio) attempt(ctx context.Context, c hal.Credentials, first func(error)) error {
	var sign error
	for i, s := range steps() {
		if err := r.wait(ctx, s.takes); err != nil {
			return because(sign, err)
		}
		at, why := r.trouble(c)
		if why == nil || at > i {
			continue
		}
		if sign == nil && first != nil {
			first(why)
		}
		sign = why
		if err := r.wait(ctx, steps()[at].sure); err != nil {
			return because(sign, err)
		}
		if at, why = r.trouble(c); why != nil && at <= i {
			return why
		}
	}
	return nil
}

// because adds why a join was likely to fail to what ended it before that was sure.
func because(sign, end error) error {
	if sign == nil {
		return end
	}
	return fmt.Errorf("%w (%w)", sign, end)
}

// trouble returns what keeps the radio from joining now, and at which step.
func (r *Radio) trouble(c hal.Credentials) (step int, why error) {
	p, known := r.strongest(c)
	switch {
	case !known:
		return 0, hal.ErrNoNetwork
	case !c.Suit(p.Security):
		return 0, &hal.SecurityError{Network: p.Security}
	case p.Fault == hal.ErrRefused:
		return 1, hal.ErrRefused
	case p.Passphrase != c.Passphrase:
		return 1, hal.ErrPassword
	case p.Fault == hal.ErrNoAddress:
		return 2, hal.ErrNoAddress
	case p.Fault != nil:
		return 3, p.Fault
	}
	return 0, nil
}

// strongest returns the access point that the radio would take, one that suits before one that does not.
func (r *Radio) strongest(c hal.Credentials) (best raised, known bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range r.points {
		if p.SSID != c.SSID || p.Hidden && !c.Hidden {
			continue
		}
		better := !known || p.Signal > best.Signal
		if fits := c.Suit(p.Security); known && fits != c.Suit(best.Security) {
			better = fits
		}
		if better {
			best, known = p, true
		}
	}
	return best, known
}

// Leave implements hal.Radio.
func (r *Radio) Leave(ctx context.Context) error {
	end, err := r.begin(ctx)
	if err != nil {
		return fmt.Errorf("leave by radio sim: %w", err)
	}
	defer end()
	r.remember(nil)
	return nil
}

// Link implements hal.Radio.
func (r *Radio) Link(ctx context.Context) (hal.Link, error) {
	end, err := r.begin(ctx)
	if err != nil {
		return hal.Link{}, fmt.Errorf("link of radio sim: %w", err)
	}
	defer end()
	return r.link(), nil
}

// link says how it stands now. A network that came back takes the time of all steps.
func (r *Radio) link() hal.Link {
	r.mu.Lock()
	c, since := r.joined, r.since
	r.mu.Unlock()
	if c == nil {
		return hal.Link{}
	}
	p, known := r.strongest(*c)
	step, why := r.trouble(*c)
	back := p.at.Add(scanTime + handshakeTime + addressTime + gatewayTime)
	if !known || why != nil && step < 2 || p.at.After(since) && time.Now().Before(back) {
		return hal.Link{}
	}
	l := hal.Link{Network: p.Network}
	if why != hal.ErrNoAddress { // of TEST-NET-1, RFC 5737
		l.Address, l.Gateway = netip.MustParsePrefix("192.0.2.2/24"), netip.MustParseAddr("192.0.2.1")
	}
	return l
}

// Close implements hal.Radio.
func (r *Radio) Close() error {
	r.once.Do(func() { close(r.done) })
	return nil
}
