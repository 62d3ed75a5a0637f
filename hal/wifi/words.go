package wifi

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/ocellus/ocellus/hal"
)

// maxWords is the longest datagram of wpa_supplicant that is read, in bytes; it writes at most 4 kB.
const maxWords = 8 << 10

var errWords = errors.New("wpa_supplicant says something else")

// event is what wpa_supplicant tells by itself (wpa_ctrl.h): "<3>CTRL-EVENT-NAME words NAME=VALUE ...".
type event struct {
	name   string
	text   string // all of it, printable: for errors
	values map[string]string
}

// Events that a join or a scan needs.
const (
	eventConnected    = "CTRL-EVENT-CONNECTED"
	eventDisconnected = "CTRL-EVENT-DISCONNECTED"
	eventAssocReject  = "CTRL-EVENT-ASSOC-REJECT"
	eventAuthReject   = "CTRL-EVENT-AUTH-REJECT"
	eventDisabled     = "CTRL-EVENT-SSID-TEMP-DISABLED"
	eventScanResults  = "CTRL-EVENT-SCAN-RESULTS"
	eventScanFailed   = "CTRL-EVENT-SCAN-FAILED"
	eventNotFound     = "CTRL-EVENT-NETWORK-NOT-FOUND"
	eventRegulatory   = "CTRL-EVENT-REGDOM-CHANGE"
	eventTerminating  = "CTRL-EVENT-TERMINATING"
)

// parseEvent reads an event. Values are those behind the last quotation mark: before it stands what others chose, an
// SSID. A value that comes twice counts once, the first time.
func parseEvent(datagram []byte) (event, error) {
	if len(datagram) > maxWords {
		return event{}, fmt.Errorf("event of %d bytes: %w", len(datagram), errWords)
	}
	text := strings.TrimRight(string(datagram), "\n")
	level, text, ok := strings.Cut(text, ">")
	if !ok || len(level) != 2 || level[0] != '<' {
		return event{}, fmt.Errorf("event without a level: %w", errWords)
	}
	name, rest, _ := strings.Cut(text, " ")
	if name == "" {
		return event{}, fmt.Errorf("event without a name: %w", errWords)
	}
	e := event{name: name, text: printable(text), values: map[string]string{}}
	for _, word := range strings.Fields(rest[strings.LastIndexByte(rest, '"')+1:]) {
		if key, value, ok := strings.Cut(word, "="); ok && e.values[key] == "" {
			e.values[key] = value
		}
	}
	return e, nil
}

// printable leaves out what an event of another program might have had in it.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, s)
}

// number returns a value as a number, -1 if it is none.
func (e event) number(key string) int {
	n, err := strconv.Atoi(e.values[key])
	if err != nil || n < 0 {
		return -1
	}
	return n
}

// parseValues reads the lines NAME=VALUE of an answer.
func parseValues(answer string) map[string]string {
	values := map[string]string{}
	for line := range strings.Lines(answer[:min(len(answer), maxWords)]) {
		if key, value, ok := strings.Cut(strings.TrimRight(line, "\n"), "="); ok {
			values[key] = value
		}
	}
	return values
}

// The lines behind each entry of BSS, and behind the last of all.
const (
	entryEnd = "===="
	listEnd  = "####"
)

// entry is an access point in wpa_supplicant's list.
type entry struct {
	hal.Network
	id int
}

// parseEntries reads an answer to BSS. An entry that is cut short is left out.
func parseEntries(answer string) []entry {
	if len(answer) > maxWords {
		return nil
	}
	var list []entry
	values := map[string]string{}
	for line := range strings.Lines(answer) {
		line, whole := strings.CutSuffix(line, "\n")
		key, value, ok := strings.Cut(line, "=")
		switch {
		case !whole:
			return list
		case line == entryEnd || line == listEnd: // no name of a network: that stands behind ssid=
			if e, err := parseEntry(values); err == nil {
				list = append(list, e)
			}
			values = map[string]string{}
		case ok:
			values[key] = value
		}
	}
	return list
}

