package lab

import (
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ocellus/ocellus/lab/virt"
)

// eachArch runs a test once for each virtual board that is asked for. Not in parallel: a board wants a small machine
// for itself.
func eachArch(t *testing.T, test func(t *testing.T, arch string)) {
	t.Helper()
	for _, arch := range virt.Arches(t) {
		t.Run(arch, func(t *testing.T) { test(t, arch) })
	}
}

// atOnce is eachArch with both boards at the same time. It is for long stories, most of which is waiting for a boot: they
// look at what a board says, and at no picture's time.
func atOnce(t *testing.T, test func(t *testing.T, arch string)) {
	t.Helper()
	for _, arch := range virt.Arches(t) {
		t.Run(arch, func(t *testing.T) {
			t.Parallel()
			test(t, arch)
		})
	}
}

// playLimit is from the hand's first word to a picture, on a busy machine.
const playLimit = time.Minute

// rtspPort is the board's.
const rtspPort = 8554

// plays waits until the board's main stream plays here whole.
func plays(t *testing.T, b *virt.Board) {
	t.Helper()
	playsAt(t, b.URL("main"))
}

func playsAt(t *testing.T, address string) {
	t.Helper()
	until(t, playLimit, "the board streams", func() bool {
		s, r := watch(t, time.Second, address)
		return r.code == 0 && s.whole()
	})
}

// answers waits until the agent in the board says that it is well, and the board has its address.
func answers(t *testing.T, b *virt.Board) {
	t.Helper()
	until(t, playLimit, "the agent answers", func() bool {
		return b.Try("ip addr show eth0 | grep -q 'inet ' && wget -qO- http://127.0.0.1:9554/healthz").Code == 0
	})
}

// agentPID is the agent's process in the board. The ear is the same program.
func agentPID(b *virt.Board) string { return programPID(b, "run") }

// programPID is the process of the agent's program that does a verb.
func programPID(b *virt.Board, verb string) string {
	return strings.TrimSpace(b.Sh("for p in $(pidof agent); do grep -qs ^/usr/bin/agent." + verb +
		" /proc/$p/cmdline && echo $p; done; true"))
}

// TestBoard boots each board alone and takes its times; then, on both at once, it looks at the stream as a person would,
// and at how the agent lives in the board, and dies.
func TestBoard(t *testing.T) {
	need(t, "ffprobe")
	eachArch(t, func(t *testing.T, arch string) {
		b := virt.Boot(t, virt.Options{Arch: arch, Lab: virt.Lab{Late: 4 * time.Second}})
		b.Test("times", func(t *testing.T) { boardTimes(t, b, arch) })
		t.Parallel()
		b.Test("hand", func(t *testing.T) { boardHand(t, b) })
		b.Test("decodes", func(t *testing.T) { boardDecodes(t, b) })
		b.Test("privileges", func(t *testing.T) { boardPrivileges(t, b) })
		b.Test("reach", func(t *testing.T) { boardReach(t, b) })
		b.Test("console", func(t *testing.T) { boardConsole(t, b) })
		b.Test("serial", func(t *testing.T) { boardSerial(t, b) })
		b.Test("ports", func(t *testing.T) { boardPorts(t, b) })
		b.Test("clock", func(t *testing.T) { boardClock(t, b) })
		b.Test("memory", func(t *testing.T) { boardMemory(t, b) })
		b.Test("agent killed", func(t *testing.T) { boardKilled(t, b) })
		b.Test("agent dies", func(t *testing.T) { boardDies(t, b) })
		b.Test("agent stopped", func(t *testing.T) { boardStopped(t, b) })
		b.Test("kernel dies", func(t *testing.T) { boardKernelDies(t, b, arch) })
	})
}

// boardTimes prints; a machine that is busy with something else says nothing about the board. At its first start the
// board makes its identity, and the test becomes its owner; the second one is like all others, and its times are taken
// before the hand comes, which wants the processor, too.
func boardTimes(t *testing.T, b *virt.Board, arch string) {
	reachable(t, b)
	url := b.URL("main")
	b.PowerOff()
	b.Awaken(`msg=serving`, playLimit)
	reachable(t, b)
	firstPacket(t, b, arch, moved(t, b, url))
	b.Await(playLimit)
}

