package wifi

import (
	"errors"
	"testing"
	"time"

	"github.com/ocellus/ocellus/hal"
)

// TestJudge: what wpa_supplicant tells, as it was recorded in the virtual board, and what that means.
func TestJudge(t *testing.T) {
	t.Parallel()
	const (
		ap         = "02:00:00:00:01:00"
		results    = "<3>CTRL-EVENT-SCAN-RESULTS "
		notFound   = "<3>CTRL-EVENT-NETWORK-NOT-FOUND "
		handshake  = "<3>WPA: 4-Way Handshake failed - pre-shared key may be incorrect"
		wrongKey   = `<3>CTRL-EVENT-SSID-TEMP-DISABLED id=0 ssid="HomeNet" auth_failures=1 duration=10 reason=WRONG_KEY`
		connFailed = `<3>CTRL-EVENT-SSID-TEMP-DISABLED id=0 ssid="HomeNet" auth_failures=1 duration=10 reason=CONN_FAILED`
		timeout    = "<3>CTRL-EVENT-DISCONNECTED bssid=" + ap + " reason=15"
		goodbye    = "<3>CTRL-EVENT-DISCONNECTED bssid=" + ap + " reason=3"
		confirm    = "<3>CTRL-EVENT-AUTH-REJECT " + ap + " auth_type=3 auth_transaction=2 status_code=1"
		commit     = "<3>CTRL-EVENT-AUTH-REJECT " + ap + " auth_type=3 auth_transaction=1 status_code=1"
		filtered   = "<3>CTRL-EVENT-AUTH-REJECT " + ap + " auth_type=0 auth_transaction=2 status_code=1"
		algorithm  = "<3>CTRL-EVENT-AUTH-REJECT " + ap + " auth_type=3 auth_transaction=1 status_code=13"
		full       = "<3>CTRL-EVENT-ASSOC-REJECT bssid=" + ap + " status_code=17"
		later      = "<3>CTRL-EVENT-ASSOC-REJECT bssid=" + ap + " status_code=30"
		oldKey     = "<3>CTRL-EVENT-ASSOC-REJECT bssid=" + ap + " status_code=53"
		policy     = "<3>CTRL-EVENT-ASSOC-REJECT bssid=" + ap + " status_code=31"
		badKeys    = "<3>CTRL-EVENT-ASSOC-REJECT bssid=" + ap + " status_code=43"
	)
	for name, c := range map[string]struct {
		events []string
		known  knowledge
		first  int // which event is the first sign
		want   error
		sure   bool // by the last event, and not before
	}{
		"wrong WPA2 password":      {[]string{timeout, handshake, wrongKey, results, timeout, handshake, wrongKey}, suitable, 2, hal.ErrPassword, true},
		"one failed handshake":     {[]string{timeout, handshake, wrongKey}, suitable, 2, hal.ErrPassword, false},
		"wrong WPA3 password":      {[]string{confirm, results, confirm}, suitable, 0, hal.ErrPassword, true},
		"no such network":          {[]string{results, notFound, results, notFound}, absent, 1, hal.ErrNoNetwork, true},
		"other security":           {[]string{results, notFound, results, notFound}, unsuitable, 1, hal.ErrSecurity, true},
		"there, and passed over":   {[]string{results, notFound, results, notFound}, suitable, -1, nil, false},
		"filtered":                 {[]string{filtered, filtered}, suitable, 0, hal.ErrRefused, true},
		"no longer WPA3":           {[]string{algorithm, algorithm}, suitable, 0, hal.ErrSecurity, true},
		"filtered by WPA3":         {[]string{commit, commit}, suitable, 0, hal.ErrRefused, true},
		"full":                     {[]string{full, full}, suitable, 0, hal.ErrRefused, true},
		"come later":               {[]string{later, later, oldKey, oldKey}, suitable, -1, nil, false},
		"policy":                   {[]string{policy, policy}, suitable, 0, hal.ErrSecurity, true},
		"bad keys":                 {[]string{badKeys, badKeys}, suitable, 0, hal.ErrSecurity, true},
		"given up after a sign":    {[]string{confirm, connFailed}, suitable, 0, hal.ErrPassword, true},
		"given up without a sign":  {[]string{connFailed}, suitable, 0, hal.ErrRefused, true},
		"two different signs":      {[]string{full, confirm}, suitable, 0, hal.ErrRefused, false},
		"access point starts anew": {[]string{goodbye, goodbye}, suitable, -1, nil, false},
	} {
		var j judge
		first, got, sure := -1, error(nil), false
		for i, text := range c.events {
			e, err := parseEvent([]byte(text))
			if err != nil {
				t.Fatal(err)
			}
			if sure {
				t.Errorf("%s: sure before event %d", name, i)
			}
			var sign error
			if sign, sure = j.hear(e, c.known); sign != nil && first < 0 {
				first, got = i, sign
			}
		}
		if first != c.first || got != c.want || sure != c.sure {
			t.Errorf("%s: got %v at event %d, sure %v; want %v at %d, %v", name, got, first, sure, c.want, c.first, c.sure)
		}
	}
}

// TestPatience: what it means at each stage that nothing comes.
func TestPatience(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		stage  stage
		waited time.Duration
		want   error
		told   error
	}{
		"associating":               {associating, time.Hour, nil, nil},
		"no address yet":            {addressing, addressSign - 1, nil, nil},
		"no address for long":       {addressing, addressSign + 1, nil, hal.ErrNoAddress},
		"no address ever":           {addressing, addressPatience + 1, hal.ErrNoAddress, hal.ErrNoAddress},
		"no route yet":              {routing, routePatience, nil, nil},
		"a network without a route": {routing, routePatience + 1, errJoined, nil},
		"no answer yet":             {probing, gatewaySign, nil, nil},
		"no answer for long":        {probing, gatewaySign + 1, nil, hal.ErrNoGateway},
		"no answer ever":            {probing, gatewayPatience + 1, hal.ErrNoGateway, hal.ErrNoGateway},
	} {
		var told error
		begin := time.Now()
		j := join{stage: c.stage, begin: begin, first: func(why error) { told = why }}
		if err := j.patience(begin.Add(c.waited)); !errors.Is(err, c.want) || c.want == nil && err != nil || told != c.told {
			t.Errorf("%s: got %v, told %v", name, err, told)
		}
	}
}
