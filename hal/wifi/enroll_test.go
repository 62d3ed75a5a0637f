package wifi

import (
	"errors"
	"strings"
	"testing"

	"github.com/ocellus/ocellus/hal"
)

func TestOffer(t *testing.T) {
	t.Parallel()
	raw := strings.Repeat("0f", 32)
	for name, c := range map[string]struct {
		events []string
		want   hal.Credentials
		err    error
	}{
		"passphrase": {[]string{"<3>DPP-CONF-RECEIVED ", "<3>DPP-CONFOBJ-AKM psk+sae",
			`<3>DPP-CONFOBJ-SSID caf\xc3\xa9 \"two\"`, "<3>DPP-CONFOBJ-PASS 70617373776f72642031"}, hal.Credentials{SSID: `café "two"`, Passphrase: "password 1"}, nil},
		"raw key": {[]string{"<3>DPP-CONFOBJ-AKM psk", "<3>DPP-CONFOBJ-SSID HomeNet", "<3>DPP-CONFOBJ-PSK " + raw},
			hal.Credentials{SSID: "HomeNet", Passphrase: hal.Passphrase(raw)}, nil},
		"connector":         {[]string{"<3>DPP-CONFOBJ-AKM dpp"}, hal.Credentials{}, hal.ErrSecurity},
		"enterprise":        {[]string{"<3>DPP-CONFOBJ-AKM dot1x"}, hal.Credentials{}, hal.ErrSecurity},
		"no hexadecimal":    {[]string{"<3>DPP-CONFOBJ-AKM psk", "<3>DPP-CONFOBJ-PASS xyz"}, hal.Credentials{}, errWords},
		"name in no escape": {[]string{"<3>DPP-CONFOBJ-AKM psk", `<3>DPP-CONFOBJ-SSID \q`}, hal.Credentials{}, errWords},
	} {
		var o offer
		whole, err := false, error(nil)
		for _, text := range c.events {
			e, parseErr := parseEvent([]byte(text))
			if parseErr != nil || whole || err != nil {
				t.Fatalf("%s: before %q: %v, %v, %v", name, text, parseErr, whole, err)
			}
			whole, err = o.take(e)
		}
		if !errors.Is(err, c.err) || c.err == nil && (!whole || o.credentials != c.want) {
			t.Errorf("%s: got %+v, %v, %v", name, o.credentials, whole, err)
		}
	}
	nameless := offer{}
	if _, err := nameless.take(event{name: "DPP-CONFOBJ-PASS", text: "DPP-CONFOBJ-PASS 70617373776f7264"}); err == nil {
		t.Error("a network without a name")
	}
}
