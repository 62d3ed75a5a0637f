package lab

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/ocellus/ocellus/lab/virt"
)

// air is what is around a board with Wi-Fi: an access point and a listener, on the other radios of the board's own
// kernel, in a network namespace of their own. What the board sends reaches them through the air or not at all.
type air struct {
	b   *virt.Board
	pid string // of the namespace
}

// wifi is a network, in the words of hostapd and of wpa_supplicant.
type wifi struct {
	ssid, password string

	ap   []string // lines of hostapd.conf
	join []string // wpa_supplicant's network block, NAME=VALUE
}

const (
	apAddress  = "198.51.100.1" // TEST-NET-2, RFC 5737
	airChannel = "6"
	rogue      = "wlan1_rogue" // its interface
)

func wpa2(ssid, password string) wifi {
	return wifi{ssid, password,
		[]string{"wpa=2", "wpa_key_mgmt=WPA-PSK", "rsn_pairwise=CCMP", "wpa_passphrase=" + password},
		[]string{"key_mgmt=WPA-PSK", fmt.Sprintf("psk=%q", password)}}
}

func wpa3(ssid, password string) wifi {
	return wifi{ssid, password,
		[]string{"wpa=2", "wpa_key_mgmt=SAE", "rsn_pairwise=CCMP", "ieee80211w=2", "sae_require_mfp=1",
			"sae_password=" + password},
		[]string{"key_mgmt=SAE", "ieee80211w=2", fmt.Sprintf("sae_password=%q", password)}}
}

// bootWithAir switches a board on whose lab's disk brings Debian's hostapd and iw, and moves two of its four radios
// out. The last one is for a phone (handset).
func bootWithAir(t *testing.T, arch string) *air {
	t.Helper()
	files := map[string]string{}
	for _, name := range []string{"peer", "camctl", "wifi.test", "feed"} {
		files[name] = virt.Brought(t, arch, name)
	}
	parts, err := os.ReadDir(virt.Brought(t, arch, "air"))
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range parts {
		files["air/"+part.Name()] = virt.Brought(t, arch, "air/"+part.Name())
	}
	a := &air{b: virt.Boot(t, virt.Options{Arch: arch, Lab: virt.Lab{Files: files, Conf: []string{loopbackModule}}})}
	a.pid = namespace(a.b)
	for _, phy := range []string{"phy1", "phy2"} {
		a.b.Sh(labs("iw") + " phy " + phy + " set netns " + a.pid)
	}
	a.sh(labs("iw") + " dev wlan2 set type monitor && ip link set lo up && ip link set wlan2 up && " +
		labs("iw") + " dev wlan2 set channel " + airChannel)
	return a
}

// namespace makes a network namespace in the board, and returns the process that it lives by.
func namespace(b *virt.Board) (pid string) {
	pid = strings.TrimSpace(b.Sh("unshare -n sleep 100000 </dev/null >/dev/null 2>&1 & echo $!"))
	b.Sh("until [ $(readlink /proc/" + pid + "/ns/net) != $(readlink /proc/self/ns/net) ]; do sleep 0.1; done")
	return pid
}

// quiet makes the test the owner of the camera, which has no network then and leaves its radio to the test.
func (a *air) quiet() {
	a.b.Claim()
	a.b.Expect(`part=provision state=unprovisioned from=listening`, time.Minute)
}

// labs is a program of the lab's disk that needs its libraries from there.
func labs(program string) string { return "/lab/air/ld --library-path /lab/air /lab/air/" + program }

// sh runs a script in the namespace.
func (a *air) sh(script string) string {
	return a.b.Sh("nsenter -t " + a.pid + " -n -- sh -c '" + script + "'")
}

