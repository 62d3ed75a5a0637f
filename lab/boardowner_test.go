package lab

import (
	"encoding/hex"
	"fmt"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ocellus/ocellus/lab/virt"
)

const (
	phoneAddress = "198.51.100.20" // in the access point's network
	boardAddress = "198.51.100.2"  // the first one that its DHCP server gives
	phoneHome    = "/tmp/owner"    // what camctl keeps there
	heldCode     = "/tmp/code.png" // what is before the board's lens
)

// handset is a phone in the air: a station of the access point, on a radio and in a network namespace of its own. What
// it says to the board goes through the air.
type handset struct {
	a   *air
	pid string // of the namespace
}

// handset makes the last radio a phone that knows some networks, and is in the one that is there.
func (a *air) handset(networks ...wifi) *handset {
	h := &handset{a: a, pid: namespace(a.b)}
	a.b.Sh(labs("iw") + " phy phy3 set netns " + h.pid)
	conf := "ctrl_interface=/run/phone\n"
	for _, w := range networks {
		conf += "network={\nssid=" + hex.EncodeToString([]byte(w.ssid)) + "\nscan_freq=2437\n" + strings.Join(w.join, "\n") +
			"\n}\n"
	}
	a.b.Put("/run/phone.conf", []byte(conf), 0o600)
	h.sh("ip link set lo up && ip link set wlan3 up && ip addr add " + phoneAddress + "/24 dev wlan3 && " +
		"/usr/sbin/wpa_supplicant -t -i wlan3 -D nl80211 -c /run/phone.conf </dev/null >/run/phone.log 2>&1 &")
	return h
}

// joined waits until the phone is in a network, which may have come in place of another one, and the access point
// answers it: to be associated is not enough. Where its handshake has no end (hal/wifi, handshake.go), its Wi-Fi is
// switched off and on, as a person does.
func (h *handset) joined(t *testing.T, w wifi) {
	t.Helper()
	on := time.Now()
	until(t, 2*time.Minute, "the phone is in "+w.ssid, func() bool {
		answers := h.a.b.Try("nsenter -t "+h.pid+" -n -- ping -c 1 -W 1 "+apAddress).Code == 0
		if !answers && time.Since(on) > 20*time.Second {
			h.asks(t, "DISCONNECT")
			h.asks(t, "RECONNECT")
			on = time.Now()
		}
		return answers
	})
}

// sh runs a script on the phone.
func (h *handset) sh(script string) string {
	return h.a.b.Sh("nsenter -t " + h.pid + " -n -- sh -c '" + script + "'")
}

// run runs a program on the phone.
func (h *handset) run(limit time.Duration, argv ...string) virt.Ran {
	return h.a.b.RunFor(limit, append([]string{"/bin/busybox", "nsenter", "-t", h.pid, "-n", "--"}, argv...)...)
}

// camctl runs camctl on the phone. took is by the board's own clock.
func (h *handset) camctl(t *testing.T, password string, words ...string) (r virt.Ran, took time.Duration) {
	t.Helper()
	const script = `export OCELLUS_HOME=` + phoneHome + ` OCELLUS_WIFI_PASSWORD="$1"; shift
		cat /proc/uptime >/tmp/began; /lab/camctl "$@"; code=$?; cat /proc/uptime >/tmp/ended; exit $code`
	r = h.run(5*time.Minute, append([]string{"/bin/busybox", "sh", "-c", script, "sh", password}, words...)...)
	return r, h.a.upAt(t, "/tmp/ended") - h.a.upAt(t, "/tmp/began")
}

// pair lets the phone bring the board into a network and claim it, and returns the stream's URL.
func (h *handset) pair(t *testing.T, w wifi, words ...string) string {
	t.Helper()
	r, took := h.camctl(t, w.password, append([]string{"pair", "--ssid", w.ssid, "--country", "DE", "--patience", "240s",
		"--label", h.a.b.Label()}, words...)...)
	u := regexp.MustCompile(`rtsp://\S+/main`).FindString(r.Out)
	if r.Code != 0 || u == "" {
		t.Fatalf("camctl pair: exit code %d: %s%s", r.Code, r.Out, r.Errs)
	}
	t.Logf("camctl pair took %.1f s", took.Seconds())
	return u
}

