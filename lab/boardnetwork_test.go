package lab

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"
)

// phoneAddress is that of the phone in the access point's network.
const phoneAddress = "198.51.100.20"

// handset is a phone in the air: a station of the access point with a network namespace of its own. The access point
// sends nothing to everybody while nobody is in its network.
type handset struct {
	a   *air
	pid string // of the namespace
}

// handset makes the third radio, which listened, a phone in a network.
func (a *air) handset(t *testing.T, w wifi) *handset {
	t.Helper()
	h := &handset{a: a}
	h.pid = strings.TrimSpace(a.b.Sh("unshare -n sleep 100000 </dev/null >/dev/null 2>&1 & echo $!"))
	a.b.Sh("until [ $(readlink /proc/" + h.pid + "/ns/net) != $(readlink /proc/self/ns/net) ]; do sleep 0.1; done")
	a.sh("ip link set wlan2 down && " + labs("iw") + " dev wlan2 set type managed && " +
		labs("iw") + " phy phy2 set netns " + h.pid)
	conf := fmt.Sprintf("network={\nssid=%q\nscan_freq=2437\n", w.ssid)
	for _, line := range w.join {
		conf += strings.Replace(line, " ", "=", 1) + "\n"
	}
	conf += "}\n"
	a.b.Put("/run/phone.conf", []byte(conf), 0o600)
	h.sh("ip link set lo up && ip link set wlan2 up && ip addr add " + phoneAddress + "/24 dev wlan2 && " +
		"/usr/sbin/wpa_supplicant -B -P /run/phone.pid -i wlan2 -D nl80211 -c /run/phone.conf")
	until(t, time.Minute, "the phone is in "+w.ssid, func() bool {
		return strings.Contains(h.sh(labs("iw")+" dev wlan2 link"), "Connected to")
	})
	return h
}

// sh runs a script on the phone.
func (h *handset) sh(script string) string {
	return h.a.b.Sh("nsenter -t " + h.pid + " -n -- sh -c '" + script + "'")
}

// camctl runs camctl on the phone within a limit, and returns what it says and "code " and its exit code.
func (h *handset) camctl(t *testing.T, limit time.Duration, password string, words ...string) (said string) {
	t.Helper()
	h.sh(fmt.Sprintf("rm -f /tmp/said; (OCELLUS_HOME=/tmp/owner OCELLUS_WIFI_PASSWORD=%q /lab/camctl %s; echo code $?) "+
		"</dev/null >/tmp/said 2>&1 &", password, strings.Join(words, " ")))
	until(t, limit, "camctl "+words[0], func() bool {
		said = h.a.b.Sh("cat /tmp/said")
		return strings.Contains(said, "code ")
	})
	return said
}

// TestBoardNetwork: a board that nobody owns hears SmartConfig through the air, joins, is claimed over that network, and
// streams there. It tells a wrong password from no network, and is deaf once it has an owner.
func TestBoardNetwork(t *testing.T) {
	eachArch(t, func(t *testing.T, arch string) {
		a := bootWithAir(t, arch)
		home := wpa2("HomeNet", "password one")
		a.raise(home)
		phone, label := a.handset(t, home), a.b.Label()
		send := func(t *testing.T, password, patience string) string {
			return phone.camctl(t, 3*time.Minute, password, "pair", "--by", "smartconfig", "--ssid", home.ssid, "--country", "DE",
				"--patience", patience, "--label", label)
		}
		a.b.Test("wrong password", func(t *testing.T) {
			if said := send(t, "password two", "45s"); !strings.Contains(said, "code 3") {
				t.Errorf("camctl pair: %s", said)
			}
			a.b.Expect(`state=listening from=joining event=failed reason=wrong_password`, time.Minute)
		})
		a.b.Test("from box to owner", func(t *testing.T) {
			begin := time.Now()
			said := send(t, "password one", "150s")
			url := regexp.MustCompile(`rtsp://\S+/main`).FindString(said)
			if !strings.Contains(said, "code 0") || url == "" {
				t.Fatalf("camctl pair: %s", said)
			}
			t.Logf("from the first packet to claimed: %.1f s", time.Since(begin).Seconds())
			s := parseSummary(t, phone.sh("timeout -s QUIT 30 /lab/camctl watch --json --duration 4s --transport tcp "+url))
			if !s.whole() || s.Pictures < 20 {
				t.Errorf("the owner's stream: %+v", s)
			}
		})
		a.b.Test("deaf", func(t *testing.T) {
			phone.camctl(t, time.Minute, "password two", "pair", "--by", "smartconfig", "--ssid", "Evil", "--country", "DE",
				"--patience", "25s", "--home", "/tmp/thief", "--label", label)
			said := phone.camctl(t, time.Minute, "", "network", "status", "camera")
			if !strings.Contains(said, `provisioned, network "HomeNet"`) {
				t.Errorf("after SmartConfig to a camera that has an owner: %s", said)
			}
		})
	})
}