// raise starts the access point of a network, in place of the one before, and beside it a rogue of the same name that
// asks for no password.
func (a *air) raise(w wifi) {
	name := "ssid2=" + hex.EncodeToString([]byte(w.ssid))
	conf := append([]string{"interface=wlan1", "driver=nl80211", "hw_mode=g", "channel=" + airChannel, name}, w.ap...)
	conf = append(conf, "bss="+rogue, name)
	a.b.Put("/run/ap.conf", []byte(strings.Join(conf, "\n")+"\n"), 0o600)
	a.b.Sh("p=$(cat /run/ap.pid 2>/dev/null) || exit 0; kill $p; while [ -e /proc/$p ]; do sleep 0.1; done")
	a.sh(labs("hostapd") + " -B -P /run/ap.pid -f /run/ap.log /run/ap.conf && ip addr replace " + apAddress + "/24 dev wlan1")
	a.serveAddresses()
}

// serveAddresses starts the access point's DHCP server where it does not run yet.
func (a *air) serveAddresses() {
	conf := "interface wlan1\nstart 198.51.100.2\nend 198.51.100.9\nlease_file /run/ap.leases\npidfile /run/ap.dhcp\n" +
		"option subnet 255.255.255.0\n"
	a.b.Put("/run/ap.dhcp.conf", []byte(conf), 0o600)
	a.b.Put("/run/ap.leases", nil, 0o600)
	a.sh("[ -e /run/ap.dhcp ] || /bin/busybox udhcpd -a 0 /run/ap.dhcp.conf </dev/null >/dev/null 2>&1")
}

// ask sends a request to wpa_supplicant's control socket with the rights of the agent.
func (a *air) ask(t *testing.T, words ...string) string {
	t.Helper()
	r := a.asks(virt.Agent(), words...)
	answer := strings.TrimSpace(r.Out)
	if r.Code != 0 || answer == "FAIL" {
		t.Fatalf("wpa_supplicant: %q: exit code %d: %s%s", words, r.Code, r.Out, r.Errs)
	}
	return answer
}

// asks sends a request to wpa_supplicant's control socket with somebody's rights.
func (a *air) asks(who virt.User, words ...string) virt.Ran {
	return a.b.RunAs(who, append([]string{"/lab/peer", "ask", "/run/wpa_supplicant/wlan0"}, words...)...)
}

// join makes the board join a network and returns the address that it got there.
func (a *air) join(t *testing.T, w wifi) string {
	t.Helper()
	a.ask(t, "REMOVE_NETWORK", "all")
	id := a.ask(t, "ADD_NETWORK")
	a.ask(t, "SET_NETWORK", id, "ssid", hex.EncodeToString([]byte(w.ssid)))
	for _, line := range append(w.join, "scan_freq=2437") {
		name, value, _ := strings.Cut(line, "=")
		a.ask(t, "SET_NETWORK", id, name, value)
	}
	a.ask(t, "SELECT_NETWORK", id)
	var address string
	until(t, time.Minute, "the board is in "+w.ssid, func() bool {
		status := a.ask(t, "STATUS")
		_, address, _ = strings.Cut(status, "ip_address=")
		address, _, _ = strings.Cut(address, "\n")
		return strings.Contains(status, "wpa_state=COMPLETED") && address != ""
	})
	return address
}

// watch plays a stream at the access point for some seconds, and counts meanwhile what the listener hears.
func (a *air) watch(t *testing.T, address, transport string) (summary, heard) {
	t.Helper()
	u, err := url.Parse(a.b.URL("main"))
	if err != nil {
		t.Fatal(err)
	}
	u.Host = address + ":8554"
	out := a.sh(fmt.Sprintf("/lab/peer frames wlan2 -for 5s >/tmp/heard & "+
		"timeout -s QUIT 30 /lab/camctl watch --json --duration 4s --transport %s %s; code=$?; wait; exit $code", transport, u))
	return parseSummary(t, out), a.heard(t, a.b.Sh("cat /tmp/heard"))
}

// heard is what lab/peer counted on the monitor interface.
type heard struct{ Frames, Beacons, Data, Protected int }