// watch plays a stream on the phone for some seconds, and counts meanwhile what the listener hears.
func (h *handset) watch(t *testing.T, stream, transport string) summary {
	t.Helper()
	u, err := url.Parse(stream)
	if err != nil {
		t.Fatal(err)
	}
	h.a.sh("/lab/peer frames wlan2 -for 4s >/tmp/heard 2>&1 </dev/null &")
	s := parseSummary(t, h.sh(fmt.Sprintf("cat /proc/uptime >/tmp/began; timeout -s QUIT 30 /lab/camctl watch --json "+
		"--duration 3s --transport %s %s", transport, u)))
	h.a.b.Sh("until [ -s /tmp/heard ]; do sleep 0.1; done")
	heard := h.a.heard(t, h.a.b.Sh("cat /tmp/heard"))
	t.Logf("%d pictures by %s, %.1f a second; the listener heard %+v", s.Pictures, transport, s.FPS, heard)
	if !s.whole() || s.Pictures < 15 {
		t.Errorf("the owner's stream by %s: %+v", transport, s)
	}
	if heard.Beacons < 20 || heard.Protected < 20 || heard.Protected != heard.Data {
		t.Errorf("the listener on the channel hears %+v", heard)
	}
	return s
}

// keepsOut: whoever guesses the password of the owner's viewer sees nothing.
func (h *handset) keepsOut(t *testing.T, stream string) {
	t.Helper()
	u, err := url.Parse(stream)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword(u.User.Username(), "guess")
	const denied = 4 // camctl's exit code
	if r := h.run(time.Minute, "/lab/camctl", "watch", "--duration", "1s", u.String()); r.Code != denied {
		t.Errorf("a stranger's stream: exit code %d, want %d: %s", r.Code, denied, r.Errs)
	}
}

// upAt reads what /proc/uptime said.
func (a *air) upAt(t *testing.T, file string) time.Duration {
	t.Helper()
	up, _, _ := strings.Cut(string(a.b.Get(file)), " ")
	return seconds(t, up)
}

// fewChannels makes scans short: an emulated radio needs 5 to 12 s for all of its channels. The agent's first scan goes
// over them all.
func (a *air) fewChannels(t *testing.T) {
	t.Helper()
	if r := a.asks(virt.Agent(), "SET", "freq_list", "2412 2437 2462"); !strings.Contains(r.Out, "OK") {
		t.Fatalf("wpa_supplicant: %s%s", r.Out, r.Errs)
	}
}

// hold takes vivid away and makes a fed camera of raw pictures the board's, before whose lens a code is held while
// there is one. Its agent starts anew: as at home, the router was there before the camera. An agent that found no network
// looks over all channels, each for a tenth of a second, and scans again after half a minute.
func (a *air) hold() {
	takeVivid(a.b)
	a.b.Sh("/lab/feed hold " + loopback + " " + heldCode + " 640x360 15 </dev/null >/tmp/fed 2>&1 &")
	a.b.Sh("kill " + programPID(a.b, "run"))
	a.b.Expect(`init: .* agent started`, time.Minute)
	a.b.Expect(`camera started.*camera=`+loopback, time.Minute)
}

// TestBoardOwner: from box to owner through the air, by what is built. A phone, a station of the access point, brings a
// board that nobody owns into a network by SmartConfig, once it is unbound into another one by a code before its lens,
// and once more by Wi-Fi Easy Connect; each time it claims the board over that network. Beside each access point stands
// a rogue of the same name. A listener hears encrypted frames alone. It runs on both boards at once, so the time to
// the picture is printed beside its bar, and fails the test only where no busy machine explains it.
func TestBoardOwner(t *testing.T) {
	atOnce(t, func(t *testing.T, arch string) {
		a := bootWithAir(t, arch)
		t.Cleanup(func() {
			if t.Failed() {
				t.Log(a.b.Try("tail -n 50 /run/ap.log /run/phone.log; cat /tmp/fed; ip addr; dmesg | tail -n 30").Out)
			}
		})
		a.b.Test("supplicant", func(t *testing.T) { checkSupplicant(t, a) })
		a.fewChannels(t)
		old, home := wpa2(`Lab "two"`, "correct horse"), wpa3("Lab drei é", "battery staple")
		a.raise(old)
		a.hold()
		phone := a.handset(old, home)
		a.b.Test("by SmartConfig", func(t *testing.T) {
			phone.joined(t, old)
			phone.watch(t, phone.pair(t, old, "--by", "smartconfig"), "tcp")
		})
		a.b.Test("by a code", func(t *testing.T) {
			phone.unbinds(t)
			a.raise(home)
			phone.joined(t, home)
			phone.showsCode(t, home)
		})
		a.b.Test("a wrong password", func(t *testing.T) { phone.mistypes(t, home) })
		a.b.Test("by Wi-Fi Easy Connect", func(t *testing.T) {
			phone.unbinds(t)
			phone.gives(t, home)
		})
		a.b.Test("rogue", func(t *testing.T) { checkRogue(t, a) })
	})
}

