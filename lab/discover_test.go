package lab

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

// TestDiscover finds a camera with an owner and one without on a link, with camctl and a plain resolver, and pairs the
// second one by its label alone.
func TestDiscover(t *testing.T) {
	t.Parallel()
	need(t, "busybox")
	if ownNetwork(t) {
		return
	}
	const host = "192.0.2.1"
	for _, args := range []string{
		"tuntap add link0 mode tap", "addr add " + host + "/24 dev link0", "link set link0 multicast on up",
	} {
		if r := tool(t, 10*time.Second, "ip", strings.Fields(args)...); r.code != 0 {
			t.Fatalf("ip %s: %s", args, r.errs)
		}
	}
	hidden := startAgent(t, agentOptions{}) // nobody else reaches it
	outward := section{"web": section{"address": ":0"}, "rtsp": section{"address": ":0"}}
	mine, fresh := startAgent(t, agentOptions{config: outward}), startAgent(t, agentOptions{config: outward, alone: true})
	home := mine.home
	type camera struct {
		Name, Address, Yours string
		Claimed              bool
	}
	quickest := time.Minute // of the times it is called: the machine may be busy
	list := func() []camera {
		t.Helper()
		begin := time.Now()
		r := tool(t, 10*time.Second, program("camctl"), "discover", "--home", home, "--json")
		var found []camera
		if err := json.Unmarshal([]byte(r.out), &found); r.code != 0 || err != nil {
			t.Fatalf("camctl discover: exit code %d, %v: %s%s", r.code, err, r.out, r.errs)
		}
		quickest = min(quickest, time.Since(begin))
		return found
	}
	port := func(a *agent) string { return a.ports.Web[strings.LastIndex(a.ports.Web, ":"):] }
	var found []camera
	until(t, 20*time.Second, "two cameras", func() bool { found = list(); return len(found) == 2 })
	for _, c := range found {
		want := camera{Name: c.Name, Address: host + port(mine), Yours: "camera", Claimed: true}
		if !c.Claimed {
			want = camera{Name: "Ocellus " + strings.Split(label(t, fresh), ":")[3][:6], Address: host + port(fresh)}
		}
		if c != want || strings.HasSuffix(c.Address, port(hidden)) {
			t.Errorf("got %+v, want %+v", c, want)
		}
	}
	// A resolver that is not ours asks the camera itself.
	plain := tool(t, 20*time.Second, "busybox", "nslookup", "-type=ptr", "_ocellus._tcp.local", host+":5353")
	if !strings.Contains(plain.out, `name = Ocellus\032`) || !strings.Contains(plain.out, "._ocellus._tcp.local") {
		t.Errorf("busybox nslookup: %s%s", plain.out, plain.errs)
	}
	r := tool(t, 20*time.Second, program("camctl"), "pair", "--home", home, "--name", "second", "--label", label(t, fresh))
	if r.code != 0 || !strings.Contains(r.out, "watch: rtsp://viewer:") {
		t.Fatalf("camctl pair: exit code %d: %s%s", r.code, r.out, r.errs)
	}
	until(t, 10*time.Second, "both claimed, and found as such", func() bool {
		found = list()
		return len(found) == 2 && found[0].Claimed && found[1].Claimed && found[0].Yours+found[1].Yours != ""
	})
	if quickest > 3*time.Second {
		t.Errorf("camctl discover took %v, want 3 s at most", quickest)
	}
	for _, c := range found {
		if strings.HasSuffix(c.Name, strings.Split(label(t, fresh), ":")[3][:6]) {
			t.Errorf("%s has an owner and is still called as on its label", c.Name)
		}
	}
}

// label is what belongs on the case of a camera.
func label(t *testing.T, a *agent) string {
	t.Helper()
	r := tool(t, 10*time.Second, program("agent"), "label", "--board", "sim", "--state", a.state)
	if r.code != 0 {
		t.Fatalf("agent label: exit code %d: %s", r.code, r.errs)
	}
	return strings.TrimSpace(r.out)
}
