package wifi

import (
	"fmt"
	"testing"

	"github.com/ocellus/ocellus/hal/wifi/netlink"
	"golang.org/x/sys/unix"
)

// nested makes an attribute of attributes.
func nested(kind uint16, parts ...[]byte) []byte {
	var all []byte
	for _, p := range parts {
		all = append(all, p...)
	}
	return netlink.AppendAttribute(nil, kind|unix.NLA_F_NESTED, all)
}

func TestParseChannels(t *testing.T) {
	t.Parallel()
	frequency := func(n uint16, mhz uint32, flags ...uint16) []byte {
		b := netlink.AppendUint32(nil, unix.NL80211_FREQUENCY_ATTR_FREQ, mhz)
		for _, f := range flags {
			b = netlink.AppendAttribute(b, f, nil)
		}
		return nested(n, b)
	}
	radio := append(netlink.AppendUint32(nil, unix.NL80211_ATTR_WIPHY, 0), nested(unix.NL80211_ATTR_WIPHY_BANDS,
		nested(unix.NL80211_BAND_2GHZ, netlink.AppendUint32(nil, unix.NL80211_BAND_ATTR_HT_CAPA, 1),
			nested(unix.NL80211_BAND_ATTR_FREQS, frequency(0, 2412), frequency(1, 2437, unix.NL80211_FREQUENCY_ATTR_NO_IR),
				frequency(2, 2467, unix.NL80211_FREQUENCY_ATTR_DISABLED), frequency(3, 2484))),
		nested(unix.NL80211_BAND_5GHZ, nested(unix.NL80211_BAND_ATTR_FREQS, frequency(0, 5180), frequency(1, 5040))))...)
	// One that may only be listened on counts, one that is not the country's does not; 5 GHz is not asked for.
	if got := fmt.Sprint(parseChannels(radio)); got != "[1 6 14]" {
		t.Errorf("got %s", got)
	}
	for n := range len(radio) {
		parseChannels(radio[:n])
	}
}
