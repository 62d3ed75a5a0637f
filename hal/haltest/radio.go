package haltest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ocellus/ocellus/hal"
)

// Network is an access point that the suite wants to have around the radio.
type Network struct {
	hal.Credentials // with which it is joined; Security is the network's own
	// Fault is what joining ends in although the credentials are right: hal.ErrRefused, ErrNoAddress, ErrNoGateway; nil
	// for none.
	Fault error
}

// RadioOptions say what the suite may do with a radio.
type RadioOptions struct {
	// Raise puts a network on the air in place of the one before, nil none; nil where nobody can.
	Raise func(n *Network) error
	// Skips names laws that are not to be checked, and why.
	Skips map[string]string
}

// Radio checks the law of hal.Radio.
func Radio(t *testing.T, open func(t *testing.T) hal.Radio, o RadioOptions) {
	t.Helper()
	run(t, radioLaws(o), open, o.Skips)
}

// RadioFindings checks what Radio checks.
func RadioFindings(ctx context.Context, open func() hal.Radio, o RadioOptions) []Finding {
	return findings(ctx, radioLaws(o), open, o.Skips)
}

// radioCheck is what a law of a radio checks.
type radioCheck = func(context.Context, hal.Radio) error

func radioLaws(o RadioOptions) []law[hal.Radio] {
	onAir := func(n *Network, check radioCheck) radioCheck {
		return func(ctx context.Context, r hal.Radio) error { return o.on(ctx, r, n, check) }
	}
	home := homeNetwork()
	laws := []law[hal.Radio]{
		{"nothing is sent before the country is known", countryFirst},
		{"an unknown country is refused", unknownCountry},
		{"a scan tells what is there", onAir(&home, scanTells)},
		{"credentials that no network can have change nothing", onAir(&home, refusesNonsense)},
		{"leave leaves", onAir(&home, leaveLeaves)},
		{"a scan works while joined", onAir(&home, scanWhileJoined)},
		{"a join leaves the network before", onAir(&home, joinLeavesOther)},
		{"a lost network is found again", onAir(&home, o.findsAgain)},
		{"join heeds its context", onAir(nil, joinHeedsContext)},
		{"calls wait for one another", onAir(&home, callsWait)},
		{"close ends calls", onAir(nil, closeEndsCalls)},
		{"close is idempotent", closeRadioTwice},
	}
	for _, n := range joinable() {
		laws = append(laws, law[hal.Radio]{"join " + n.name, onAir(&n.Network, joins(n.Network))})
	}
	for _, f := range failing() {
		laws = append(laws, law[hal.Radio]{"join tells " + f.name, onAir(f.there, fails(f.with, f.want))})
	}
	return laws
}

func homeNetwork() Network {
	return Network{Credentials: hal.Credentials{SSID: "HomeNet", Passphrase: "p@ssw0rd!", Security: hal.SecurityWPA2}}
}

// on opens the radio's life: the country is set, the network is there.
func (o RadioOptions) on(ctx context.Context, r hal.Radio, n *Network, check radioCheck) error {
	if o.Raise == nil {
		return errors.Join(skipf("nobody can put networks on the air"), r.Close())
	}
	err := o.Raise(n)
	if err == nil {
		err = r.Country(ctx, "DE")
	}
	if err == nil {
		err = check(ctx, r)
	}
	_ = r.Leave(ctx) // it may be closed
	return errors.Join(err, r.Close())
}

func countryFirst(ctx context.Context, r hal.Radio) error {
	_, scanned := r.Scan(ctx)
	_, joined := r.Join(ctx, homeNetwork().Credentials, nil)
	return errors.Join(wantError("Scan before Country", scanned, hal.ErrCountry),
		wantError("Join before Country", joined, hal.ErrCountry), r.Close())
}

