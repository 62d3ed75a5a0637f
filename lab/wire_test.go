package lab

import (
	"strings"
	"testing"
	"time"

	"github.com/ocellus/ocellus/lab/virt"
)

// wire is a board with a cable and nothing else at its end.
type wire struct {
	b *virt.Board
	n *virt.Network
}

// TestBoardWire: what needs a network of the board's own, RTP by UDP and by multicast, multicast as DNS-SD has it, an
// address by DHCP; and a network that is not there, comes, goes and comes back.
func TestBoardWire(t *testing.T) {
	atOnce(t, func(t *testing.T, arch string) {
		n := virt.NewNetwork(t)
		lab := virt.Lab{Files: map[string]string{"peer": virt.Brought(t, arch, "peer")}}
		w := &wire{n: n, b: virt.Boot(t, virt.Options{Arch: arch, Network: n, Lab: lab})}
		w.configure(t)
		agent := w.alone(t)
		n.Serve()
		w.plays(t, "udp")
		w.plays(t, "multicast")
		w.multicast(t)
		w.b.Plug(false)
		w.b.Sh("until ! ip addr show eth0 | grep -q 'inet '; do sleep 0.2; done")
		w.b.Plug(true)
		w.plays(t, "tcp")
		if still := agentPID(w.b); still != agent {
			t.Errorf("the agent was process %s, and after all that it is %q", agent, still)
		}
	})
}

// configure lets the agent have multicast readers, and starts it again.
func (w *wire) configure(t *testing.T) {
	t.Helper()
	w.b.Put("/data/agent/config.yaml", []byte("schema: 1\nrtsp: {multicast: {interface: eth0}}\n"), 0o644)
	w.b.Sh("kill " + agentPID(w.b))
	w.b.Expect(`init: .* agent ended`, playLimit)
	w.b.Expect(`init: .* agent started`, playLimit)
}

// alone waits until the agent serves on a board whose cable leads to nobody, and returns its process id.
func (w *wire) alone(t *testing.T) string {
	t.Helper()
	w.b.Sh("until netstat -ltn | grep -q :8554; do sleep 0.2; done")
	if got := w.b.Sh("ip addr show eth0"); strings.Contains(got, "inet ") {
		t.Errorf("an address before anybody gave one: %s", got)
	}
	return agentPID(w.b)
}

// plays watches the stream from the other end of the cable.
func (w *wire) plays(t *testing.T, transport string) {
	t.Helper()
	begin := time.Now()
	w.b.Sh("until ip addr show eth0 | grep -q 'inet " + virt.BoardAddress + "/'; do sleep 0.2; done")
	t.Logf("the board has its address after %.1f s", time.Since(begin).Seconds())
	out, err := w.n.Command(program("camctl"), "watch", "--json", "--duration", "4s", "--transport", transport,
		w.b.URL("main")).Output()
	s := parseSummary(t, string(out))
	if err != nil || !s.whole() || s.Pictures < 20 || s.Transport != transport {
		t.Errorf("%s: %v: %+v", transport, err, s)
	}
	t.Logf("%s: %d pictures, %.1f a second", transport, s.Pictures, s.FPS)
}

// multicast sends to the group of mDNS from each side while the other one listens.
func (w *wire) multicast(t *testing.T) {
	t.Helper()
	const group = "224.0.0.251:5353"
	say := w.n.Command(program("peer"), "say", "tap0", group, "from the host", "-for", "20s")
	if err := say.Start(); err != nil {
		t.Fatal(err)
	}
	heard := w.b.Run("/lab/peer", "hear", "eth0", group, "-for", "20s")
	_ = say.Process.Kill()
	_ = say.Wait()
	if want := virt.HostAddress + ":5353 from the host\n"; heard.Out != want {
		t.Errorf("the board heard %+v, want %q", heard, want)
	}
	w.discover(t)
	w.b.Sh("/lab/peer say eth0 " + group + " 'from the board' -for 20s </dev/null >/dev/null 2>&1 & echo $! >/run/say")
	out, err := w.n.Command(program("peer"), "hear", "tap0", group, "-for", "20s").Output()
	w.b.Sh("kill $(cat /run/say)")
	if want := virt.BoardAddress + ":5353 from the board\n"; err != nil || string(out) != want {
		t.Errorf("the host heard %q, %v, want %q", out, err, want)
	}
}

// discover finds the camera by multicast DNS at the other end of its cable.
func (w *wire) discover(t *testing.T) {
	t.Helper()
	home := t.TempDir()
	until(t, playLimit, "the camera is found", func() bool {
		out, _ := w.n.Command(program("camctl"), "discover", "--home", home, "--json").Output() // none there is no failure
		return strings.Contains(string(out), `"address":"`+virt.BoardAddress+`:8443"`)
	})
}