func (a *air) heard(t *testing.T, out string) (h heard) {
	t.Helper()
	if err := json.Unmarshal([]byte(out), &h); err != nil {
		t.Fatalf("%v: %q", err, out)
	}
	return h
}

// TestBoardAir: a board joins networks as the provisioning will make it, streams over them, and a listener hears that.
func TestBoardAir(t *testing.T) {
	atOnce(t, func(t *testing.T, arch string) {
		a := bootWithAir(t, arch)
		a.quiet()
		a.b.Test("supplicant", func(t *testing.T) { checkSupplicant(t, a) })
		a.b.Test("wpa2", func(t *testing.T) { checkAir(t, a, wpa2(`Lab "two"`, "correct horse")) })
		a.b.Test("wpa3", func(t *testing.T) { checkAir(t, a, wpa3("Lab drei é", "battery staple")) })
		a.b.Test("country", func(t *testing.T) { checkCountry(t, a) })
		a.elsewhere(t)
	})
}

// elsewhere: a listener on another channel hears nothing.
func (a *air) elsewhere(t *testing.T) {
	t.Helper()
	elsewhere := a.sh(labs("iw") + " dev wlan2 set channel 1 && /lab/peer frames wlan2 -for 1s || [ $? = 1 ]")
	if h := a.heard(t, elsewhere); h.Frames > 0 {
		t.Errorf("the listener on another channel hears %+v", h)
	}
}

// checkAir: the board joins and streams, and the listener hears encrypted frames alone.
func checkAir(t *testing.T, a *air, w wifi) {
	t.Helper()
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(a.b.Run("/bin/busybox", "sh", "-c", "cat /run/ap.log; ip addr; dmesg | tail -n 20").Out)
		}
	})
	a.raise(w)
	begin := time.Now()
	address := a.join(t, w)
	t.Logf("joined %q and has %s after %.1f s", w.ssid, address, time.Since(begin).Seconds())
	for _, transport := range []string{"tcp", "udp"} {
		s, h := a.watch(t, address, transport)
		t.Logf("%d pictures by %s, %.1f a second; the listener heard %+v", s.Pictures, transport, s.FPS, h)
		if !s.whole() || s.Pictures < 20 {
			t.Errorf("%s over the air by %s: %+v", w.ssid, transport, s)
		}
		if h.Beacons < 20 || h.Protected < 20 || h.Protected != h.Data {
			t.Errorf("the listener on the channel hears %+v", h)
		}
	}
}

// checkSupplicant: it has two capabilities and a user of its own, and speaks with the agent alone.
func checkSupplicant(t *testing.T, a *air) {
	t.Helper()
	until(t, 20*time.Second, "wpa_supplicant answers", func() bool {
		return strings.Contains(a.asks(virt.Agent(), "PING").Out, "PONG")
	})
	status := a.b.Sh("cat /proc/$(pidof wpa_supplicant)/status")
	const netAdminAndRaw = "0000000000003000"
	for _, want := range []string{"Uid:\t1001\t1001", "NoNewPrivs:\t1", "CapEff:\t" + netAdminAndRaw,
		"CapPrm:\t" + netAdminAndRaw, "CapBnd:\t" + netAdminAndRaw} {
		if !strings.Contains(status, want) {
			t.Errorf("wpa_supplicant has no %q:\n%s", want, status)
		}
	}
	for _, who := range []virt.User{{UID: 1003, GID: 1003}, {UID: 1003, GID: 1000, Groups: []uint32{44, 1001}}} {
		r := a.asks(who, "PING")
		if r.Code == 0 || strings.Contains(r.Out, "PONG") {
			t.Errorf("%+v may speak to wpa_supplicant: %+v", who, r)
		}
	}
}

// checkCountry: the kernel finds a country in its regulatory database.
func checkCountry(t *testing.T, a *air) {
	a.b.Sh(labs("iw") + " reg set FR")
	until(t, 10*time.Second, "the radios are in France", func() bool {
		return strings.Contains(a.b.Sh(labs("iw")+" reg get"), "country FR")
	})
}