func unknownCountry(ctx context.Context, r hal.Radio) error {
	faults := []error{r.Country(ctx, "00")}
	for _, code := range []string{"ZZ", "", "germany", "de", "D\n"} {
		faults = append(faults, wantError(fmt.Sprintf("Country %q", code), r.Country(ctx, code), hal.ErrCountry))
	}
	return errors.Join(append(faults, r.Country(ctx, "DE"), r.Country(ctx, "DE"), r.Close())...)
}

func scanTells(ctx context.Context, r hal.Radio) error {
	home := homeNetwork()
	list, err := r.Scan(ctx)
	if err != nil {
		return err
	}
	if !slices.IsSortedFunc(list, func(a, b hal.Network) int { return b.Signal - a.Signal }) {
		return fmt.Errorf("not sorted by signal: %+v", list)
	}
	return found(list, home)
}

// found says what is wrong with a scan that has to tell a network.
func found(list []hal.Network, want Network) error {
	for _, n := range list {
		if n.SSID != want.SSID {
			continue
		}
		if n.Security != want.Security || n.Frequency < 2400 || n.Signal >= 0 || n.BSSID == [6]byte{} {
			return fmt.Errorf("the scan tells %q as %+v", want.SSID, n)
		}
		return nil
	}
	return fmt.Errorf("the scan tells no %q: %+v", want.SSID, list)
}

// join joins and checks what the radio says of it.
func join(ctx context.Context, r hal.Radio, n Network) error {
	l, err := r.Join(ctx, n.Credentials, nil)
	if err != nil {
		return err
	}
	now, err := r.Link(ctx)
	if err != nil {
		return err
	}
	if l.SSID != n.SSID || l.Security != n.Security || l.BSSID == [6]byte{} || !l.Address.IsValid() ||
		!l.Gateway.IsValid() {
		return fmt.Errorf("Join of %+v returned %+v", n, l)
	}
	now.Signal = l.Signal
	if now != l {
		return fmt.Errorf("Link is %+v, Join returned %+v", now, l)
	}
	return nil
}

// nothing says what is wrong with a radio that has to be associated with nothing.
func nothing(ctx context.Context, r hal.Radio, when string) error {
	l, err := r.Link(ctx)
	if err == nil && l != (hal.Link{}) {
		err = fmt.Errorf("%s: the link is %+v, want none", when, l)
	}
	return err
}

type named struct {
	name string
	Network
}

// joinable are networks of each kind, with names and passphrases that went wrong elsewhere.
func joinable() []named {
	network := func(s hal.Security, name hal.SSID, p hal.Passphrase, hidden bool) Network {
		return Network{Credentials: hal.Credentials{SSID: name, Passphrase: p, Security: s, Hidden: hidden}}
	}
	raw := hal.Passphrase(strings.Repeat("0123456789abcdef", 4))
	long := hal.Passphrase(strings.Repeat(`a"b\c $(reboot)'`, 4)[:63])
	return []named{
		{"WPA2 with quotes", network(hal.SecurityWPA2, "$(reboot) \"'`\\", long, false)},
		{"WPA2 with a raw key", network(hal.SecurityWPA2, "raw", raw, false)},
		{"WPA3", network(hal.SecurityWPA3, "\U0001f4f7 caf\xe9\n\t\xff", `"quoted"`, false)},
		{"WPA2 and WPA3 in transition", network(hal.SecurityTransition, " ", "        ", false)},
		{"open", network(hal.SecurityOpen, "0123456789abcdef0123456789abcdef", "", false)},
		{"hidden", network(hal.SecurityWPA2, "nobody's", "p@ssw0rd!", true)},
	}
}

// joins wants the network to be joined, by its security and by whatever it offers.
func joins(n Network) radioCheck {
	return func(ctx context.Context, r hal.Radio) error {
		if err := join(ctx, r, n); err != nil {
			return err
		}
		any := n.Credentials
		any.Security = hal.SecurityAny
		l, err := r.Join(ctx, any, nil)
		if err == nil && l.Security != n.Security {
			err = fmt.Errorf("joined as %+v", l)
		}
		return err
	}
}

