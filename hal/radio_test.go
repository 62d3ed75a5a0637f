package hal

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

const rawKey Passphrase = "00112233445566778899aabbccddeeff00112233445566778899AABBCCDDEEFF"

func TestPassphraseNeverPrints(t *testing.T) {
	t.Parallel()
	c := Credentials{SSID: "HomeNet", Passphrase: "p@ssw0rd!"}
	text, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	p := c.Passphrase
	for _, s := range []string{fmt.Sprint(c), fmt.Sprintf("%+v %#v %s %q %x", c, c, p, p, p), string(text)} {
		if strings.Contains(s, "p@ss") || strings.Contains(s, "70407373") || !strings.Contains(s, "***") {
			t.Errorf("got %s", s)
		}
	}
}

func TestCredentialsCheck(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		Credentials
		good bool
	}{
		"usual":                 {Credentials{SSID: "HomeNet", Passphrase: "p@ssw0rd!"}, true},
		"any bytes":             {Credentials{SSID: "\xff\n\"$(reboot)\"\U0001f4f7", Passphrase: "p@ssw0rd!"}, true},
		"open":                  {Credentials{SSID: "HomeNet", Security: SecurityOpen}, true},
		"open, not said":        {Credentials{SSID: "HomeNet"}, true},
		"longest":               {Credentials{SSID: SSID(strings.Repeat("x", 32)), Passphrase: Passphrase(strings.Repeat("~", 63))}, true},
		"raw key":               {Credentials{SSID: "HomeNet", Passphrase: rawKey}, true},
		"no name":               {Credentials{Passphrase: "p@ssw0rd!"}, false},
		"name too long":         {Credentials{SSID: SSID(strings.Repeat("x", 33))}, false},
		"NUL":                   {Credentials{SSID: "a\x00b"}, false},
		"passphrase too short":  {Credentials{SSID: "HomeNet", Passphrase: "1234567"}, false},
		"64 characters, no key": {Credentials{SSID: "HomeNet", Passphrase: Passphrase(strings.Repeat("x", 64))}, false},
		"passphrase with UTF-8": {Credentials{SSID: "HomeNet", Passphrase: "pässword"}, false},
		"passphrase with LF":    {Credentials{SSID: "HomeNet", Passphrase: "password\n"}, false},
		"WPA2 without":          {Credentials{SSID: "HomeNet", Security: SecurityWPA2}, false},
		"open with":             {Credentials{SSID: "HomeNet", Passphrase: "p@ssw0rd!", Security: SecurityOpen}, false},
		"other":                 {Credentials{SSID: "HomeNet", Passphrase: "p@ssw0rd!", Security: SecurityOther}, false},
		"WEP":                   {Credentials{SSID: "HomeNet", Passphrase: "p@ssw0rd!", Security: SecurityWEP}, false},
		"no word":               {Credentials{SSID: "HomeNet", Passphrase: "p@ssw0rd!", Security: "wpa9"}, false},
	} {
		if err := c.Check(); (err == nil) != c.good || err != nil && strings.Contains(err.Error(), string("p@ss")) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestCredentialsSuit(t *testing.T) {
	t.Parallel()
	networks := []Security{SecurityOpen, SecurityWPA2, SecurityWPA3, SecurityTransition, SecurityWEP, SecurityWPA1,
		SecurityOWE, SecurityEnterprise, SecurityOther}
	for name, c := range map[string]struct {
		Credentials
		want string // a letter a network
	}{
		"no passphrase":         {Credentials{}, "+--------"},
		"open":                  {Credentials{Security: SecurityOpen}, "+--------"},
		"passphrase":            {Credentials{Passphrase: "p@ssw0rd!"}, "-+++-----"},
		"passphrase for either": {Credentials{Passphrase: "p@ssw0rd!", Security: SecurityTransition}, "-+++-----"},
		"for WPA2":              {Credentials{Passphrase: "p@ssw0rd!", Security: SecurityWPA2}, "-+-+-----"},
		"for WPA3":              {Credentials{Passphrase: "p@ssw0rd!", Security: SecurityWPA3}, "--++-----"},
		"raw key":               {Credentials{Passphrase: rawKey}, "-+-+-----"},
		"raw key for WPA3":      {Credentials{Passphrase: rawKey, Security: SecurityWPA3}, "---------"},
	} {
		got := ""
		for _, n := range networks {
			got += map[bool]string{true: "+", false: "-"}[c.Suit(n)]
		}
		if got != c.want {
			t.Errorf("%s: got %s of %v, want %s", name, got, networks, c.want)
		}
	}
}