func parseEntry(values map[string]string) (entry, error) {
	id, err := strconv.Atoi(values["id"])
	if err != nil {
		return entry{}, fmt.Errorf("access point's id: %w", err)
	}
	frequency, err := strconv.Atoi(values["freq"])
	if err != nil {
		return entry{}, fmt.Errorf("access point's frequency: %w", err)
	}
	signal, err := strconv.Atoi(values["level"])
	if err != nil {
		return entry{}, fmt.Errorf("access point's signal: %w", err)
	}
	bssid, err := net.ParseMAC(values["bssid"])
	if err != nil || len(bssid) != 6 {
		return entry{}, fmt.Errorf("access point's address: %w", errors.Join(err, errWords))
	}
	name, err := unescape(values["ssid"])
	if err != nil || len(name) > maxSSID {
		return entry{}, fmt.Errorf("access point's name: %w", errors.Join(err, errWords))
	}
	if strings.Trim(name, "\x00") == "" { // hidden: nothing, or as many NULs as the name is long
		name = ""
	}
	return entry{hal.Network{SSID: hal.SSID(name), BSSID: [6]byte(bssid), Frequency: frequency, Signal: signal,
		Security: securityOf(values["flags"])}, id}, nil
}

const maxSSID = 32

// securityOf reads wpa_supplicant's flags of an access point: [WPA2-PSK+SAE-CCMP][ESS]. What can be joined counts before
// what can't, where there is both. The open half of a network in OWE transition is open.
func securityOf(flags string) hal.Security {
	infrastructure, never := false, hal.Security("")
	for _, group := range strings.FieldsFunc(flags, func(r rune) bool { return r == '[' || r == ']' }) {
		proto, rest, _ := strings.Cut(group, "-")
		switch proto {
		case "ESS":
			infrastructure = true
		case "WPA2":
			s := securityOfKeys(rest)
			if slices.Contains([]hal.Security{hal.SecurityWPA2, hal.SecurityWPA3, hal.SecurityTransition}, s) {
				return s
			}
			never = s
		case "WPA", "WEP", "OSEN":
			if never == "" {
				never = securityOfBefore(proto, rest)
			}
		}
	}
	switch {
	case never != "":
		return never
	case !infrastructure:
		return hal.SecurityOther
	}
	return hal.SecurityOpen
}

// securityOfBefore reads what is older than WPA2, or no home's.
func securityOfBefore(proto, rest string) hal.Security {
	switch {
	case proto == "WEP":
		return hal.SecurityWEP
	case proto == "WPA" && strings.HasPrefix(rest, "PSK"):
		return hal.SecurityWPA1
	}
	return hal.SecurityEnterprise
}

// securityOfKeys reads what stands behind WPA2-: PSK+SAE-CCMP+TKIP-preauth.
func securityOfKeys(text string) hal.Security {
	words := strings.FieldsFunc(text, func(r rune) bool { return r == '-' || r == '+' || r == '/' })
	has := func(word string) bool { return slices.Contains(words, word) }
	psk, sae := has("PSK"), has("SAE")
	switch {
	case has("OWE"):
		return hal.SecurityOWE
	case has("EAP"):
		return hal.SecurityEnterprise
	case psk && has("TKIP") && !has("CCMP"):
		return hal.SecurityWPA1
	case !has("CCMP"):
		return hal.SecurityOther
	case psk && sae:
		return hal.SecurityTransition
	case sae:
		return hal.SecurityWPA3
	case psk:
		return hal.SecurityWPA2
	}
	return hal.SecurityOther
}

// unescape undoes wpa_supplicant's printf_encode, by which it writes the bytes of a name.
func unescape(s string) (string, error) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' {
			b.WriteByte(s[i])
			continue
		}
		if i++; i == len(s) {
			return "", fmt.Errorf("name that ends in an escape: %w", errWords)
		}
		if plain := strings.IndexByte(`\"nrte`, s[i]); plain >= 0 {
			b.WriteByte("\\\"\n\r\t\x1b"[plain])
			continue
		}
		if s[i] != 'x' || i+2 >= len(s) {
			return "", fmt.Errorf("name with the escape %q: %w", s[i], errWords)
		}
		n, err := strconv.ParseUint(s[i+1:i+3], 16, 8)
		if err != nil {
			return "", fmt.Errorf("name with an escape: %w", err)
		}
		b.WriteByte(byte(n))
		i += 2
	}
	return b.String(), nil
}
