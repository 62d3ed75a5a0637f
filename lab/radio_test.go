package lab

import (
	"strings"
	"testing"
	"time"

	"github.com/ocellus/ocellus/lab/virt"
)

// airHelper raises access points for the driver's test, which has the agent's rights and may not: it reads a word,
// takes down what was there, and raises what the test has left as a configuration, or gives a network by
// Wi-Fi Easy Connect; or it sends a frame, or has the access point forget a station.
const airHelper = `
cd /run/air
exec 3<>ask 4<>answer
ask() { /lab/peer ask /run/air/ctl/wlan1 "$@"; }
configure() { # as a phone does that has scanned the label
	printf "ctrl_interface=/run/air/ctl\n" >ctl.conf
	/usr/sbin/wpa_supplicant -B -P /run/air/ap.pid -i wlan1 -D nl80211 -c ctl.conf && [ "$(ask PING)" = PONG ] &&
	c=$(ask DPP_CONFIGURATOR_ADD) && q=$(ask DPP_QR_CODE "$(cat uri)") &&
	[ "$(ask DPP_AUTH_INIT peer=$q configurator=$c conf=sta-psk $(cat conf))" = OK ]
}
raise() { # each network by an address of its own: the kernel may still have what another one answered by the same
	ip link set wlan1 down &&
	ip link set wlan1 address 02:00:00:01:$(md5sum <ap.conf | sed 's/\(..\)\(..\).*/\1:\2/') &&
	HOSTAPD -B -P /run/air/ap.pid -f /run/air/ap.log ap.conf && ip addr replace ADDRESS/24 dev wlan1 &&
	{ [ ! -e dhcp.conf ] || /bin/busybox udhcpd -a 0 dhcp.conf; }
}
restart() { kill -9 $(pidof wpa_supplicant); }
send() { /lab/peer send wlan2 $(cat frame); }
forget() { [ "$(ask DEAUTHENTICATE $(cat station) tx=0)" = OK ]; }
over() { p=$(cat $1 2>/dev/null) || return 0; rm -f $1; kill $p; while [ -e /proc/$p ]; do sleep 0.05; done; }
while read -r word <&3; do
	case $word in raise | lower | configure) over dhcp.pid; over ap.pid; rm -f leases; : >leases ;; esac
	[ $word = lower ] || $word
	echo $([ $? = 0 ] && echo ok || echo failed) >&4
done
`

// TestBoardRadio: the Wi-Fi driver keeps the law of hal with the agent's rights, on the built image: its
// wpa_supplicant, its DHCP client, its ear, and an access point on the air.
func TestBoardRadio(t *testing.T) {
	eachArch(t, func(t *testing.T, arch string) {
		a := bootWithAir(t, arch)
		a.quiet()
		a.b.Sh("mkdir -m 755 /run/air && mkfifo -m 666 /run/air/ask /run/air/answer && chown 1000:1000 /run/air")
		helper := strings.NewReplacer("HOSTAPD", labs("hostapd"), "ADDRESS", apAddress).Replace(airHelper)
		a.b.Put("/run/air-helper", []byte(helper), 0o644)
		a.sh("setsid sh /run/air-helper </dev/null >/run/air-helper.log 2>&1 &")
		a.b.Test("ear", func(t *testing.T) { checkEar(t, a) })
		for _, test := range []string{"TestHardwareEnroll", "TestHardwareVerdicts",
			"TestHardwareMonitorLaw", "TestHardwareRadioLaw", "TestHardwareNoRouter", "TestHardwareRestart"} {
			a.b.Test(test, func(t *testing.T) { runDriverTest(t, a, test) })
		}
	})
}

// runDriverTest runs a test of the driver in the board as the agent's user.
func runDriverTest(t *testing.T, a *air, test string) {
	t.Helper()
	const limit = 6 * time.Minute
	r := a.b.RunAsFor(virt.Agent(), limit, "/lab/wifi.test", "-test.v", "-test.run", "^"+test+"$", "-air", "/run/air",
		"-test.timeout", limit.String())
	for line := range strings.Lines(r.Out) {
		if _, verdict, ok := strings.Cut(line, "VERDICT "); ok {
			t.Log(strings.TrimSpace(verdict))
		}
	}
	if r.Code != 0 || !strings.Contains(r.Out, "--- PASS: "+test) || strings.Contains(r.Out, "--- SKIP") {
		t.Errorf("%s: exit code %d:\n%s%s", test, r.Code, r.Out, r.Errs)
		t.Log(a.b.Try("cat /run/air-helper.log; tail -n 30 /run/air/ap.log; ip addr; dmesg | tail -n 20").Out)
	}
}

// checkEar: the service that hears starts for who comes, has a user of its own and two capabilities, and answers the
// agent alone.
func checkEar(t *testing.T, a *air) {
	t.Helper()
	until(t, 20*time.Second, "the ear is there", func() bool { return a.b.Try("[ -S /run/ear/wlan0 ]").Code == 0 })
	// He may enter the folder and speak to wpa_supplicant, and is not the agent.
	stranger := virt.User{UID: 1005, GID: 1000, Groups: []uint32{1002}}
	r := a.b.RunAs(stranger, "/lab/wifi.test", "-test.v", "-test.run", "^TestHardwareStranger$", "-air", "/run/air")
	if r.Code != 0 || !strings.Contains(r.Out, "--- PASS: TestHardwareStranger") {
		t.Errorf("a stranger: exit code %d: %s%s", r.Code, r.Out, r.Errs)
	}
	status := string(a.b.Get("/proc/" + programPID(a.b, "ear") + "/status"))
	for _, want := range []string{"Uid:\t1004\t1004", "NoNewPrivs:\t1", "CapEff:\t0000000000003000",
		"CapBnd:\t0000000000003000"} {
		if !strings.Contains(status, want) {
			t.Errorf("the ear has no %q:\n%s", want, status)
		}
	}
	for line := range strings.Lines(status) {
		if strings.HasPrefix(line, "RssAnon:") {
			t.Log("the ear's own memory:", strings.TrimSpace(strings.TrimPrefix(line, "RssAnon:")))
		}
	}
}
