package lab

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestUpdateFacts: a camera takes a release from a server whose authority it was told, and has a connection to its
// broker when the release is armed. On trial there is no broker any more: the camera goes back, and says why.
func TestUpdateFacts(t *testing.T) {
	t.Parallel()
	p := newPublisher(t)
	repository, ca := p.private()
	broker, stop := mosquittoUntil(t)
	a := startAgent(t, agentOptions{state: p.camera(), config: section{
		"update":  section{"repository": repository, "ca": ca, "trial": "30s"},
		"control": section{"broker": broker},
	}})
	a.reached(t, "--broker", broker)
	p.publish("sim", p.simSlot(p.path("slot"), "1.1.0"), "1.1.0")
	if r := a.ota(t, "install"); r.code != 0 {
		t.Fatalf("install: %d %s%s", r.code, r.out, r.errs)
	}
	stop()
	s := a.becomes(t, "1.0.0", "failed 1.1.0 not healthy")
	if !strings.Contains(s.Detail, "control: no connection to the broker") {
		t.Errorf("the reason: %q", s.Detail)
	}
}

// TestUpdateStranger: with a server that nobody vouches for there is no word.
func TestUpdateStranger(t *testing.T) {
	t.Parallel()
	p := newPublisher(t)
	repository, _ := p.private()
	a := startAgent(t, agentOptions{state: p.camera(), config: section{"update": section{"repository": repository}}})
	if r := a.ota(t, "check"); r.code != 1 || !strings.Contains(r.errs, "certificate signed by unknown authority") {
		t.Errorf("check: %d %s%s", r.code, r.out, r.errs)
	}
}

// camera is the state of a simulated camera whose system, release 1.0.0, takes this publisher's updates. More goes to
// mkimage sim.
func (p *publisher) camera(more ...string) (state string) {
	p.t.Helper()
	state = p.t.TempDir()
	if err := os.MkdirAll(filepath.Join(state, "sim", "card"), 0o700); err != nil {
		p.t.Fatal(err)
	}
	p.simSlot(filepath.Join(state, "sim", "slot-a.img"), "1.0.0", more...)
	return state
}