// reachable waits until the board has its address and the agent serves.
func reachable(t *testing.T, b *virt.Board) {
	t.Helper()
	until(t, playLimit, "the board is there", func() bool {
		_, address := b.Since(`udhcpc: lease of .* obtained`)
		_, serves := b.Since(`msg=serving`)
		return address && serves
	})
}

// moved is a stream's URL from an earlier boot, where the board is reached now.
func moved(t *testing.T, b *virt.Board, address string) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	u.Host = b.Addr(rtspPort)
	return u.String()
}

// firstPacket watches, and prints the times of this boot up to the first RTP packet.
func firstPacket(t *testing.T, b *virt.Board, arch, address string) {
	t.Helper()
	begin := b.On()
	s, r := watch(t, time.Second, address)
	if r.code != 0 || s.FirstPacket == nil {
		t.Fatalf("camctl: exit code %d: %s", r.code, r.errs)
	}
	first := begin + time.Duration(*s.FirstPacket*float64(time.Millisecond))
	space, ok := b.Since(`init: .* user space is up`)
	serving, ok2 := b.Since(`msg=serving`)
	if !ok || !ok2 {
		t.Fatal("the console does not tell")
	}
	t.Logf("%s: user space %.1f s after power-on (limits 6 s arm64, 10 s armv7), agent serves %.1f s, first RTP packet "+
		"%.1f s, that is %.1f s behind user space (limit 3 s)", arch, space.Seconds(), serving.Seconds(), first.Seconds(),
		(first - space).Seconds())
}

// boardHand shows that the lab's hand does what the other tests lean on.
func boardHand(t *testing.T, b *virt.Board) {
	for _, size := range []int{0, 1, 600_000} {
		want := []byte(strings.Repeat("0123456789", size/10+1)[:size])
		b.Put("/tmp/file", want, 0o640)
		if got := b.Get("/tmp/file"); string(got) != string(want) {
			t.Errorf("%d bytes come back as %d", len(want), len(got))
		}
	}
	if got := b.Sh("stat -c %a /tmp/file; rm /tmp/file; uname -r"); !strings.HasPrefix(got, "640\n6.") {
		t.Errorf("got %q", got)
	}
	if r := b.Try("echo out; echo errs >&2; exit 3"); r != (virt.Ran{Out: "out\n", Errs: "errs\n", Code: 3}) {
		t.Errorf("got %+v", r)
	}
}

// boardDecodes lets ffprobe decode what the board streams.
func boardDecodes(t *testing.T, b *virt.Board) {
	r := tool(t, playLimit, "ffprobe", "-v", "error", "-rtsp_transport", "tcp", "-select_streams", "v:0",
		"-read_intervals", "%+#30", "-show_entries", "frame=width,height", "-of", "csv=p=0", b.URL("main"))
	pictures := strings.Fields(r.out)
	if r.code != 0 || len(pictures) < 30 || slices.ContainsFunc(pictures, func(p string) bool { return p != "640,360" }) {
		t.Errorf("ffprobe: exit code %d, %d pictures: %s%s", r.code, len(pictures), r.out, r.errs)
	}
}

