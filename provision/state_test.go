package provision

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/ocellus/ocellus/codec/qrtext"
	"github.com/ocellus/ocellus/hal"
)

func allStates() []State { return []State{Unprovisioned, Listening, Joining, Checking, Provisioned} }

// TestRows: one row an event and state, every state is reached and left, and what no row has is refused.
func TestRows(t *testing.T) {
	t.Parallel()
	events := map[event]bool{}
	for _, r := range rows() {
		events[r.on] = true
	}
	for _, s := range allStates() {
		into, out := 0, 0
		for _, r := range rows() {
			if r.to == s {
				into++
			}
			if slices.Contains(r.from, s) {
				out++
			}
		}
		if into == 0 || out == 0 {
			t.Errorf("%s: %d rows lead there, %d away", s, into, out)
		}
		for on := range events {
			n := 0
			for _, r := range rows() {
				if r.on == on && slices.Contains(r.from, s) {
					n++
				}
			}
			to, err := next(s, on)
			if n > 1 || n == 0 != (err != nil) || n == 1 && !slices.Contains(allStates(), to) {
				t.Errorf("%s on %s: %d rows, got %s, %v", s, on, n, to, err)
			}
		}
	}
}

// TestRecovered: whatever is stored, one step leads to a state to go on by.
func TestRecovered(t *testing.T) {
	t.Parallel()
	n := stored(wpa("HomeNet", "p@ssw0rd!"), "")
	for _, c := range []struct {
		m    memory
		want event
	}{
		{memory{State: Unprovisioned}, ""},
		{memory{State: Listening}, ""},
		{memory{State: Listening, Network: n}, ""},
		{memory{State: Joining, Trial: n}, failed},
		{memory{State: Joining, Trial: n, Network: n}, back},
		{memory{State: Checking, Trial: n}, failed},
		{memory{State: Checking, Trial: n, Network: n}, back},
		{memory{State: Provisioned, Network: n}, ""},
		{memory{State: Provisioned}, forgotten},
	} {
		got := recovered(c.m)
		if got != c.want {
			t.Errorf("%s, network %v: got %q, want %q", c.m.State, c.m.Network != nil, got, c.want)
		}
		if got != "" {
			if _, err := next(c.m.State, got); err != nil {
				t.Error(err)
			}
		}
	}
}

// TestNewerFile: what a newer release stored is no reason not to start, and keeps what this one does not know.
func TestNewerFile(t *testing.T) {
	t.Parallel()
	const open = `"network": {"ssid": "YQ==", "security": "open"}`
	for name, c := range map[string]struct {
		file string
		want State
	}{
		"a field":    {`{"version": 9, "state": "provisioned", ` + open + `, "colour": 1}`, Provisioned},
		"a state":    {`{"version": 9, "state": "dancing", ` + open + `}`, Provisioned},
		"no network": {`{"version": 9, "state": "dancing"}`, Unprovisioned},
		"a security": {`{"version": 9, "state": "provisioned", "network": {"ssid": "YQ==", "security": "owe"}}`, Provisioned},
		"half":       {`{"version": 1, "state": "prov`, Unprovisioned},
		"nothing":    {``, Unprovisioned},
		"a trial":    {`{"version": 1, "state": "joining", "trial": {"ssid": "YQ==", "security": "open"}}`, Listening},
	} {
		w := newWorld(t)
		if err := w.state().Store([]byte(c.file)); err != nil {
			t.Fatal(err)
		}
		e, err := Open(w.o)
		if err == nil {
			err = e.recover()
		}
		if err != nil || e.Status().State != c.want {
			t.Errorf("%s: got %+v, %v, want %s", name, e.Status(), err, c.want)
		}
	}
}

// TestGolden pins the file.
func TestGolden(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	e, err := Open(w.o)
	if err != nil {
		t.Fatal(err)
	}
	n := qrtext.Network{SSID: "Home\xffNet", Password: "p@ssw0rd!", Security: qrtext.SAE, Hidden: true}
	for _, step := range []error{
		e.step(listen, nil), e.begin(Offer{Networks: []qrtext.Network{n}, Country: "DE"}), e.step(joined, nil),
		e.step(reached, func(m *memory) { m.Network, m.Trial = m.Trial, nil }),
		e.begin(Offer{Networks: []qrtext.Network{{SSID: "Cafe", Security: qrtext.Open}}}),
	} {
		if step != nil {
			t.Fatal(step)
		}
	}
	const golden = `{
  "version": 1,
  "network": {
    "country": "DE",
    "hidden": true,
    "password": "cEBzc3cwcmQh",
    "security": "sae",
    "ssid": "SG9tZf9OZXQ="
  },
  "state": "joining",
  "trial": {
    "ssid": "Q2FmZQ==",
    "security": "open"
  }
}
`
	if raw, err := w.state().Load(); err != nil || string(raw) != golden {
		t.Errorf("got\n%s%v", raw, err)
	}
	if printed := fmt.Sprintf("%v %+v", e.Status(), hal.Passphrase("x")); strings.Contains(printed, "p@ss") {
		t.Errorf("printed %s", printed)
	}
}

func TestPattern(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		v    view
		want hal.Pattern
	}{
		{view{state: Unprovisioned, claimed: true}, hal.Ready},
		{view{state: Listening}, hal.Listening},
		{view{state: Listening, hinted: true, failing: true, why: BadPassword}, hal.Unread},
		{view{state: Listening, failing: true, why: BadPassword}, hal.BadPassword},
		{view{state: Listening, failing: true, why: OtherCamera}, hal.NotJoined},
		{view{state: Joining}, hal.Joining},
		{view{state: Joining, failing: true, why: NoNetwork}, hal.NoNetwork},
		{view{state: Checking}, hal.Joining},
		{view{state: Checking, failing: true, why: NoGateway}, hal.NoWay},
		{view{state: Provisioned}, hal.Joining},
		{view{state: Provisioned, failing: true, why: NoAddress, claimed: true}, hal.NoAddress},
		{view{state: Provisioned, linked: true}, hal.Unclaimed},
		{view{state: Provisioned, linked: true, hinted: true}, hal.Unread},
		{view{state: Provisioned, linked: true, claimed: true, hinted: true}, hal.Ready},
	} {
		if got := c.v.pattern(); got != c.want {
			t.Errorf("%+v: got %s, want %s", c.v, got, c.want)
		}
	}
}

func TestReasonOf(t *testing.T) {
	t.Parallel()
	for err, want := range map[error]Reason{
		hal.ErrNoNetwork: NoNetwork, hal.ErrPassword: BadPassword, hal.ErrNoAddress: NoAddress, hal.ErrNoGateway: NoGateway,
		hal.ErrRefused: Refused, hal.ErrSecurity: Security, hal.ErrCountry: Country, ErrUnreached: Unreached,
		context.DeadlineExceeded: Timeout, errors.New("smoke"): RadioFault, hal.ErrClosed: RadioFault,
	} {
		if got := reasonOf(fmt.Errorf("join: %w", err)); got != want || got.Text() == "" {
			t.Errorf("%v: got %q, want %q; %q", err, got, want, got.Text())
		}
	}
	if reasonOf(nil) != NoReason || NoReason.Text() != "" {
		t.Error("no error has a reason")
	}
}
