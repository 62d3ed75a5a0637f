package wifi

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ocellus/ocellus/codec/label"
	"github.com/ocellus/ocellus/hal"
	"github.com/ocellus/ocellus/hal/haltest"
)

// These tests run in the virtual board with the agent's rights (lab/radio_test.go), which has access points raised by
// a helper: -air names the folder in which a configuration is left for it, and where it is asked through a pipe.
var airFolder = flag.String("air", "", "folder of the helper that raises access points")

const (
	boardInterface = "wlan0"
	boardEar       = "/run/ear/wlan0"
	airChannel     = 6
	airGateway     = "198.51.100.1" // TEST-NET-2, RFC 5737
	airNobody      = "198.51.100.254"
)

// needAir skips a test where nobody raises access points.
func needAir(t *testing.T) {
	t.Helper()
	if *airFolder == "" {
		t.Skip("-air FOLDER names nobody who raises access points")
	}
}

// raise puts a network on the air in place of the one before: hostapd's configuration, and that of a DHCP server.
func raise(n *haltest.Network) error {
	leases := filepath.Join(*airFolder, "dhcp.conf")
	if err := os.RemoveAll(leases); err != nil {
		return err
	}
	if n == nil {
		return tellHelper("lower")
	}
	if n.Fault != hal.ErrNoAddress {
		gateway := airGateway
		if n.Fault == hal.ErrNoGateway {
			gateway = airNobody
		}
		conf := fmt.Sprintf("interface wlan1\nstart 198.51.100.2\nend 198.51.100.99\nlease_file %s\npidfile %s\n"+
			"option subnet 255.255.255.0\n", filepath.Join(*airFolder, "leases"), filepath.Join(*airFolder, "dhcp.pid"))
		if n.Fault != errNoRouter {
			conf += "option router " + gateway + "\n"
		}
		if err := os.WriteFile(leases, []byte(conf), 0o644); err != nil {
			return err
		}
	}
	if err := os.WriteFile(filepath.Join(*airFolder, "ap.conf"), []byte(hostapd(*n)), 0o644); err != nil {
		return err
	}
	return tellHelper("raise")
}

// hostapd spells a network as its configuration.
func hostapd(n haltest.Network) string {
	// Beacons every 20 ms, so that a scan hears one, even if nobody on a busy host answers its question in time.
	lines := []string{"interface=wlan1", "ctrl_interface=" + filepath.Join(*airFolder, "ctl"), "driver=nl80211",
		"hw_mode=g", fmt.Sprintf("channel=%d", airChannel), "beacon_int=20", "ssid2=" + hex.EncodeToString([]byte(n.SSID))}
	if n.Hidden {
		lines = append(lines, "ignore_broadcast_ssid=1")
	}
	if n.Fault == hal.ErrRefused {
		lines = append(lines, "macaddr_acl=1")
	}
	key := "wpa_passphrase=" + string(n.Passphrase)
	if n.Passphrase.Raw() {
		key = "wpa_psk=" + string(n.Passphrase)
	}
	protected := []string{"wpa=2", "rsn_pairwise=CCMP", key}
	switch n.Security {
	case hal.SecurityWPA2:
		lines = append(append(lines, protected...), "wpa_key_mgmt=WPA-PSK")
	case hal.SecurityWPA3:
		lines = append(append(lines, protected...), "wpa_key_mgmt=SAE", "ieee80211w=2", "sae_require_mfp=1")
	case hal.SecurityTransition:
		lines = append(append(lines, protected...), "wpa_key_mgmt=WPA-PSK SAE", "ieee80211w=1")
	}
	return strings.Join(lines, "\n") + "\n"
}