// boardPrivileges: the agent has none but that to set the clock, CAP_SYS_TIME.
func boardPrivileges(t *testing.T, b *virt.Board) {
	status := map[string]string{}
	for line := range strings.Lines(string(b.Get("/proc/" + agentPID(b) + "/status"))) {
		name, value, _ := strings.Cut(line, ":")
		status[name] = strings.Join(strings.Fields(value), " ")
	}
	const clock = "0000000002000000"
	for name, want := range map[string]string{
		"Uid": "1000 1000 1000 1000", "Gid": "1000 1000 1000 1000", "Groups": "44 1002", "NoNewPrivs": "1",
		"CapInh": clock, "CapPrm": clock, "CapEff": clock, "CapBnd": clock, "CapAmb": clock,
	} {
		if got, ok := status[name]; !ok || got != want {
			t.Errorf("the agent's %s: got %q, want %q", name, got, want)
		}
	}
	if pid := programPID(b, "ear"); pid != "" {
		t.Errorf("process %s has the right to hear the air beside a camera that has an owner and does not listen", pid)
	}
	if r := b.RunAs(virt.Agent(), "/bin/sh", "-c", "true"); r.Code != 126 {
		t.Errorf("the agent's user has a shell: exit code %d, want 126 (permission denied)", r.Code)
	}
	if got := b.Sh("grep ^ocellus: /etc/passwd"); !strings.HasSuffix(got, ":/bin/false\n") {
		t.Errorf("the agent's user logs in: %s", got)
	}
}

// boardReach: whatever the agent's user can open and write is in this list.
func boardReach(t *testing.T, b *virt.Board) {
	var mounts []string
	for line := range strings.Lines(string(b.Get("/proc/mounts"))) {
		f := strings.Fields(line)
		mode, _, _ := strings.Cut(f[3], ",")
		mounts = append(mounts, f[1]+" "+f[2]+" "+mode)
	}
	slices.Sort(mounts)
	same(t, "mounted", mounts, []string{
		"/ squashfs ro", "/data ext4 rw", "/dev devtmpfs rw", "/dev/pts devpts rw", "/lab squashfs ro", "/proc proc rw",
		"/run tmpfs rw", "/sys sysfs rw", "/tmp tmpfs rw",
	})
	r := b.RunAs(virt.Agent(), "/lab/hand", "reach")
	if r.Code != 0 {
		t.Fatalf("hand reach: %s", r.Errs)
	}
	names := strings.NewReplacer(partitionNames(b)...)
	var got []string
	for line := range strings.Lines(r.Out) {
		if line = strings.TrimSpace(line); !strings.Contains(line, " /data/agent/") {
			got = append(got, names.Replace(line))
		}
	}
	slices.Sort(got)
	same(t, "within reach of the agent's user", got, []string{
		"file /run/init",                                        // asks init for a reboot
		"file /tmp/agent.crash.raw", "file /tmp/agent.log.tail", // its own
		"folder /data/agent", "folder /tmp",
		"node r slot-a", // the booted one
		"node rw /dev/full", "node rw /dev/gpiochip0", "node rw /dev/null", "node rw /dev/ptmx", "node rw /dev/random",
		"node rw /dev/tty", "node rw /dev/ttyS0", "node rw /dev/urandom", "node rw /dev/video0", "node rw /dev/watchdog0",
		"node rw /dev/zero",
		"node rw env", "node rw keys", "node rw persist", "node rw slot-b",
		"socket /run/ear/wlan0", "socket /run/wpa_supplicant/wlan0",
	})
	if r := b.Try("for d in / /bin /etc /lab /usr/bin; do touch $d/x && echo $d; done"); r.Out != "" {
		t.Errorf("root may write to %s", r.Out)
	}
}

// partitionNames are pairs of a partition's node and its name in the GPT.
func partitionNames(b *virt.Board) []string {
	var pairs []string
	for line := range strings.Lines(b.Sh("grep -H PARTNAME= /sys/class/block/*/uevent")) {
		file, name, _ := strings.Cut(strings.TrimSpace(line), ":PARTNAME=")
		pairs = append(pairs, "/dev/"+strings.Split(file, "/")[4], name)
	}
	return pairs
}

// same compares two lists and names what differs.
func same(t *testing.T, what string, got, want []string) {
	t.Helper()
	for _, g := range got {
		if !slices.Contains(want, g) {
			t.Errorf("%s: %q, which is not in the list", what, g)
		}
	}
	for _, w := range want {
		if !slices.Contains(got, w) {
			t.Errorf("%s: no %q", what, w)
		}
	}
}

