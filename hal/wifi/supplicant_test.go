package wifi

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ocellus/ocellus/hal"
)

// fakeSupplicant answers as wpa_supplicant 2.10 does, on a socket like its own. What the driver does with the real one
// is tested in the virtual board.
type fakeSupplicant struct {
	conn    *net.UnixConn
	answers func(request string) string
	events  map[string][]string // sent behind the answer to a request that begins so

	mu       sync.Mutex // guards the rest
	requests []string
	attached net.Addr
}

// nothing is an answer of no bytes.
const nothing = "nothing"

// startFake starts one and returns a radio that speaks to it.
func startFake(t *testing.T, f *fakeSupplicant) *Radio {
	t.Helper()
	dir := t.TempDir()
	var err error
	f.conn, err = net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(dir, "lo"), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		f.serve()
	}()
	t.Cleanup(func() { _ = f.conn.Close(); <-ended })
	r, _ := New(Options{Interface: "lo", Control: dir})
	r.country = "DE"
	return r
}

func (f *fakeSupplicant) serve() {
	b := make([]byte, 8<<10)
	for {
		n, from, err := f.conn.ReadFrom(b)
		if err != nil {
			return
		}
		request := string(b[:n])
		f.mu.Lock()
		f.requests = append(f.requests, request)
		if request == "ATTACH" {
			f.attached = from
		}
		told := f.attached
		f.mu.Unlock()
		answer := "OK\n"
		if f.answers != nil {
			if a := f.answers(request); a != "" {
				answer = strings.TrimPrefix(a, nothing)
			}
		}
		_, _ = f.conn.WriteTo([]byte(answer), from)
		for prefix, events := range f.events {
			if strings.HasPrefix(request, prefix) && told != nil {
				for _, e := range events {
					_, _ = f.conn.WriteTo([]byte(e), told)
				}
			}
		}
	}
}

// heard returns the requests that begin with a word.
func (f *fakeSupplicant) heard(word string) []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var list []string
	for _, r := range f.requests {
		if strings.HasPrefix(r, word) {
			list = append(list, r)
		}
	}
	return list
}

func TestScanPages(t *testing.T) {
	t.Parallel()
	block := func(id, level int) string {
		return fmt.Sprintf("id=%d\nbssid=02:00:00:00:00:%02x\nfreq=2412\nlevel=%d\nflags=[ESS]\nssid=n%[1]d\n====\n", id, id, level)
	}
	f := &fakeSupplicant{
		answers: func(request string) string {
			switch request {
			case "BSS RANGE=0- MASK=0x21887":
				return block(3, -70) + block(9, -40) + "id=12\nbssid=02:0"
			case "BSS RANGE=10- MASK=0x21887":
				return block(12, -55)
			case "BSS RANGE=13- MASK=0x21887":
				return nothing
			}
			return ""
		},
		events: map[string][]string{"SCAN": {"<3>CTRL-EVENT-SCAN-STARTED ", "nonsense", "<3>CTRL-EVENT-SCAN-RESULTS "}},
	}
	list, err := startFake(t, f).Scan(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	got := ""
	for _, n := range list {
		got += fmt.Sprintf("%s %d ", n.SSID, n.Signal)
	}
	if got != "n9 -40 n12 -55 n3 -70 " {
		t.Errorf("got %s", got)
	}
}

// TestEmptyScan: where nobody answered in time, beacons are waited for.
func TestEmptyScan(t *testing.T) {
	t.Parallel()
	passive := false
	f := &fakeSupplicant{events: map[string][]string{"SCAN": {"<3>CTRL-EVENT-SCAN-RESULTS "}}}
	f.answers = func(request string) string {
		switch {
		case strings.HasPrefix(request, "SCAN"):
			passive = strings.HasSuffix(request, " passive=1")
		case request == "BSS RANGE=0- MASK=0x21887" && passive:
			return "id=3\nbssid=02:00:00:00:00:03\nfreq=2412\nlevel=-40\nflags=[ESS]\nssid=quiet\n====\n"
		case strings.HasPrefix(request, "BSS RANGE"):
			return nothing
		}
		return ""
	}
	list, err := startFake(t, f).Scan(t.Context())
	if got := f.heard("SCAN"); err != nil || len(list) != 1 || list[0].SSID != "quiet" || len(got) != 2 {
		t.Errorf("got %+v, %v by %q", list, err, got)
	}
}

// TestJoinTells: what wpa_supplicant is told of a network, and that an error holds no passphrase.
func TestJoinTells(t *testing.T) {
	t.Parallel()
	f := &fakeSupplicant{
		answers: func(request string) string {
			if request == "ADD_NETWORK" {
				return "7\n"
			}
			return ""
		},
		events: map[string][]string{"SELECT_NETWORK": {
			`<3>CTRL-EVENT-SSID-TEMP-DISABLED id=7 ssid="x" auth_failures=1 duration=10 reason=WRONG_KEY`}},
	}
	const secret = `a"b $(reboot)`
	var told error
	_, err := startFake(t, f).Join(t.Context(), hal.Credentials{SSID: "\U0001f4f7\"", Passphrase: secret, Hidden: true},
		func(why error) { told = why })
	if !errors.Is(err, hal.ErrPassword) || told != hal.ErrPassword || strings.Contains(err.Error(), "reboot") {
		t.Errorf("got %v after %v", err, told)
	}
	want := []string{"SET_NETWORK 7 ssid f09f93b722", "SET_NETWORK 7 scan_ssid 1", "SET_NETWORK 7 proto RSN",
		"SET_NETWORK 7 pairwise CCMP", "SET_NETWORK 7 key_mgmt WPA-PSK WPA-PSK-SHA256 SAE", "SET_NETWORK 7 ieee80211w 1",
		`SET_NETWORK 7 psk "a"b $(reboot)"`}
	if got := f.heard("SET_NETWORK"); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %q\nwant %q", got, want)
	}
	if got := f.heard("SELECT_NETWORK"); len(got) != 2 { // the second attempt made it sure
		t.Errorf("%d attempts, want 2", len(got))
	}
	if got := f.heard("REMOVE_NETWORK"); len(got) != 2 { // before and after
		t.Errorf("it was left %d times, want 2", len(got))
	}
}