// tellHelper waits until the helper has done what a word says.
func tellHelper(word string) error {
	ask, err := os.OpenFile(filepath.Join(*airFolder, "ask"), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer ask.Close()
	answer, err := os.Open(filepath.Join(*airFolder, "answer"))
	if err != nil {
		return err
	}
	defer answer.Close()
	if _, err := fmt.Fprintln(ask, word); err != nil {
		return err
	}
	line, err := bufio.NewReader(answer).ReadString('\n')
	if err == nil && strings.TrimSpace(line) != "ok" {
		err = fmt.Errorf("the helper says %q", line)
	}
	return err
}

func homeNet(s hal.Security) haltest.Network {
	return haltest.Network{Credentials: hal.Credentials{SSID: "HomeNet", Passphrase: "p@ssw0rd!", Security: s}}
}

// errNoRouter is the fault of a network whose DHCP server names no router, which is none.
var errNoRouter = errors.New("no router")

// openBoard names the board's radio as board.Open does.
func openBoard() (*Radio, *Monitor) { return New(Options{Interface: boardInterface, Ear: boardEar}) }

// fewChannels makes scans short: an emulated radio needs 5 to 12 s for all of its channels. The agent goes over them all
// at each start.
func fewChannels(t *testing.T) {
	t.Helper()
	s, err := connect(filepath.Join("/run/wpa_supplicant", boardInterface))
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	if err := s.demand("SET freq_list 2412 2437 2462"); err != nil {
		t.Fatal(err)
	}
}

func TestHardwareRadioLaw(t *testing.T) {
	needAir(t)
	fewChannels(t)
	haltest.Radio(t, func(*testing.T) hal.Radio {
		r, _ := openBoard()
		return r
	}, haltest.RadioOptions{Raise: raise})
}

func TestHardwareMonitorLaw(t *testing.T) {
	needAir(t)
	fewChannels(t)
	haltest.Monitor(t, func(*testing.T) haltest.Ears {
		r, m := openBoard()
		return haltest.Ears{Radio: r, Monitor: m}
	}, haltest.MonitorOptions{Raise: raise, Channel: airChannel})
}

// beginAnew has message 1 of a handshake (IEEE 802.11-2020 12.7.6.2) come from the access point, in plain. Anybody can
// send one.
func beginAnew(l hal.Link) error {
	station, err := net.InterfaceByName(boardInterface)
	if err != nil {
		return err
	}
	b := []byte{0, 0, 8, 0, 0, 0, 0, 0} // radiotap
	b = append(b, 0x08, 0x02, 0, 0)     // data, from the access point
	b = append(append(append(b, station.HardwareAddr...), l.BSSID[:]...), l.BSSID[:]...)
	b = append(b, 0, 0)                               // sequence
	b = append(b, 0xaa, 0xaa, 3, 0, 0, 0, 0x88, 0x8e) // EAPOL, IEEE 802.1X
	b = append(b, 2, 3, 0, 95)                        // EAPOL-Key of 95 bytes
	version := byte(2)                                // of WPA2: HMAC-SHA1; that of WPA3 goes without saying
	if l.Security == hal.SecurityWPA3 {
		version = 0
	}
	b = append(b, 2, 0, 0x88|version, 0, 16)       // RSN; pairwise, to be answered; keys of 16 bytes
	b = append(b, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0) // replay counter, later than any of the access point's
	b = append(b, make([]byte, 95-13)...)
	for name, text := range map[string]string{"frame": hex.EncodeToString(b), "station": station.HardwareAddr.String()} {
		if err := os.WriteFile(filepath.Join(*airFolder, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return tellHelper("send")
}

// state is wpa_supplicant's.
func state(t *testing.T) string {
	t.Helper()
	s, err := connect(filepath.Join("/run/wpa_supplicant", boardInterface))
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	answer, err := s.ask("STATUS")
	if err != nil {
		t.Fatal(err)
	}
	return parseValues(answer)["wpa_state"]
}

// comesBack waits until a radio whose network is taken away, by what was just done, has it again.
func comesBack(ctx context.Context, t *testing.T, r *Radio, why string) {
	t.Helper()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	lost := false
	for begin := time.Now(); ; <-tick.C {
		l, err := r.Link(ctx) // an error while wpa_supplicant is not there
		if lost = lost || err != nil || l == (hal.Link{}); lost && err == nil && l.Address.IsValid() {
			t.Logf("VERDICT %s: in the network again after %.1f s", why, time.Since(begin).Seconds())
			return
		}
		if ctx.Err() != nil {
			t.Fatalf("%s: the link is %+v, %v; it was away: %v", why, l, err, lost)
		}
	}
}

// TestHardwareNoRouter: a network that leads nowhere else is joined, too. Where its access point has forgotten the
// station in the middle of a handshake, both would wait for ever; the radio joins anew.
func TestHardwareNoRouter(t *testing.T) {
	needAir(t)
	fewChannels(t)
	home := homeNet(hal.SecurityWPA3)
	home.Fault = errNoRouter
	r, _ := openBoard()
	defer r.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := errors.Join(r.Country(ctx, "DE"), raise(&home)); err != nil {
		t.Fatal(err)
	}
	l, err := r.Join(ctx, home.Credentials, nil)
	if err != nil || !l.Address.IsValid() || l.Gateway.IsValid() {
		t.Fatalf("got %+v, %v, want an address and no gateway", l, err)
	}
	if err := errors.Join(beginAnew(l), tellHelper("forget")); err != nil {
		t.Fatal(err)
	}
	comesBack(ctx, t, r, "handshake without an end")
	if err := r.Leave(ctx); err != nil {
		t.Error(err)
	}
}

// TestHardwareRestart: a wpa_supplicant that was started again is told the network that the radio is to look for. A
// handshake that begins anew costs nothing while the gateway answers.
func TestHardwareRestart(t *testing.T) {
	needAir(t)
	fewChannels(t)
	home := homeNet(hal.SecurityWPA2)
	r, _ := openBoard()
	defer r.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := errors.Join(r.Country(ctx, "DE"), raise(&home)); err != nil {
		t.Fatal(err)
	}
	joined, err := r.Join(ctx, home.Credentials, nil)
	if err == nil {
		err = beginAnew(joined)
	}
	if err != nil {
		t.Fatal(err)
	}
	for begin := time.Now(); time.Since(begin) < handshakePatience+2*time.Second; time.Sleep(100 * time.Millisecond) {
		if l, err := r.Link(ctx); err != nil || l.Address != joined.Address {
			t.Fatalf("in a handshake the link is %+v, %v", l, err)
		}
	}
	if got := state(t); got != stateHandshake {
		t.Errorf("wpa_supplicant is %s, want it where the handshake began", got)
	}
	if err := tellHelper("restart"); err != nil {
		t.Fatal(err)
	}
	comesBack(ctx, t, r, "wpa_supplicant killed")
	if err := r.Leave(ctx); err != nil {
		t.Error(err)
	}
}

// TestHardwareStranger runs as another user than the agent's: the ear does not hear for it.
func TestHardwareStranger(t *testing.T) {
	needAir(t)
	r, m := openBoard()
	defer r.Close()
	a, err := m.Start(t.Context(), airChannel)
	if !errors.Is(err, hal.ErrClosed) || !strings.Contains(err.Error(), "ear") {
		t.Errorf("got %v, want the ear to hang up", err)
	}
	if err == nil {
		_ = a.Close()
	}
}

// TestHardwareEnroll: phones give networks to the key that a label would have. A phone is another wpa_supplicant, which
// the helper starts.
func TestHardwareEnroll(t *testing.T) {
	needAir(t)
	fewChannels(t)
	haltest.EasyConnect(t, func(*testing.T) haltest.Enrollee {
		r, _ := openBoard()
		return haltest.Enrollee{Radio: r, EasyConnect: r}
	}, haltest.EasyConnectOptions{Raise: raise, Give: give, Channel: airChannel})
}

// give has the helper's phone give a network by the text of a label.
func give(_ context.Context, key *ecdsa.PublicKey, _ int, c hal.Credentials) error {
	uri, err := label.EasyConnectText(key)
	if err != nil {
		return err
	}
	conf := fmt.Sprintf("ssid=%x pass=%x", string(c.SSID), string(c.Passphrase))
	for name, text := range map[string]string{"uri": uri, "conf": conf} {
		if err := os.WriteFile(filepath.Join(*airFolder, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return tellHelper("configure")
}

// recorded is wpa_supplicant's events and when they came.
type recorded struct {
	mu   sync.Mutex // guards list
	list []struct {
		event
		at time.Time
	}
}

// record listens for the time of a test.
func record(t *testing.T) *recorded {
	t.Helper()
	s, err := connect(filepath.Join("/run/wpa_supplicant", boardInterface))
	if err == nil {
		err = s.attach()
	}
	if err != nil {
		t.Fatal(err)
	}
	var r recorded
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for e := range s.news {
			r.mu.Lock()
			r.list = append(r.list, struct {
				event
				at time.Time
			}{e, time.Now()})
			r.mu.Unlock()
		}
	}()
	t.Cleanup(func() { s.close(); <-ended })
	return &r
}

// deciding returns when the first and the last event came that are a sign of why, or whose name it is.
func (r *recorded) deciding(why error, name string) (first, last time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range r.list {
		known := map[error]knowledge{hal.ErrNoNetwork: absent, hal.ErrSecurity: unsuitable}[why]
		if e.name != name && signOf(e.event, known) != why {
			continue
		}
		if last = e.at; first.IsZero() {
			first = e.at
		}
	}
	return first, last
}

// TestHardwareVerdicts measures how long after the deciding event a join says why it fails, the first sign and what is
// sure; 0.3 s is the bar on a quiet machine. It fails where that takes so long that a patience decided, and no event.
func TestHardwareVerdicts(t *testing.T) {
	needAir(t)
	fewChannels(t)
	const most = time.Second
	home := homeNet(hal.SecurityWPA2)
	variant := func(s hal.Security, fault error) *haltest.Network {
		n := home
		n.Security, n.Fault = s, fault
		return &n
	}
	wrong := home.Credentials
	wrong.Passphrase, wrong.Security = "p@ssw0rd?", hal.SecurityAny
	right := home.Credentials
	right.Security = hal.SecurityAny
	members, member := variant(hal.SecurityWPA2, hal.ErrRefused), right
	members.SSID, member.SSID = "club", "club"
	for _, c := range []struct {
		name  string
		there *haltest.Network
		with  hal.Credentials
		why   error
		event string        // decides, where it is no sign by itself
		waits time.Duration // after it, for what does not come
	}{
		{"no such network", nil, right, hal.ErrNoNetwork, "", 0},
		{"wrong WPA2 password", &home, wrong, hal.ErrPassword, "", 0},
		{"wrong WPA3 password", variant(hal.SecurityWPA3, nil), wrong, hal.ErrPassword, "", 0},
		{"refused, WPA2", members, member, hal.ErrRefused, "", 0},
		{"no address", variant(hal.SecurityWPA2, hal.ErrNoAddress), right, hal.ErrNoAddress, eventConnected, addressPatience},
		{"no gateway", variant(hal.SecurityWPA2, hal.ErrNoGateway), right, hal.ErrNoGateway, "", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, _ := openBoard()
			defer r.Close()
			if err := errors.Join(r.Country(t.Context(), "DE"), r.Leave(t.Context()), raise(c.there)); err != nil {
				t.Fatal(err)
			}
			if c.there != nil { // it is in the last scan's results, as it is when a phone names it
				if _, err := r.Scan(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			events, gateway := record(t), recordGateway(t)
			begin, told := time.Now(), time.Time{}
			_, err := r.Join(t.Context(), c.with, func(error) { told = time.Now() })
			end := time.Now()
			if !errors.Is(err, c.why) {
				t.Fatalf("got %v, want %v", err, c.why)
			}
			first, last := events.deciding(c.why, c.event)
			if c.why == hal.ErrNoGateway {
				first, last = told, gateway()
			}
			t.Logf("VERDICT %-20s first sign after %5.2f s, sure after %5.2f s; %4d ms and %4d ms behind the event", c.name,
				told.Sub(begin).Seconds(), end.Sub(begin).Seconds(), told.Sub(first).Milliseconds(),
				(end.Sub(last) - c.waits).Milliseconds())
			if late := end.Sub(last) - c.waits; late > most || last.IsZero() {
				t.Errorf("the verdict came %v after the last event that it needs, want %v at most", late, most)
			}
			if c.waits == 0 && told.Sub(first) > most {
				t.Errorf("the first sign came %v after its event, want %v at most", told.Sub(first), most)
			}
		})
	}
}

// recordGateway returns when the kernel said that the gateway does not answer.
func recordGateway(t *testing.T) func() time.Time {
	t.Helper()
	index, err := indexOf(boardInterface)
	if err != nil {
		t.Fatal(err)
	}
	w, err := newWatch(index)
	if err != nil {
		t.Fatal(err)
	}
	said := make(chan time.Time, 1) // capacity 1: the first time
	go func() {
		for range w.changed {
			now := w.ways()
			if yes, known := now.gatewayAnswers(); known && !yes {
				select {
				case said <- time.Now():
				default:
				}
			}
		}
	}()
	t.Cleanup(func() { w.close(); close(w.changed) })
	return func() time.Time {
		select {
		case at := <-said:
			return at
		case <-time.After(time.Second):
			return time.Time{}
		}
	}
}
