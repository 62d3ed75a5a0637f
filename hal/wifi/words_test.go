package wifi

import (
	"strings"
	"testing"

	"github.com/ocellus/ocellus/hal"
)

func TestParseEvent(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]struct {
		name, key, value string
		number           int
	}{
		"<3>CTRL-EVENT-SCAN-RESULTS ": {eventScanResults, "reason", "", -1},
		"<3>CTRL-EVENT-CONNECTED - Connection to 02:00:00:00:01:00 completed [id=0 id_str=]": {eventConnected, "id_str", "]", -1},
		"<3>CTRL-EVENT-DISCONNECTED bssid=02:00:00:00:01:00 reason=15":                       {eventDisconnected, "reason", "15", 15},
		"<3>CTRL-EVENT-AUTH-REJECT 02:00:00:00:01:00 auth_type=3 auth_transaction=2 status_code=1": {eventAuthReject,
			"auth_type", "3", 3},
		"<3>CTRL-EVENT-ASSOC-REJECT bssid=02:00:00:00:01:00 status_code=17": {eventAssocReject, "status_code", "17", 17},
		// What stands in the name of a network is no value.
		`<3>CTRL-EVENT-SSID-TEMP-DISABLED id=0 ssid="\" reason=X" auth_failures=1 duration=10 reason=WRONG_KEY`: {eventDisabled,
			"reason", "WRONG_KEY", -1},
		`<3>CTRL-EVENT-SSID-TEMP-DISABLED id=0 ssid=" reason=WRONG_KEY " auth_failures=1 duration=10 reason=CONN_FAILED`: {
			eventDisabled, "reason", "CONN_FAILED", -1},
		"<3>X reason=-5 reason=6": {"X", "reason", "-5", -1},
	} {
		e, err := parseEvent([]byte(text))
		if err != nil || e.name != want.name || e.values[want.key] != want.value || e.number(want.key) != want.number {
			t.Errorf("%s: got %+v, %v", text, e, err)
		}
	}
	for _, text := range []string{"", "OK", "CTRL-EVENT-CONNECTED", "<3>", "<3> x", "3>X", "<33>X",
		"<3>" + strings.Repeat("x", maxWords)} {
		if e, err := parseEvent([]byte(text)); err == nil {
			t.Errorf("%.20q: got %+v", text, e)
		}
	}
}

// twoEntries is an answer of wpa_supplicant 2.10 to BSS RANGE=0- MASK=0x21887.
const twoEntries = `id=0
bssid=02:00:00:00:01:00
freq=2437
level=-30
flags=[WPA2-PSK+SAE-CCMP][ESS]
ssid=Lab \"two\" caf\xc3\xa9\\\n====
====
id=7
bssid=02:00:00:00:02:00
freq=5180
level=-61
flags=[ESS]
ssid=\x00\x00\x00
####
`