// failing are the joins that fail.
func failing() []struct {
	name  string
	there *Network
	with  hal.Credentials
	want  error
} {
	home, sae, open := homeNetwork(), homeNetwork(), homeNetwork()
	sae.Security = hal.SecurityWPA3
	open.Security, open.Passphrase = hal.SecurityOpen, ""
	faulty := func(n Network, fault error) *Network {
		n.Fault = fault
		return &n
	}
	// With a name of their own: they answer no question of ours, so that what is remembered of others would count.
	members, members3 := home, sae
	members.SSID, members3.SSID = "members", "members only"
	other := func(n Network, p hal.Passphrase) hal.Credentials {
		n.Passphrase = p
		return n.Credentials
	}
	either := home.Credentials
	either.Security = hal.SecurityAny
	return []struct {
		name  string
		there *Network
		with  hal.Credentials
		want  error
	}{
		{"that there is no such network", nil, home.Credentials, hal.ErrNoNetwork},
		{"a wrong WPA2 password", &home, other(home, "p@ssw0rd?"), hal.ErrPassword},
		{"a wrong WPA3 password", &sae, other(sae, "p@ssw0rd?"), hal.ErrPassword},
		{"that the access point refuses us", faulty(members, hal.ErrRefused), members.Credentials, hal.ErrRefused},
		{"that the access point refuses us by WPA3", faulty(members3, hal.ErrRefused), members3.Credentials, hal.ErrRefused},
		{"that there is no address", faulty(home, hal.ErrNoAddress), home.Credentials, hal.ErrNoAddress},
		{"that there is no gateway", faulty(home, hal.ErrNoGateway), home.Credentials, hal.ErrNoGateway},
		{"that WPA3 is wanted", &sae, home.Credentials, hal.ErrSecurity},
		{"that an open network has a protected one's name", &open, either, hal.ErrSecurity},
		{"that a protected network needs a password", &home, open.Credentials, hal.ErrSecurity},
	}
}

// fails wants a join to fail for a reason that it told before, once.
func fails(c hal.Credentials, want error) radioCheck {
	return func(ctx context.Context, r hal.Radio) error {
		var told []error
		l, err := r.Join(ctx, c, func(why error) { told = append(told, why) })
		faults := []error{wantError("Join", err, want), nothing(ctx, r, "after a failed Join")}
		if len(told) != 1 || !errors.Is(told[0], want) {
			faults = append(faults, fmt.Errorf("first was told %v, want once %v", told, want))
		}
		if l != (hal.Link{}) {
			faults = append(faults, fmt.Errorf("a failed Join returned %+v", l))
		}
		return errors.Join(faults...)
	}
}

func refusesNonsense(ctx context.Context, r hal.Radio) error {
	home := homeNetwork()
	if err := join(ctx, r, home); err != nil {
		return err
	}
	for _, c := range []hal.Credentials{{}, {SSID: "a\x00b"}, {SSID: "a", Passphrase: "short"},
		{SSID: hal.SSID(strings.Repeat("a", 33))}, {SSID: "a", Passphrase: "line\nbreak"}} {
		err := within(promptly, "Join", func() error {
			_, err := r.Join(ctx, c, nil)
			return err
		})
		if err == nil {
			return fmt.Errorf("Join took %+v", c)
		}
	}
	l, err := r.Link(ctx)
	if err == nil && l.SSID != home.SSID {
		err = fmt.Errorf("afterwards the link is %+v", l)
	}
	return err
}

func leaveLeaves(ctx context.Context, r hal.Radio) error {
	if err := errors.Join(r.Leave(ctx), join(ctx, r, homeNetwork()), r.Leave(ctx)); err != nil {
		return err
	}
	return errors.Join(nothing(ctx, r, "after Leave"), r.Leave(ctx))
}

func scanWhileJoined(ctx context.Context, r hal.Radio) error {
	home := homeNetwork()
	if err := join(ctx, r, home); err != nil {
		return err
	}
	list, err := r.Scan(ctx)
	if err != nil {
		return err
	}
	l, err := r.Link(ctx)
	if err == nil && l.SSID != home.SSID {
		err = fmt.Errorf("after the scan the link is %+v", l)
	}
	return errors.Join(found(list, home), err)
}