// boardPorts: whatever listens in the board is in this list.
func boardPorts(t *testing.T, b *virt.Board) {
	var got []string
	var udp []netip.AddrPort
	for _, protocol := range []string{"tcp", "tcp6", "udp", "udp6", "raw", "raw6"} {
		for line := range strings.Lines(string(b.Get("/proc/net/" + protocol))) {
			f := strings.Fields(line)
			const listening, unconnected = "0A", "07" // of enum tcp_state
			switch {
			case len(f) <= 3 || f[3] != listening && f[3] != unconnected:
			case protocol == "udp6":
				udp = append(udp, socketAddress(t, f[1]))
			default:
				got = append(got, protocol+" "+socketAddress(t, f[1]).String())
			}
		}
	}
	same(t, "listens", got, []string{"tcp 127.0.0.1:9554", "tcp6 [::]:8322", "tcp6 [::]:8443", "tcp6 [::]:8554",
		"udp 0.0.0.0:5353"})
	// RTP and RTCP have a free pair of ports, the first one even (RFC 3550 11).
	slices.SortFunc(udp, netip.AddrPort.Compare)
	if len(udp) != 2 || udp[0].Port()%2 != 0 || udp[1].Port() != udp[0].Port()+1 {
		t.Errorf("listens: udp6 %v, want RTP and RTCP alone", udp)
	}
}

// socketAddress reads an address of /proc/net/tcp: groups of four bytes in the order of the machine, little endian
// here.
func socketAddress(t *testing.T, hex string) netip.AddrPort {
	t.Helper()
	digits, port, _ := strings.Cut(hex, ":")
	var raw []byte
	for i := 0; i < len(digits); i += 8 {
		n, err := strconv.ParseUint(digits[i:i+8], 16, 32)
		if err != nil {
			t.Fatal(err)
		}
		raw = append(raw, byte(n), byte(n>>8), byte(n>>16), byte(n>>24))
	}
	addr, _ := netip.AddrFromSlice(raw)
	n, err := strconv.ParseUint(port, 16, 16)
	if err != nil {
		t.Fatal(err)
	}
	return netip.AddrPortFrom(addr, uint16(n))
}

// boardMemory prints what the agent takes at 640x480 with two readers.
func boardMemory(t *testing.T, b *virt.Board) {
	const config = "schema: 1\nstreams:\n  main: {width: 640, height: 480, fps: 25}\n"
	b.Put("/data/agent/config.yaml", []byte(config), 0o644)
	b.Sh("kill " + agentPID(b))
	b.Expect(`init: .* agent ended`, playLimit)
	b.Expect(`init: .* agent started`, playLimit)
	answers(t, b)
	plays(t, b)
	var readers sync.WaitGroup
	for range 2 {
		url := b.URL("main")
		readers.Go(func() {
			if s, r := watch(t, 6*time.Second, url); r.code != 0 || s.Width != 640 || s.Height != 480 {
				t.Errorf("exit code %d, %dx%d: %s", r.code, s.Width, s.Height, r.errs)
			}
		})
	}
	until(t, playLimit, "two readers", func() bool {
		metrics := b.Sh("wget -qO- http://127.0.0.1:9554/metrics")
		return strings.Contains(metrics, ofStream("ocellus_stream_readers", "main")+" 2")
	})
	b.Sh("sleep 2")
	var sizes [2]int
	for line := range strings.Lines(string(b.Get("/proc/" + agentPID(b) + "/status"))) {
		_, _ = fmt.Sscanf(line, "VmRSS: %d kB", &sizes[0])
		_, _ = fmt.Sscanf(line, "VmHWM: %d kB", &sizes[1])
	}
	readers.Wait()
	if sizes[0] == 0 {
		t.Fatal("the kernel tells no size")
	}
	t.Logf("agent at 640x480 with two readers: %.1f MB resident, %.1f MB at most (bar 30 MB)", float64(sizes[0])/1000,
		float64(sizes[1])/1000)
}
