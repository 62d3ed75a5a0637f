package lab

import (
	"encoding/json"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
	"golang.org/x/net/ipv4"
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
	told := hearAnnouncements(t, "link0")
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
	for _, c := range found {
		told.twice(t, c.Name)
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
	before := "Ocellus " + strings.Split(label(t, fresh), ":")[3][:6]
	var gone []time.Time
	until(t, 10*time.Second, before+" is taken back", func() bool { _, gone = told.of(before); return len(gone) > 0 })
	if len(gone) != 1 {
		t.Errorf("%s was taken back %d times, want once", before, len(gone))
	}
	for _, c := range found {
		told.twice(t, c.Name)
		if strings.HasSuffix(c.Name, strings.Split(label(t, fresh), ":")[3][:6]) {
			t.Errorf("%s has an owner and is still called as on its label", c.Name)
		}
	}
}

// announcements are what cameras say of themselves without being asked, by the names that they call themselves.
type announcements struct {
	mu         sync.Mutex // guards what follows
	said, gone map[string][]time.Time
}

// hearAnnouncements listens on a link until the test ends.
func hearAnnouncements(t *testing.T, link string) *announcements {
	t.Helper()
	on, err := net.InterfaceByName(link)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.ListenMulticastUDP("udp4", on, &net.UDPAddr{IP: net.IPv4(224, 0, 0, 251), Port: 5353})
	if err != nil {
		t.Fatal(err)
	}
	in := ipv4.NewPacketConn(conn)
	if err := in.SetControlMessage(ipv4.FlagInterface, true); err != nil {
		t.Fatal(err)
	}
	a := &announcements{said: map[string][]time.Time{}, gone: map[string][]time.Time{}}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		b := make([]byte, 9000)
		for {
			n, c, _, err := in.ReadFrom(b)
			if err != nil {
				return
			}
			if c.IfIndex == on.Index { // not what a camera says on its other links
				a.take(b[:n], time.Now())
			}
		}
	}()
	t.Cleanup(func() { _ = conn.Close(); <-ended })
	return a
}

// take keeps who announces himself. Only an announcement says in one message which services there are and what they are
// called; RFC 6762 10.1: a time to live of 0 takes it back.
func (a *announcements) take(raw []byte, now time.Time) {
	var m dnsmessage.Message
	if m.Unpack(raw) != nil || !m.Response {
		return
	}
	var services bool
	for _, r := range m.Answers {
		name := r.Header.Name.String()
		services = services || name == "_services._dns-sd._udp.local."
		p, ok := r.Body.(*dnsmessage.PTRResource)
		if !services || !ok || name != "_ocellus._tcp.local." {
			continue
		}
		who, _, _ := strings.Cut(p.PTR.String(), ".")
		a.mu.Lock()
		if r.Header.TTL == 0 {
			a.gone[who] = append(a.gone[who], now)
		} else {
			a.said[who] = append(a.said[who], now)
		}
		a.mu.Unlock()
	}
}

// of returns when a camera announced itself and when it took that back.
func (a *announcements) of(name string) (said, gone []time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.said[name]), slices.Clone(a.gone[name])
}

// twice: a camera announces itself at least twice, and the second time a second later (RFC 6762 8.3).
func (a *announcements) twice(t *testing.T, name string) {
	t.Helper()
	var said []time.Time
	until(t, 10*time.Second, name+" is announced twice", func() bool {
		said, _ = a.of(name)
		return len(said) > 1
	})
	if apart := said[1].Sub(said[0]); apart < 900*time.Millisecond {
		t.Errorf("%s announced itself again after %v, want a second", name, apart)
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