// TestJoinWithoutRouter: lo has an address and no default route, as in a network that leads nowhere else. The event of
// the association is lost.
func TestJoinWithoutRouter(t *testing.T) {
	t.Parallel()
	f := &fakeSupplicant{answers: func(request string) string {
		return map[string]string{"ADD_NETWORK": "0\n", "STATUS": "wpa_state=COMPLETED\nssid=HomeNet\n",
			"BSS CURRENT MASK=0x21887": strings.Replace(twoEntries, "PSK+SAE", "PSK", 1)}[request]
	}}
	c := hal.Credentials{SSID: "HomeNet", Passphrase: "p@ssw0rd!"}
	l, err := startFake(t, f).Join(t.Context(), c, func(why error) { t.Errorf("told %v", why) })
	if err != nil || l.SSID != c.SSID || l.Security != hal.SecurityWPA2 || l.Address.Addr().String() != "127.0.0.1" ||
		l.Gateway.IsValid() {
		t.Errorf("got %+v, %v", l, err)
	}
}

// TestRemind: a wpa_supplicant that knows no network any more is told the one that was joined; another is left alone.
func TestRemind(t *testing.T) {
	t.Parallel()
	for networks, want := range map[string]int{"network id / ssid / bssid / flags\n": 1,
		"network id / ssid / bssid / flags\n0\tHomeNet\tany\t[CURRENT]\n": 0} {
		f := &fakeSupplicant{answers: func(request string) string {
			return map[string]string{"STATUS": "wpa_state=SCANNING\n", "LIST_NETWORKS": networks, "ADD_NETWORK": "0\n"}[request]
		}}
		r := startFake(t, f)
		for _, joined := range []*hal.Credentials{nil, {SSID: "HomeNet", Passphrase: "p@ssw0rd!"}} {
			r.joined = joined
			if l, err := r.Link(t.Context()); err != nil || l != (hal.Link{}) {
				t.Errorf("got %+v, %v", l, err)
			}
		}
		if got := f.heard("SELECT_NETWORK"); len(got) != want {
			t.Errorf("%q: told %d times, want %d", networks, len(got), want)
		}
	}
}

func TestSettings(t *testing.T) {
	t.Parallel()
	raw := hal.Passphrase(strings.Repeat("0f", 32))
	protected := func(keys, frames, psk string) string {
		return fmt.Sprintf("[[ssid 61] [scan_ssid 0] [proto RSN] [pairwise CCMP] [key_mgmt %s] [ieee80211w %s] [psk %s]]",
			keys, frames, psk)
	}
	const psk, all = "WPA-PSK WPA-PSK-SHA256", "WPA-PSK WPA-PSK-SHA256 SAE"
	for name, c := range map[string]struct {
		hal.Credentials
		want string
	}{
		"open":        {hal.Credentials{SSID: "a"}, "[[ssid 61] [scan_ssid 0] [key_mgmt NONE]]"},
		"hidden open": {hal.Credentials{SSID: "a", Hidden: true}, "[[ssid 61] [scan_ssid 1] [key_mgmt NONE]]"},
		"raw key":     {hal.Credentials{SSID: "a", Passphrase: raw}, protected(psk, "1", string(raw))},
		"whatever":    {hal.Credentials{SSID: "a", Passphrase: "12345678"}, protected(all, "1", `"12345678"`)},
		"WPA2 alone": {hal.Credentials{SSID: "a", Passphrase: "12345678", Security: hal.SecurityWPA2},
			protected(psk, "1", `"12345678"`)},
		"WPA3 alone": {hal.Credentials{SSID: "a", Passphrase: "12345678", Security: hal.SecurityWPA3},
			protected("SAE", "2", `"12345678"`)},
	} {
		if got := fmt.Sprint(settings(c.Credentials)); got != c.want {
			t.Errorf("%s: got %s", name, got)
		}
	}
}