func joinLeavesOther(ctx context.Context, r hal.Radio) error {
	if err := join(ctx, r, homeNetwork()); err != nil {
		return err
	}
	_, err := r.Join(ctx, hal.Credentials{SSID: "elsewhere", Passphrase: "p@ssw0rd!"}, nil)
	return errors.Join(wantError("Join of what is not there", err, hal.ErrNoNetwork), nothing(ctx, r, "after it"))
}

func (o RadioOptions) findsAgain(ctx context.Context, r hal.Radio) error {
	home := homeNetwork()
	if err := join(ctx, r, home); err != nil {
		return err
	}
	until := func(what string, good func(hal.Link) bool) error {
		for pause := 10 * time.Millisecond; ; pause = min(2*pause, time.Second) {
			l, err := r.Link(ctx)
			if err != nil || good(l) {
				return err
			}
			select {
			case <-time.After(pause):
			case <-ctx.Done():
				return fmt.Errorf("%s: the link is %+v", what, l)
			}
		}
	}
	if err := o.Raise(nil); err != nil {
		return err
	}
	if err := until("the network has gone", func(l hal.Link) bool { return l == hal.Link{} }); err != nil {
		return err
	}
	if err := o.Raise(&home); err != nil {
		return err
	}
	return until("the network is back", func(l hal.Link) bool { return l.SSID == home.SSID && l.Address.IsValid() })
}

func joinHeedsContext(ctx context.Context, r hal.Radio) error {
	short, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
	defer cancel()
	err := within(promptly, "Join whose context ended", func() error {
		_, err := r.Join(short, homeNetwork().Credentials, nil)
		return err
	})
	return errors.Join(wantError("Join whose context ended", err, context.DeadlineExceeded), nothing(ctx, r, "after it"))
}

func callsWait(ctx context.Context, r hal.Radio) error {
	calls := []func() error{
		func() error { return join(ctx, r, homeNetwork()) },
		func() error { _, err := r.Scan(ctx); return err },
		func() error { _, err := r.Link(ctx); return err },
		func() error { return r.Country(ctx, "DE") },
	}
	ended := make(chan error, len(calls)) // one each
	for _, call := range calls {
		go func() { ended <- call() }()
	}
	var faults []error
	for range calls {
		faults = append(faults, <-ended)
	}
	return errors.Join(faults...)
}

func closeEndsCalls(ctx context.Context, r hal.Radio) error {
	ended := make(chan error, 2) // one each
	told := make(chan struct{})
	go func() {
		_, err := r.Join(ctx, homeNetwork().Credentials, func(error) { close(told) })
		ended <- err
	}()
	<-told // so it is under way
	go func() {
		_, err := r.Scan(ctx)
		ended <- err
	}()
	if err := r.Close(); err != nil {
		return err
	}
	for range cap(ended) {
		err := within(unblockWithin, "a call after Close", func() error { return <-ended })
		if err := wantError("a call that Close ends", err, hal.ErrClosed); err != nil {
			return err
		}
	}
	return nil
}

func closeRadioTwice(ctx context.Context, r hal.Radio) error {
	if err := errors.Join(r.Close(), r.Close()); err != nil {
		return fmt.Errorf("Close: %w", err)
	}
	_, scanned := r.Scan(ctx)
	_, joined := r.Join(ctx, homeNetwork().Credentials, nil)
	_, linked := r.Link(ctx)
	return errors.Join(wantError("Scan after Close", scanned, hal.ErrClosed),
		wantError("Join after Close", joined, hal.ErrClosed), wantError("Link after Close", linked, hal.ErrClosed), wantError("Leave after Close", r.Leave(ctx), hal.ErrClosed),
		wantError("Country after Close", r.Country(ctx, "DE"), hal.ErrClosed))
}
