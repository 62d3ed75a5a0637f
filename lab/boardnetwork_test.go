package lab

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"
)

// phone runs camctl at the access point, as a phone in that network.
func (a *air) phone(password string, words ...string) string {
	return a.sh(fmt.Sprintf("OCELLUS_HOME=/tmp/owner OCELLUS_WIFI_PASSWORD=%q timeout 170 /lab/camctl %s 2>&1; echo code $?",
		password, strings.Join(words, " ")))
}

// TestBoardNetwork: a board that nobody owns hears SmartConfig through the air, joins, is claimed over that network, and
// streams there. It tells a wrong password from no network, and is deaf once it has an owner.
func TestBoardNetwork(t *testing.T) {
	eachArch(t, func(t *testing.T, arch string) {
		a := bootWithAir(t, arch)
		const ssid, password = "HomeNet", "p@ssw0rd!"
		a.raise(wpa2(ssid, password))
		label := a.b.Label()
		send := func(password, patience string) string {
			return a.phone(password, "pair", "--by", "smartconfig", "--ssid", ssid, "--country", "DE", "--patience", patience,
				"--label", label)
		}
		a.b.Test("wrong password", func(t *testing.T) {
			if said := send("not the password", "45s"); !strings.Contains(said, "code 3") {
				t.Errorf("camctl pair: %s", said)
			}
			a.b.Expect(`state=listening from=joining event=failed reason=wrong_password`, time.Minute)
		})
		a.b.Test("from box to owner", func(t *testing.T) {
			begin := time.Now()
			said := send(password, "150s")
			url := regexp.MustCompile(`rtsp://\S+/main`).FindString(said)
			if !strings.Contains(said, "code 0") || url == "" {
				t.Fatalf("camctl pair: %s", said)
			}
			t.Logf("from the first packet to claimed: %.1f s", time.Since(begin).Seconds())
			s := parseSummary(t, a.sh("timeout -s QUIT 30 /lab/camctl watch --json --duration 4s --transport tcp "+url))
			if !s.whole() || s.Pictures < 20 {
				t.Errorf("the owner's stream: %+v", s)
			}
		})
		a.b.Test("deaf", func(t *testing.T) {
			a.phone("12345678", "pair", "--by", "smartconfig", "--ssid", "Evil", "--country", "DE", "--patience", "25s",
				"--home", "/tmp/thief", "--label", label)
			if said := a.phone("", "network", "status", "camera"); !strings.Contains(said, `provisioned, network "HomeNet"`) {
				t.Errorf("after SmartConfig to a camera that has an owner: %s", said)
			}
		})
	})
}