func TestParseEntries(t *testing.T) {
	t.Parallel()
	want := []entry{
		{hal.Network{SSID: "Lab \"two\" café\\\n====", BSSID: [6]byte{2, 0, 0, 0, 1, 0}, Frequency: 2437, Signal: -30,
			Security: hal.SecurityTransition}, 0},
		{hal.Network{BSSID: [6]byte{2, 0, 0, 0, 2, 0}, Frequency: 5180, Signal: -61, Security: hal.SecurityOpen}, 7},
	}
	got := parseEntries(twoEntries)
	if len(got) != 2 || got[0] != want[0] || got[1] != want[1] {
		t.Errorf("got %+v, want %+v", got, want)
	}
	for n := range len(twoEntries) - 1 { // an answer that the buffer of wpa_supplicant cut
		if got := parseEntries(twoEntries[:n]); len(got) > 1 || len(got) == 1 && got[0] != want[0] {
			t.Errorf("cut to %d bytes: got %+v", n, got)
		}
	}
	for _, c := range [][2]string{{"freq=2437", "freq=x"}, {"level=-30", "level="}, {"id=0", "id="},
		{"02:00:00:00:01:00", "02:00"}, {`\xc3`, `\q`}, {`\xc3`, `\xg0`}, {`\n`, `\`}, {`Lab`, strings.Repeat("x", 33)}} {
		if got := parseEntries(strings.Replace(twoEntries, c[0], c[1], 1)); len(got) != 1 || got[0] != want[1] {
			t.Errorf("%s in place of %s: got %+v", c[1], c[0], got)
		}
	}
}

func TestSecurityOf(t *testing.T) {
	t.Parallel()
	for flags, want := range map[string]hal.Security{
		"[ESS]":                 hal.SecurityOpen,
		"[WPS][ESS]":            hal.SecurityOpen,
		"[OWE-TRANS-OPEN][ESS]": hal.SecurityOpen,
		"[WPA2-PSK-CCMP][ESS]":  hal.SecurityWPA2,
		"[WPA-PSK-TKIP][WPA2-PSK-CCMP+TKIP][ESS]": hal.SecurityWPA2,
		"[WPA2-PSK+PSK-SHA256-CCMP-preauth][ESS]": hal.SecurityWPA2,
		"[WPA2-SAE-CCMP][SAE-H2E][ESS]":           hal.SecurityWPA3,
		"[WPA2-SAE+FT/SAE-CCMP][ESS]":             hal.SecurityWPA3,
		"[WPA2-PSK+SAE-CCMP][ESS]":                hal.SecurityTransition,
		"[WPA2-EAP-CCMP][ESS]":                    hal.SecurityEnterprise,
		"[WPA2-EAP+PSK-CCMP][ESS]":                hal.SecurityEnterprise,
		"[WPA-EAP-TKIP][ESS]":                     hal.SecurityEnterprise,
		"[OSEN-OSEN-CCMP][ESS]":                   hal.SecurityEnterprise,
		"[WPA2-OWE-CCMP][ESS]":                    hal.SecurityOWE,
		"[WPA2-PSK-TKIP][ESS]":                    hal.SecurityWPA1,
		"[WPA-PSK-CCMP][ESS]":                     hal.SecurityWPA1,
		"[WPA-PSK-TKIP][WPA2-EAP-CCMP][ESS]":      hal.SecurityEnterprise,
		"[WPA2-SAE-GCMP][ESS]":                    hal.SecurityOther,
		"[WEP][ESS]":                              hal.SecurityWEP,
		"[IBSS]":                                  hal.SecurityOther,
		"[MESH]":                                  hal.SecurityOther,
		"":                                        hal.SecurityOther,
		"[][--][ESS]":                             hal.SecurityOpen,
	} {
		if got := securityOf(flags); got != want {
			t.Errorf("%s: got %q, want %q", flags, got, want)
		}
	}
}

// escape does what wpa_supplicant's printf_encode does.
func escape(s string) string {
	var b strings.Builder
	for i := range len(s) {
		switch c := s[i]; {
		case strings.IndexByte("\"\\\x1b\n\r\t", c) >= 0:
			b.WriteByte('\\')
			b.WriteByte(`"\enrt`[strings.IndexByte("\"\\\x1b\n\r\t", c)])
		case c >= 32 && c <= 126:
			b.WriteByte(c)
		default:
			const digits = "0123456789abcdef"
			b.WriteString(`\x`)
			b.WriteByte(digits[c>>4])
			b.WriteByte(digits[c&15])
		}
	}
	return b.String()
}

func FuzzUnescape(f *testing.F) {
	f.Add("\U0001f4f7 \"$(reboot)\"\\\n\x00\xff")
	f.Add(`\x`)
	f.Fuzz(func(t *testing.T, s string) {
		if got, err := unescape(escape(s)); err != nil || got != s {
			t.Errorf("%q: there and back %q, %v", s, got, err)
		}
		if got, err := unescape(s); err == nil && len(got) > len(s) {
			t.Errorf("%q grew to %q", s, got)
		}
	})
}

func FuzzWords(f *testing.F) {
	f.Add([]byte(twoEntries))
	f.Add([]byte(`<3>CTRL-EVENT-SSID-TEMP-DISABLED id=0 ssid="a" auth_failures=1 duration=10 reason=WRONG_KEY`))
	f.Add([]byte("wpa_state=COMPLETED\nssid=a\n"))
	f.Add([]byte("<3>DPP-CONFOBJ-PASS 70617373776f7264"))
	f.Add([]byte("start 6"))
	f.Fuzz(func(t *testing.T, b []byte) {
		var j judge
		if e, err := parseEvent(b); err == nil {
			for range 2 {
				j.hear(e, absent)
			}
			var o offer
			if whole, err := o.take(e); whole && err == nil {
				t.Errorf("%q is a whole network", b)
			}
		}
		for _, e := range parseEntries(string(b)) {
			if len(e.SSID) > 32 {
				t.Errorf("name %q", e.SSID)
			}
		}
		_ = parseValues(string(b))
		if word, _, err := parseRequest(string(b)); err == nil && !strings.HasPrefix(string(b), word) {
			t.Errorf("request %q", b)
		}
		readHeader(b)
		for _, c := range parseChannels(b) {
			if c < 1 || c > 14 {
				t.Errorf("channel %d", c)
			}
		}
	})
}
