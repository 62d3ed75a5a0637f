package lab

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

func newPhone(t *testing.T) phone { return phone{filepath.Join(t.TempDir(), "home")} }

// ctl runs camctl with the password of a Wi-Fi network in its environment.
func (p phone) ctl(t *testing.T, limit time.Duration, password, verb string, words ...string) ran {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, program("camctl"), append([]string{verb}, words...)...)
	cmd.Env = append(os.Environ(), "OCELLUS_HOME="+p.home, "OCELLUS_WIFI_PASSWORD="+password)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if ctx.Err() != nil || err != nil && !errors.As(err, &exit) {
		t.Fatalf("camctl %s: %v\n%s", verb, err, tail(errs.String(), 2000))
	}
	return ran{out.String(), errs.String(), cmd.ProcessState.ExitCode()}
}

// states counts how often a camera's network came into a state.
func (a *agent) states(state string) int {
	return strings.Count(a.log.String(), "msg=network part=provision state="+state)
}

// The network around the simulated board.
const simNetwork, simPassword = "HomeNet", "p@ssw0rd!"

// TestFromBoxToOwner: a camera of the simulated board has neither network nor owner. A code is held before its lens; it
// joins, is claimed, streams to its owner's credential only, and listens to nobody else from then on.
func TestFromBoxToOwner(t *testing.T) {
	t.Parallel()
	held := filepath.Join(t.TempDir(), "code.png")
	a := startAgent(t, agentOptions{hold: held, apart: true})
	box := label(t, a)
	pair := func(p phone, door, password, patience string) ran {
		t.Helper()
		return p.ctl(t, time.Minute, password, "pair", "--by", "qr", "--png", held, "--label", box,
			"--camera", door, "--ssid", simNetwork, "--country", "DE", "--patience", patience)
	}
	owner := newPhone(t)

	wrong := pair(owner, a.ports.Web, "not the password", "5s")
	if wrong.code != 3 || !strings.Contains(wrong.errs, "three flashes") {
		t.Errorf("wrong password: exit code %d: %s", wrong.code, wrong.errs)
	}
	if !strings.Contains(a.log.String(), "reason=wrong_password") || a.states("listening") < 2 {
		t.Error("wrong password: not told, or not back to listening")
	}
	if _, err := os.Stat(held); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the code is left behind: %v", err)
	}

	begin := time.Now()
	paired := pair(owner, a.ports.Web, simPassword, "30s")
	if paired.code != 0 {
		t.Fatalf("pair: exit code %d: %s", paired.code, paired.errs)
	}
	url := regexp.MustCompile(`rtsp://\S+/main`).FindString(paired.out)
	if s, r := watch(t, 2*time.Second, url); r.code != 0 || !s.whole() {
		t.Errorf("the owner's stream: exit code %d: %s", r.code, r.errs)
	}
	t.Logf("from the code in view to claimed and watched for 2 s: %v", time.Since(begin))
	if _, r := watch(t, time.Second, a.urlAs("viewer", "guess", "main")); r.code != 4 {
		t.Errorf("a stranger's stream: exit code %d, want 4: %s", r.code, r.errs)
	}
	a.checkDeaf(t, pair)
	a.checkMoves(t, owner)
	a.checkRemembers(t, held, owner)
}

// checkDeaf holds a second phone's code before the lens for a while, and knocks at the door: nothing happens.
func (a *agent) checkDeaf(t *testing.T, pair func(p phone, door, password, patience string) ran) {
	t.Helper()
	joins := a.states("joining")
	second := pair(newPhone(t), "127.0.0.1:1", simPassword, "4s")
	if knock := pair(newPhone(t), a.ports.Web, simPassword, "4s"); knock.code != 4 {
		t.Errorf("a claim of a camera that has an owner: exit code %d, want 4: %s", knock.code, knock.errs)
	}
	if second.code == 0 || a.states("joining") != joins {
		t.Errorf("a code before a camera that has an owner: exit code %d, %d trials: %s", second.code,
			a.states("joining")-joins, second.errs)
	}
}

// checkMoves: the owner's word moves the camera, and a network that is not there is left again.
func (a *agent) checkMoves(t *testing.T, owner phone) {
	t.Helper()
	for _, c := range []struct {
		ssid, password string
		code           int
		says           string
	}{
		{"Nowhere", "12345678", 1, `back in the network "HomeNet": no such network`},
		{simNetwork, "not the password", 1, `back in the network "HomeNet": wrong password`},
		{simNetwork, simPassword, 0, `camera is in the network "HomeNet", at 192.0.2.2`},
	} {
		r := owner.ctl(t, time.Minute, c.password, "network", "join", "camera", "--ssid", c.ssid, "--country", "DE")
		if r.code != c.code || !strings.Contains(r.out+r.errs, c.says) {
			t.Errorf("network join %s: exit code %d, want %d and %q: %s%s", c.ssid, r.code, c.code, c.says, r.out, r.errs)
		}
	}
	if r := newPhone(t).ctl(t, time.Minute, simPassword, "network", "status", "camera"); r.code == 0 {
		t.Error("a stranger asked for the network")
	}
}

// checkRemembers: after a start the camera is in its network again, without a code and without listening for one.
func (a *agent) checkRemembers(t *testing.T, held string, owner phone) {
	t.Helper()
	a.stop(t)
	next := startAgent(t, agentOptions{state: a.state, hold: held})
	until(t, 10*time.Second, "in its network", func() bool {
		r := owner.ctl(t, time.Minute, "", "network", "status", "camera")
		if r.code == 3 { // it has another port now
			r = owner.ctl(t, time.Minute, "", "pair", "--name", "camera", "--camera", next.ports.Web)
			return false
		}
		return r.code == 0 && strings.Contains(r.out, `provisioned, network "HomeNet", address 192.0.2.2`)
	})
	if next.states("listening")+next.states("joining") > 0 {
		t.Error("it listened, or tried the network anew")
	}
}

// TestSmartConfig: a camera of the simulated board hears a phone that tells a network by the lengths of its packets. It
// joins and gets no owner by it, only where its configuration allows what anybody could have read.
func TestSmartConfig(t *testing.T) {
	t.Parallel()
	nothing := filepath.Join(t.TempDir(), "nothing.png")
	for name, allowed := range map[string]bool{"off by default": false, "turned on": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			config := section{"network": section{"legacy": section{"esp_touch_v1": allowed}}}
			a := startAgent(t, agentOptions{hold: nothing, air: "../provision/testdata/esptouch1.pcap", config: config})
			if !allowed {
				<-time.After(8 * time.Second) // where it is on it needs two
			} else {
				until(t, 20*time.Second, "in the network", func() bool { return a.states("provisioned") > 0 })
			}
			if tried := a.states("joining") > 0; tried != allowed {
				t.Errorf("tried a network: %v", tried)
			}
			a.pair(t) // nobody owns it yet
			status := phone{a.home}.says(t, 0, "network", "status", "camera").out
			if want := `provisioned, network "HomeNet"`; strings.Contains(status, want) != allowed {
				t.Errorf("network status: %s", status)
			}
		})
	}
}
