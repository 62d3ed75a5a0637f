package lab

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

// desiredState is what camctl desire --show --json says of a camera.
type desiredState struct {
	State    string
	Revision uint64
	Config   map[string]string
	Desired  *struct {
		Code, Text string
		Set        map[string]*string
	}
}

// desirer is somebody who leaves things for a camera at a broker.
type desirer struct{ home, broker string }

func (d desirer) desires(t *testing.T, words ...string) ran {
	t.Helper()
	return tool(t, time.Minute, program("camctl"),
		append([]string{"desire", "--home", d.home, "--broker", d.broker, "camera"}, words...)...)
}

func (d desirer) sees(t *testing.T) (s desiredState) {
	t.Helper()
	r := d.desires(t, "--show", "--json")
	if err := json.Unmarshal([]byte(r.out), &s); err != nil {
		t.Fatalf("%v: %d %s %s", err, r.code, r.out, r.errs)
	}
	return s
}

// TestDesire: what is left for a camera that is away, it takes when it is back: all of it, and nothing that was taken
// back. What it can't take is refused by a code that whoever looks later sees, too.
func TestDesire(t *testing.T) {
	t.Parallel()
	a := startAgent(t, agentOptions{})
	broker := mosquitto(t)
	owner, anna := desirer{a.home, broker}, desirer{t.TempDir(), broker}
	if r := a.call(t, "set", "control.broker="+broker); r.code != 0 {
		t.Fatal(r.errs)
	}
	a.reached(t, "--broker", broker)
	a.invites(t, anna.home, "installer")
	a.stop(t)

	for _, step := range []struct {
		who   desirer
		words []string
		code  int
		says  string
	}{
		{owner, []string{"stream.main.bitrate=1500k"}, 0, "offline, and takes it when it is back"},
		{owner, []string{"stream.sub.bitrate=300k"}, 0, "offline"},
		{owner, []string{"--show"}, 0, "streams.main.bitrate  desired 1500k"},
		{owner, []string{"--show"}, 0, "it waits for the camera"},
		{owner, []string{"stream.main.bitrat=1"}, 2, `no key "streams.main.bitrat"`},
		{owner, []string{"--show", "log=debug"}, 2, "take no KEY=VALUE"},
		{owner, nil, 2, "what shall be?"},
		{anna, []string{"log=debug"}, 0, "offline"},
		{anna, []string{"--clear"}, 0, "taken back before the camera took it"},
		{anna, []string{"--show"}, 0, "nothing is desired"},
		{anna, []string{"--base", "99", "streams.main.fps=10"}, 0, "offline"},
	} {
		if r := step.who.desires(t, step.words...); r.code != step.code || !strings.Contains(r.out+r.errs, step.says) {
			t.Errorf("%s: %d %s %s", step.words, r.code, r.out, r.errs)
		}
	}
	startAgent(t, agentOptions{state: a.state})
	var s desiredState
	until(t, 40*time.Second, "what was left is taken", func() bool {
		s = owner.sees(t)
		return s.Desired != nil && s.Desired.Code != "waiting" && s.Desired.Code != "accepted"
	})
	if c := s.Config; s.State != "online" || s.Desired.Code != "ok" || c["streams.main.bitrate"] != "1500k" ||
		c["streams.sub.bitrate"] != "300k" || c["log"] == "debug" {
		t.Errorf("the owner sees %+v, %+v", s, s.Desired)
	}
	if s := anna.sees(t); s.Desired == nil || s.Desired.Code != "conflict" || s.Config["streams.main.fps"] == "10" {
		t.Errorf("anna sees %+v, %+v", s, s.Desired)
	}
	a.desiresOnline(t, owner, anna)
}

// desiresOnline: a camera that is there answers at once.
func (a *agent) desiresOnline(t *testing.T, owner, anna desirer) {
	t.Helper()
	if r := owner.desires(t, "--base", "0", "log=debug"); r.code != 1 || !strings.Contains(r.errs, "conflict: ") ||
		!strings.Contains(r.errs, "--base") {
		t.Errorf("an old revision: %d %s %s", r.code, r.out, r.errs)
	}
	if r := owner.desires(t, "stream.main.fps=fast"); r.code != 1 || !strings.Contains(r.errs, "bad_request") {
		t.Errorf("no number: %d %s %s", r.code, r.out, r.errs)
	}
	if r := owner.desires(t, "--unset", "stream.sub.bitrate", "log=debug"); r.code != 0 || !strings.Contains(r.out, "taken it") {
		t.Errorf("online: %d %s %s", r.code, r.out, r.errs)
	}
	if s := owner.sees(t); s.Config["log"] != "DEBUG" || s.Config["streams.sub.bitrate"] == "300k" {
		t.Errorf("afterwards: %+v", s)
	}
	if r := anna.desires(t, "--clear"); r.code != 0 || !strings.Contains(r.out, "conflict") {
		t.Errorf("cleared: %d %s %s", r.code, r.out, r.errs)
	}
	if s := anna.sees(t); s.Desired != nil {
		t.Errorf("cleared, but %+v lies there", s.Desired)
	}
	if s := owner.sees(t); s.Desired == nil || s.Desired.Code != "ok" {
		t.Errorf("anna cleared the owner's: %+v", s)
	}
}