// gives: the phone scans the label's second code and gives the board its network, which nobody owns by that; then it
// claims the board by the first code.
func (h *handset) gives(t *testing.T, w wifi) {
	t.Helper()
	r := h.a.b.RunAs(virt.Agent(), "/usr/bin/agent", "label", "--easy-connect")
	if r.Code != 0 {
		t.Fatalf("agent label: %s", r.Errs)
	}
	h.asks(t, "SET", "dpp_init_retry_time", "3000") // ms; others call less often, and are heard later
	h.asks(t, "SET", "dpp_init_max_tries", "17")    // and for as long: five times every ten seconds
	configurator := h.asks(t, "DPP_CONFIGURATOR_ADD")
	peer := h.asks(t, "DPP_QR_CODE", strings.TrimSpace(r.Out))
	begin := time.Now()
	h.asks(t, "DPP_AUTH_INIT", "peer="+peer, "configurator="+configurator, "conf=sta-sae",
		"ssid="+hex.EncodeToString([]byte(w.ssid)), "pass="+hex.EncodeToString([]byte(w.password)))
	h.a.b.Expect(`msg="a phone gave a network"`, time.Minute)
	given := time.Since(begin)
	h.a.b.Expect(`part=provision state=provisioned`, time.Minute)
	t.Logf("given after %.1f s, in the network after %.1f s", given.Seconds(), time.Since(begin).Seconds())
	until(t, time.Minute, "the phone finds the board by itself", func() bool {
		return strings.Contains(h.sh("/lab/camctl discover --home /tmp/other --json"), boardAddress+":8443")
	})
	if r, _ := h.camctl(t, "", "pair", "--label", h.a.b.Label()); r.Code != 0 {
		t.Fatalf("camctl pair: exit code %d: %s%s", r.Code, r.Out, r.Errs)
	}
	t.Logf("claimed by its label after %.1f s", time.Since(begin).Seconds())
}

// asks sends a request to the phone's own wpa_supplicant.
func (h *handset) asks(t *testing.T, words ...string) string {
	t.Helper()
	r := h.run(time.Minute, append([]string{"/lab/peer", "ask", "/run/phone/wlan3"}, words...)...)
	answer := strings.TrimSpace(r.Out)
	if r.Code != 0 || strings.HasPrefix(answer, "FAIL") {
		t.Fatalf("the phone: %q: exit code %d: %s%s", words, r.Code, r.Out, r.Errs)
	}
	return answer
}

// mistypes: a network that the owner names with a wrong password costs the board nothing, and he is told.
func (h *handset) mistypes(t *testing.T, w wifi) {
	r, took := h.camctl(t, "correct house", "network", "join", "camera", "--ssid", w.ssid, "--country", "DE")
	told := strings.Contains(r.Errs, "wrong password") && strings.Contains(r.Errs, "back in the network")
	if r.Code != 1 || !told {
		t.Errorf("a wrong password: exit code %d, want 1: %s%s", r.Code, r.Out, r.Errs)
	}
	t.Logf("told after %.1f s, back in its network", took.Seconds())
}

// unbinds ends the time of the phone as owner.
func (h *handset) unbinds(t *testing.T) {
	t.Helper()
	if r, _ := h.camctl(t, "", "unbind", "camera", "--yes"); r.Code != 0 {
		t.Fatalf("camctl unbind: exit code %d: %s%s", r.Code, r.Out, r.Errs)
	}
	h.a.b.Expect(`part=provision state=listening`, time.Minute)
	h.a.b.Expect(`camera started.*camera=`+loopback, time.Minute)
}