// TestSupplicantGone: a wpa_supplicant that is not there, ends, refuses, or says nothing.
func TestSupplicantGone(t *testing.T) {
	t.Parallel()
	scan := func(f *fakeSupplicant) error {
		_, err := startFake(t, f).Scan(t.Context())
		return err
	}
	ends := &fakeSupplicant{events: map[string][]string{"SCAN": {"<3>CTRL-EVENT-TERMINATING "}}}
	if err := scan(ends); !errors.Is(err, hal.ErrClosed) {
		t.Errorf("ends: got %v", err)
	}
	refuse := func(string) string { return "FAIL\n" }
	if err := scan(&fakeSupplicant{answers: refuse}); !errors.Is(err, errFail) {
		t.Errorf("refuses: got %v", err)
	}
	r, _ := New(Options{Interface: "lo", Control: t.TempDir()})
	r.country = "DE"
	if _, err := r.Scan(t.Context()); !errors.Is(err, hal.ErrClosed) {
		t.Errorf("is not there: got %v", err)
	}
	silent := &fakeSupplicant{}
	r = startFake(t, silent)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := r.Scan(ctx); !errors.Is(err, context.DeadlineExceeded) { // no results ever
		t.Errorf("says nothing: got %v", err)
	}
}

// TestEarIsHungUp: whoever is not the one user gets no answer, the other one's requests are judged.
func TestEarIsHungUp(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "ear")
	l, err := net.ListenUnix("unixpacket", &net.UnixAddr{Name: name, Net: "unixpacket"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1) // capacity 1: for the one call
	go func() { ended <- ServeEar(ctx, l, EarOptions{Interface: "none0", UID: uint32(os.Getuid()) + 1}) }()
	c, err := net.DialUnix("unixpacket", nil, &net.UnixAddr{Name: name, Net: "unixpacket"})
	if err != nil {
		t.Fatal(err)
	}
	a := &air{ear: c}
	if _, err := a.request("stop"); !errors.Is(err, hal.ErrClosed) {
		t.Errorf("a stranger: got %v", err)
	}
	_ = c.Close()
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// TestEarIdle: an ear ends when nobody asks, and whoever comes then is for the next one.
func TestEarIdle(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "ear")
	l, err := net.ListenUnix("unixpacket", &net.UnixAddr{Name: name, Net: "unixpacket"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	o := EarOptions{Interface: "none0", UID: uint32(os.Getuid()), Idle: 20 * time.Millisecond}
	if err := ServeEar(t.Context(), l, o); err != nil {
		t.Fatal(err)
	}
	c, err := net.DialUnix("unixpacket", nil, &net.UnixAddr{Name: name, Net: "unixpacket"})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1) // capacity 1: for the one call
	go func() { ended <- ServeEar(t.Context(), l, o) }()
	a := &air{ear: c}
	for range 3 {
		if _, err := a.request("stop"); err != nil {
			t.Error(err)
		}
		time.Sleep(2 * o.Idle) // it is idle for nobody while somebody is there
	}
	_ = c.Close()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestParseRequest(t *testing.T) {
	t.Parallel()
	for request, want := range map[string]string{"start 6": "start 6", "tune 13": "tune 13", "stop": "stop 0", "start": "",
		"tune x": "", "start 6 7": "", "stop 1": "", "": "", "reboot 1": "", "start 99999999999999999999": ""} {
		word, channel, err := parseRequest(request)
		got := ""
		if err == nil {
			got = fmt.Sprint(word, " ", channel)
		}
		if got != want {
			t.Errorf("%q: got %q, want %q", request, got, want)
		}
	}
	for _, err := range []error{nil, hal.ErrBusy, hal.ErrUnsupported} {
		if got := errorOf(replyOf(err)); !errors.Is(got, err) {
			t.Errorf("%v came over as %v", err, got)
		}
	}
	if got := errorOf(replyOf(errors.New("it\nbroke"))); got == nil || got.Error() != "ear: it?broke" {
		t.Errorf("got %v", got)
	}
}
