package wifi

import (
	"errors"
	"sync/atomic"
	"testing"
	"time"
)

// TestHandshakeWithoutEnd: a radio whose wpa_supplicant stays in a handshake, and whose gateway does not answer,
// associates anew, and not before the access point must have given up.
func TestHandshakeWithoutEnd(t *testing.T) {
	t.Parallel()
	f := &fakeSupplicant{answers: func(request string) string {
		return map[string]string{"STATUS": "wpa_state=4WAY_HANDSHAKE\nssid=HomeNet\n"}[request]
	}}
	r := startFake(t, f)
	link := func() {
		t.Helper()
		if l, err := r.Link(t.Context()); err != nil || l.SSID != "" {
			t.Fatalf("the link is %+v, %v", l, err)
		}
	}
	anew := func() int { return min(len(f.heard("DISCONNECT")), len(f.heard("RECONNECT"))) }
	link()
	link()
	if anew() != 0 {
		t.Error("it left the access point in the middle of a handshake")
	}
	r.agreeing = r.agreeing.Add(-handshakePatience)
	link()
	link()
	if got := anew(); got != 1 {
		t.Errorf("it associated anew %d times, want once", got)
	}
}

// TestLeavesAndLooks: the word to look again follows even where the one to leave has failed.
func TestLeavesAndLooks(t *testing.T) {
	t.Parallel()
	f := &fakeSupplicant{answers: func(request string) string {
		return map[string]string{"DISCONNECT": "FAIL\n"}[request]
	}}
	s, err := connect(startFake(t, f).control)
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	if err := s.associateAnew(); !errors.Is(err, errFail) || len(f.heard("RECONNECT")) != 1 {
		t.Errorf("got %v, RECONNECT %d times", err, len(f.heard("RECONNECT")))
	}
}

// TestJoinHandshakeAnew: the access point begins a handshake anew while an address is waited for. That wait stops, and
// where the handshake has no end either, the join associates anew.
func TestJoinHandshakeAnew(t *testing.T) {
	t.Parallel()
	var state atomic.Value // string
	f := &fakeSupplicant{answers: func(request string) string {
		if request != "STATUS" {
			return ""
		}
		return "wpa_state=" + state.Load().(string) + "\n"
	}}
	r := startFake(t, f)
	s, err := connect(r.control)
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	j := &join{supplicant: s, watch: &watch{}}
	for _, step := range []struct {
		state string
		ago   time.Duration // that the stage began
		want  stage
		anew  int
	}{
		{"4WAY_HANDSHAKE", time.Minute, associating, 0}, // the first one: wpa_supplicant has a limit of its own
		{"COMPLETED", 0, addressing, 0},
		{"4WAY_HANDSHAKE", 0, associating, 0},
		{"4WAY_HANDSHAKE", handshakePatience / 2, associating, 0},
		{"COMPLETED", 0, addressing, 0}, // it had an end
		{"4WAY_HANDSHAKE", 0, associating, 0},
		{"4WAY_HANDSHAKE", handshakePatience, associating, 1},
		{"4WAY_HANDSHAKE", time.Minute, associating, 1}, // a first one again
		{"COMPLETED", 0, addressing, 1},
	} {
		state.Store(step.state)
		j.begin = time.Now().Add(-step.ago)
		if err := j.check(); err != nil {
			t.Fatal(err)
		}
		if got := len(f.heard("RECONNECT")); j.stage != step.want || got != step.anew {
			t.Fatalf("%+v: stage %d, associated anew %d times", step, j.stage, got)
		}
	}
}
