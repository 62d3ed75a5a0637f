package qrtext

import (
	"errors"
	"strings"
	"testing"

	"github.com/ocellus/ocellus/internal/secret"
)

const name32 = "0123456789abcdef0123456789abcde\xff"

func TestParse(t *testing.T) {
	t.Parallel()
	password63, key64 := strings.Repeat("p", 63), strings.Repeat("0123abCD", 8)
	wpa := func(ssid, password string) []Network {
		return []Network{{SSID: ssid, Password: secret.Secret(password), Security: WPA}}
	}
	for _, c := range []struct {
		name, text string
		kind       Kind
		want       []Network
	}{
		{"plain", "WIFI:T:WPA;S:HomeNet;P:p@ssw0rd!;;", WiFi, wpa("HomeNet", "p@ssw0rd!")},
		{"any order, small letters, no last semicolon", "wifi:p:p@ssw0rd!;s:HomeNet;t:wpa2", WiFi,
			wpa("HomeNet", "p@ssw0rd!")},
		{"escapes", `WIFI:S:a\;b\:c\\d\,\"e\";T:WPA;P:12\;345678;;`, WiFi, wpa(`a;b:c\d,"e"`, "12;345678")},
		{"a colon inside", "WIFI:S:a:b;T:WPA;P:1234:678;;", WiFi, wpa("a:b", "1234:678")},
		{"hexadecimal in quotes", `WIFI:T:WPA;S:"abcd1234";P:"12345678";;`, WiFi, wpa("abcd1234", "12345678")},
		{"other quotes belong", `WIFI:T:WPA;S:"my net";P:"password";;`, WiFi, wpa(`"my net"`, `"password"`)},
		{"hidden", "WIFI:T:WPA;S:x;P:12345678;H:true;;", WiFi,
			[]Network{{SSID: "x", Password: "12345678", Security: WPA, Hidden: true}}},
		{"WPA3 alone", "WIFI:T:SAE;S:x;P:a;;", WiFi, []Network{{SSID: "x", Password: "a", Security: SAE}}},
		{"open", "WIFI:T:nopass;S:Café;;", WiFi, []Network{{SSID: "Café", Security: Open}}},
		{"no type, no password", "WIFI:S:x;;", WiFi, []Network{{SSID: "x", Security: Open}}},
		{"URI, WPA3 only", "WIFI:T:WPA;R:1;S:a%3bb;P:p%41ss%25word;;", WiFi,
			[]Network{{SSID: "a;b", Password: "pAss%word", Security: SAE}}},
		{"URI, transition still on", "WIFI:T:WPA;R:2;S:a;P:password;;", WiFi, wpa("a", "password")},
		{"URI, identifier", "WIFI:T:WPA;R:3;S:a;I:m%65;P:pw;;", WiFi,
			[]Network{{SSID: "a", Password: "pw", PasswordID: "me", Security: SAE}}},
		{"URI, public key", "WIFI:S:a;P:a2bc-de3f-ghi4;K:MDkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDIgADtIHYr7451tE21q=;;", WiFi,
			[]Network{{SSID: "a", Password: "a2bc-de3f-ghi4", Security: SAE}}},
		{"percent: two ways", "WIFI:T:WPA;S:50%25;P:password;;", WiFi,
			append(wpa("50%25", "password"), wpa("50%", "password")...)},
		{"percent: one way", "WIFI:T:WPA;S:50%;P:password;;", WiFi, wpa("50%", "password")},
		{"32 bytes that are no text", "WIFI:T:WPA;S:" + name32 + ";P:12345678;;", WiFi, wpa(name32, "12345678")},
		{"emoji", "WIFI:T:WPA;S:📷🏠;P:12345678;;", WiFi, wpa("📷🏠", "12345678")},
		{"shell", "WIFI:T:WPA;S:$(reboot);P:`reboot`&|;;", WiFi, wpa("$(reboot)", "`reboot`&|")},
		{"63 characters", "WIFI:T:WPA;S:x;P:" + password63 + ";;", WiFi, wpa("x", password63)},
		{"64 hexadecimal", "WIFI:T:WPA;S:x;P:" + key64 + ";;", WiFi, wpa("x", key64)},
		{"13 digits", "WIFI:T:WPA;S:x;P:1234567890123;;", WiFi, wpa("x", "1234567890123")},
		{"Tuya", `{"s":"HomeNet","p":"p@ssw0rd!","t":"EUabcdefgh12"}`, Tuya, wpa("HomeNet", "p@ssw0rd!")},
		{"Tuya, open, escapes", `{"p":"","s":"Caf\u00e9 \"x\"","t":"EU"}`, Tuya,
			[]Network{{SSID: `Café "x"`, Security: Open}}},
		{"OpenIPC", "wlanssid=Home Net wlanpass=p@ss w0rd!", OpenIPC, wpa("Home Net", "p@ss w0rd!")},
		{"OpenIPC, lines", "wlanssid=Home\nwlanpass=password\n", OpenIPC, wpa("Home", "password")},
		{"OpenIPC, other order", "wlanpass=password wlanssid=Home", OpenIPC, wpa("Home", "password")},
		{"OpenIPC, open", "wlanssid=Home", OpenIPC, []Network{{SSID: "Home", Security: Open}}},
		{"sealed", "OC1:ABC", Sealed, nil},
		{"part", "OCP1:ABC", Part, nil},
	} {
		got, err := Parse(c.text)
		if err != nil || got.Kind != c.kind || len(got.Networks) != len(c.want) {
			t.Errorf("%s: got %+v, %v", c.name, got, err)
			continue
		}
		for i := range c.want {
			if got.Networks[i] != c.want[i] {
				t.Errorf("%s: got %q %q, want %q %q", c.name, got.Networks[i].SSID, got.Networks[i].Password.Reveal(),
					c.want[i].SSID, c.want[i].Password.Reveal())
			}
		}
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, text string
		want       error
	}{
		{"nothing", "", ErrUnknown},
		{"a web page", "https://example.com/WIFI:", ErrUnknown},
		{"too long", "WIFI:S:x;P:" + strings.Repeat("p", MaxText) + ";;", ErrUnknown},
		{"newer", "OC2:ABC", ErrVersion},
		{"newer part", "OCP12:ABC", ErrVersion},
		{"nearly ours", "OC:ABC", ErrUnknown},
		{"WEP", "WIFI:T:WEP;S:x;P:12345;;", ErrRefused},
		{"enterprise", "WIFI:T:WPA2-EAP;S:x;P:p;E:TTLS;;", ErrRefused},
		{"unknown type", "WIFI:T:WAPI;S:x;P:12345678;;", ErrRefused},
		{"no name", "WIFI:T:WPA;P:12345678;;", ErrDamaged},
		{"name twice", "WIFI:T:WPA;S:x;S:y;P:12345678;;", ErrDamaged},
		{"33 bytes of name", "WIFI:T:WPA;S:x" + name32 + ";P:12345678;;", ErrDamaged},
		{"NUL in the name", "WIFI:T:WPA;S:x\x00y;P:12345678;;", ErrDamaged},
		{"NUL in the password", "WIFI:T:WPA;S:x;P:1234567\x008;;", ErrDamaged},
		{"line in the password", "WIFI:T:WPA;S:x;P:1234567\n8;;", ErrDamaged},
		{"7 characters", "WIFI:T:WPA;S:x;P:1234567;;", ErrDamaged},
		{"64 that are not hexadecimal", "WIFI:T:WPA;S:x;P:" + strings.Repeat("p", 64) + ";;", ErrDamaged},
		{"no JSON", `{"s":"x"`, ErrDamaged},
		{"JSON of something else", `{"s":1,"p":[]}`, ErrDamaged},
		{"Tuya's name in another character set", "{\"s\":\"caf\xe9\"}", ErrDamaged},
		{"NUL in Tuya's name", `{"s":"x\u0000","p":"12345678"}`, ErrDamaged},
		{"OpenIPC without a name", "wlanpass=12345678", ErrDamaged},
	} {
		if _, err := Parse(c.text); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", c.name, err, c.want)
		}
	}
}

// TestErrorsTellNothing: neither a name nor a password reaches a log through an error.
func TestErrorsTellNothing(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"WIFI:T:WEP;S:geheim;P:geheim;;", "WIFI:geheim:x;geheim:y;;", `{"s":geheim}`, `{"s":"geheim","p":{"geheim":1}}`,
		"WIFI:T:WPA;S:geheim;P:geheim;;", "wlanpass=geheim", "geheim",
	} {
		if _, err := Parse(text); err == nil || strings.Contains(err.Error(), "geheim") {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("WIFI:T:WPA;R:1;S:a%3bb;P:p\\;ss%25word;;")
	f.Add(`{"s":"HomeNet","p":"p@ssw0rd!"}`)
	f.Add("wlanpass=password wlanssid=Home")
	f.Fuzz(func(t *testing.T, text string) {
		m, err := Parse(text)
		if err != nil {
			return
		}
		if len(m.Networks) > 2 {
			t.Fatalf("%d networks", len(m.Networks))
		}
		for _, n := range m.Networks {
			if err := n.Check(); err != nil {
				t.Fatalf("%q: %v", text, err)
			}
		}
	})
}