// showsCode holds a code before the lens until the board is claimed, watches, and tells how long each step took.
func (h *handset) showsCode(t *testing.T, w wifi) {
	t.Helper()
	stream := h.pair(t, w, "--by", "qr", "--png", heldCode, "--camera", boardAddress+":8443")
	claimed := h.a.upAt(t, "/tmp/ended")
	s := h.watch(t, stream, "udp")
	began := h.a.upAt(t, "/tmp/began")
	h.keepsOut(t, stream)
	if s.FirstPicture == nil {
		t.Fatal("no picture came")
	}
	first := began + time.Duration(*s.FirstPicture*float64(time.Millisecond))
	viewed, wall := h.a.inView(t)
	tried := h.a.said(t, `part=provision state=joining`) - wall
	joined := h.a.said(t, `part=provision state=checking`) - wall
	asked := h.a.kernelSaid(t, `wlan0: authenticate with`)
	associated := h.a.kernelSaid(t, `wlan0: link becomes ready`)
	const bar, most = 6 * time.Second, 20 * time.Second // of a quiet machine; of any
	own := tried - viewed + claimed - joined + first - began
	t.Logf("from the code in view: read after %.1f s; scan %.1f s, association %.1f s, address and gateway %.1f s; claimed "+
		"after %.1f s more, a picture on the phone after %.1f s more (what the test takes between them is left out)",
		(tried - viewed).Seconds(), (asked - tried).Seconds(), (associated - asked).Seconds(), (joined - associated).Seconds(),
		(claimed - joined).Seconds(), (first - began).Seconds())
	t.Logf("besides scan, association and address: %.1f s (bar %v)", own.Seconds(), bar)
	if own > most {
		t.Errorf("besides scan, association and address it took %v, want at most %v", own, most)
	}
}

// inView is when the code came into view for the last time, since power-on, and the wall clock's distance from that.
func (a *air) inView(t *testing.T) (at, wall time.Duration) {
	t.Helper()
	all := regexp.MustCompile(`in view at (\S+), (\S+) s`).FindAllStringSubmatch(string(a.b.Get("/tmp/fed")), -1)
	if len(all) == 0 {
		t.Fatal("no code was in view")
	}
	last := all[len(all)-1]
	clock, err := time.Parse(time.RFC3339Nano, last[1])
	if err != nil {
		t.Fatal(err)
	}
	at = seconds(t, last[2])
	return at, time.Duration(clock.UnixNano()) - at
}

// said is when the agent last said something, by the wall clock.
func (a *air) said(t *testing.T, pattern string) time.Duration {
	t.Helper()
	lines := a.b.Lines(pattern)
	if len(lines) == 0 {
		t.Fatalf("the agent never said %s", pattern)
	}
	stamp, _, _ := strings.Cut(strings.TrimPrefix(lines[len(lines)-1], "time="), " ")
	at, err := time.Parse(time.RFC3339Nano, stamp)
	if err != nil {
		t.Fatal(err)
	}
	return time.Duration(at.UnixNano())
}

// kernelSaid is when the kernel last said something, since power-on. Its log has a clock of its own, which goes on while
// ticks are lost during a slow start.
func (a *air) kernelSaid(t *testing.T, words string) time.Duration {
	t.Helper()
	stamp := func(words string) (at time.Duration, line string) {
		lines := strings.Split(strings.TrimSpace(a.b.Sh("dmesg | grep -F \""+words+"\"")), "\n")
		stamp, line, _ := strings.Cut(strings.TrimPrefix(lines[len(lines)-1], "["), "] ")
		return seconds(t, strings.TrimSpace(stamp)), line
	}
	at, _ := stamp(words)
	a.b.Sh(`echo "<6>uptime: $(cat /proc/uptime)" >/dev/kmsg`)
	now, line := stamp("uptime: ")
	return at - now + seconds(t, strings.Fields(line)[1])
}

func seconds(t *testing.T, s string) time.Duration {
	t.Helper()
	f, err := strconv.ParseFloat(s, 64)
	if err != nil {
		t.Fatal(err)
	}
	return time.Duration(f * float64(time.Second))
}

// checkRogue: nobody has associated with the access point that asks for no password, and the board has with the other.
func checkRogue(t *testing.T, a *air) {
	log := a.b.Sh("cat /run/ap.log")
	if !strings.Contains(log, "wlan1: STA") || strings.Contains(log, rogue+": STA") {
		t.Errorf("the access points say:\n%s", log)
	}
}
