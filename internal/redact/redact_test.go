package redact

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/ocellus/ocellus/internal/secret"
)

func TestShapes(t *testing.T) {
	t.Parallel()
	var r Redactor
	for _, c := range []struct{ name, text, want string }{
		{"nothing", "stream main runs, wait_ms=200", "stream main runs, wait_ms=200"},
		{"password", "join: psk=hunter22 failed", "join: psk=*** failed"},
		{"quoted", `ssid="Anna's \"net\"" up`, `ssid="***" up`},
		{"JSON", `{"wifi_password":"x y","n":3}`, `{"wifi_password":"***","n":3}`},
		{"JSON in a text", `{\"token\":\"abc\"}`, `{\"token\":\"***\"}`},
		{"end of a text in JSON", `"a token=b\" c=d"`, `"a token=***\" c=d"`},
		{"JSON number", `{"serial": 4711, "n":1}`, `{"serial": "***", "n":1}`},
		{"JSON null", `{"serial": null}`, `{"serial": null}`},
		{"URL", "mqtts://anna:pw@broker.example.com:8883 refused", "mqtts://***@broker.example.com:8883 refused"},
		{"user alone", "rtsp://anna@192.0.2.7/main", "rtsp://***@192.0.2.7/main"},
		{"MAC", "from 52:54:00:12:34:56, to 52-54-00-12-34-57", "from ***, to ***"},
		{"MAC in an address", "listens on fe80::5054:ff:fe12:3456", "listens on fe80::***"},
		{"time", "at 11:22:33 and 2026-11-26", "at 11:22:33 and 2026-11-26"},
		{"label", "label OCELLUS:L1:SIM:AAAA:BBBB:CCCC read", "label *** read"},
		{"PEM", "key -----BEGIN PRIVATE KEY-----\nMC4CAQ\n-----END PRIVATE KEY----- end", "key *** end"},
		{"cut PEM", "key -----BEGIN PRIVATE KEY-----\nMC4CAQ", "key ***"},
		{"header", "Authorization: Bearer abcdefghijkl", "Authorization: *** ***"},
		{"hexadecimal", strings.Repeat("0a", 16), "***"},
		{"base64", "k=" + base64.StdEncoding.EncodeToString([]byte(strings.Repeat("aK9z", 10))), "k=***"},
		{"base64 without a digit", "+/eeZPFjSPqRaAAWmGhjngCOWAubmyjwVUzhOlrohlc=", "***"},
		{"path", "/build/ocellus/ocellus/internal/supervise/supervise.go:61",
			"/build/ocellus/ocellus/internal/supervise/supervise.go:61"},
		{"address", "main.run(0xc000123456, {0x12345678, 0xa})", "main.run(0xc000123456, {0x12345678, 0xa})"},
	} {
		if got := r.Text(c.text); got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}

func TestSecretNames(t *testing.T) {
	t.Parallel()
	var r Redactor
	for name, want := range map[string]bool{"ssid": true, "SSID": true, "wifi.password": true, "control_token": true,
		"mac": true, "state": false, "machine": false, "wait_ms": false, "labels_read": false, "keyed": false} {
		if got := r.Secret(name); got != want {
			t.Errorf("%s: got %v, want %v", name, got, want)
		}
	}
}

// TestKnown: a value is hidden however it is spelled.
func TestKnown(t *testing.T) {
	t.Parallel()
	var r Redactor
	const value = `Großmutters WLAN "5 GHz"`
	r.Know("network", value, "x7", "")
	for name, spelled := range map[string]string{
		"plain": value, "quoted": fmt.Sprintf("%q", value), "ASCII": fmt.Sprintf("%+q", value),
		"hex": hex.EncodeToString([]byte(value)), "HEX": fmt.Sprintf("%X", value), "bytes": fmt.Sprint([]byte(value)),
		"base64":           base64.StdEncoding.EncodeToString([]byte(value)),
		"base64 in a text": base64.URLEncoding.EncodeToString([]byte("ssid " + value + " end")),
		"URL":              url.QueryEscape(value), "JSON": jsonText(t, value),
	} {
		got := r.Text("before " + spelled + " behind")
		if !strings.Contains(got, secret.Mask) || strings.Contains(got, "WLAN") || strings.Contains(got, spelled) ||
			!strings.HasPrefix(got, "before ") || !strings.HasSuffix(got, " behind") {
			t.Errorf("%s: got %q", name, got)
		}
	}
	if got := r.Text("x7 fox7 (x7)"); got != "*** fox7 (***)" {
		t.Errorf("a short value: got %q", got)
	}
	r.Know("network", "another")
	if got := r.Text(value + " another"); got != value+" ***" {
		t.Errorf("after a change: got %q", got)
	}
}

func jsonText(t *testing.T, v string) string {
	t.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func TestJSON(t *testing.T) {
	t.Parallel()
	var r Redactor
	r.Know("test", "swordfish")
	const text = `{"log":["a \"swordfish\" b","token=\"x\" n=1"],"n":1e3,"serial":4711,"mac":null,` +
		`"swordfish":{"ssid":["a"]}}`
	const want = `{"***":{"ssid":"***"},"log":["a \"***\" b","token=\"***\" n=1"],"mac":null,"n":1e3,"serial":"***"}`
	got, err := r.JSON([]byte(text))
	var flat bytes.Buffer
	if err != nil || json.Compact(&flat, got) != nil || flat.String() != want {
		t.Errorf("got %s, %v", flat.String(), err)
	}
	if _, err := r.JSON([]byte("{")); err == nil {
		t.Error("half of it is taken")
	}
}

// FuzzText: what is known never comes out, nothing grows without end, and JSON stays JSON.
func FuzzText(f *testing.F) {
	f.Add("join HomeNet: psk=\"p@ssw0rd!\" mac 52:54:00:12:34:56")
	f.Add(`{"ssid":"SG9tZU5ldA==","who":"anna","list":[1,2],"token":{"a":1}}`)
	f.Add("-----BEGIN X-----//a:b@c password='")
	f.Fuzz(func(t *testing.T, text string) {
		var r Redactor
		const planted = "correct-horse"
		r.Know("test", planted)
		got := r.Text(text + planted + text)
		if strings.Contains(got, planted) {
			t.Errorf("%q comes out of %q", got, text)
		}
		if clean, err := r.JSON([]byte(text)); err == nil && !json.Valid(clean) {
			t.Errorf("no JSON any more: %q becomes %q", text, clean)
		}
		clean := r.Text(text)
		if again := r.Text(clean); len(again) > len(clean)+len(secret.Mask)*len(text) {
			t.Errorf("it grows: %q", again)
		}
	})
}
