package wifi

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ocellus/ocellus/codec/dot11"
	"github.com/ocellus/ocellus/hal/wifi/netlink"
	"golang.org/x/sys/unix"
)

// kernelPatience is for the kernel's answers: some drivers load firmware while everybody waits.
const kernelPatience = 10 * time.Second

// nl80211 asks the kernel about radios (linux/nl80211.h).
type nl80211 struct {
	*netlink.Conn
	family uint16
}

func openNL80211() (nl80211, error) {
	c, err := netlink.Open(unix.NETLINK_GENERIC, 0)
	if err != nil {
		return nl80211{}, err
	}
	family, err := c.Family(unix.NL80211_GENL_NAME, kernelPatience)
	if err != nil {
		return nl80211{}, errors.Join(fmt.Errorf("this kernel has no Wi-Fi: %w", err), c.Close())
	}
	return nl80211{c, family}, nil
}

// ask sends a command and calls each for the attributes of every message of the answer.
func (n nl80211) ask(what string, flags uint16, command uint8, attributes []byte, each func(attributes []byte)) error {
	request := netlink.Generic(n.family, flags, command, attributes)
	return n.Ask(what, kernelPatience, request, func(m netlink.Message) error {
		if each != nil {
			each(netlink.GenericAttributes(m))
		}
		return nil
	})
}

// regulatoryDomain returns the country in force, as two characters.
func regulatoryDomain() (string, error) {
	n, err := openNL80211()
	if err != nil {
		return "", err
	}
	defer n.Close()
	code := ""
	err = n.ask("country", 0, unix.NL80211_CMD_GET_REG, nil, func(attributes []byte) {
		for kind, value := range netlink.Attributes(attributes) {
			if kind == unix.NL80211_ATTR_REG_ALPHA2 && len(value) >= 2 {
				code = string(value[:2])
			}
		}
	})
	return code, err
}

// radioOf returns the number of the radio (wiphy) of an interface.
func (n nl80211) radioOf(index int) (uint32, error) {
	var radio uint32
	known := false
	request := netlink.AppendUint32(nil, unix.NL80211_ATTR_IFINDEX, uint32(index))
	err := n.ask("interface", 0, unix.NL80211_CMD_GET_INTERFACE, request, func(attributes []byte) {
		for kind, value := range netlink.Attributes(attributes) {
			if kind == unix.NL80211_ATTR_WIPHY {
				radio, known = netlink.Uint32(value), true
			}
		}
	})
	if err == nil && !known {
		err = errors.New("the kernel tells no radio of this interface")
	}
	return radio, err
}

// channels returns the channels of 2.4 GHz that a radio may listen on, in order.
func (n nl80211) channels(radio uint32) ([]int, error) {
	request := netlink.AppendUint32(nil, unix.NL80211_ATTR_WIPHY, radio)
	request = netlink.AppendAttribute(request, unix.NL80211_ATTR_SPLIT_WIPHY_DUMP, nil)
	var list []int
	err := n.ask("channels", unix.NLM_F_DUMP, unix.NL80211_CMD_GET_WIPHY, request, func(attributes []byte) {
		list = append(list, parseChannels(attributes)...)
	})
	slices.Sort(list)
	return slices.Compact(list), err
}

// parseChannels reads the channels of 2.4 GHz that are not disabled out of a part of a radio's description.
func parseChannels(attributes []byte) []int {
	var list []int
	for kind, bands := range netlink.Attributes(attributes) {
		if kind != unix.NL80211_ATTR_WIPHY_BANDS {
			continue
		}
		for _, band := range netlink.Attributes(bands) {
			for kind, frequencies := range netlink.Attributes(band) {
				if kind != unix.NL80211_BAND_ATTR_FREQS {
					continue
				}
				for _, frequency := range netlink.Attributes(frequencies) {
					if c := parseFrequency(frequency); c >= 1 && c <= 14 {
						list = append(list, c)
					}
				}
			}
		}
	}
	return list
}

// parseFrequency returns the channel of a frequency, 0 if the country has it not.
func parseFrequency(attributes []byte) int {
	channel := 0
	for kind, value := range netlink.Attributes(attributes) {
		switch kind {
		case unix.NL80211_FREQUENCY_ATTR_FREQ:
			channel = dot11.Channel(int(netlink.Uint32(value)))
		case unix.NL80211_FREQUENCY_ATTR_DISABLED:
			return 0
		}
	}
	return channel
}

// channelsOf returns the channels of the radio of an interface.
func channelsOf(name string) ([]int, error) {
	n, err := openNL80211()
	if err != nil {
		return nil, err
	}
	defer n.Close()
	_, list, err := n.radioWithChannels(name)
	return list, err
}

// radioWithChannels returns the radio of an interface, and its channels.
func (n nl80211) radioWithChannels(name string) (radio uint32, channels []int, err error) {
	index, err := indexOf(name)
	if err == nil {
		radio, err = n.radioOf(index)
	}
	if err == nil {
		channels, err = n.channels(radio)
	}
	return radio, channels, err
}

// addMonitor makes a monitor interface of a radio. It hears what is meant for others, too, and frames with a wrong
// checksum not at all.
func (n nl80211) addMonitor(radio uint32, name string) error {
	request := netlink.AppendUint32(nil, unix.NL80211_ATTR_WIPHY, radio)
	request = netlink.AppendString(request, unix.NL80211_ATTR_IFNAME, name)
	request = netlink.AppendUint32(request, unix.NL80211_ATTR_IFTYPE, unix.NL80211_IFTYPE_MONITOR)
	return n.ask("new monitor", 0, unix.NL80211_CMD_NEW_INTERFACE, request, nil)
}

func (n nl80211) remove(index int) error {
	return n.ask("remove monitor", 0, unix.NL80211_CMD_DEL_INTERFACE,
		netlink.AppendUint32(nil, unix.NL80211_ATTR_IFINDEX, uint32(index)), nil)
}

// tune sets the channel of a monitor interface, 20 MHz wide without HT: group-addressed frames are sent so.
func (n nl80211) tune(index, channel int) error {
	request := netlink.AppendUint32(nil, unix.NL80211_ATTR_IFINDEX, uint32(index))
	request = netlink.AppendUint32(request, unix.NL80211_ATTR_WIPHY_FREQ, uint32(dot11.Frequency(channel)))
	request = netlink.AppendUint32(request, unix.NL80211_ATTR_CHANNEL_WIDTH, unix.NL80211_CHAN_WIDTH_20_NOHT)
	return n.ask("channel", 0, unix.NL80211_CMD_SET_WIPHY, request, nil)
}
