package sim

import (
	"fmt"
	"os"
	"time"

	"github.com/ocellus/ocellus/codec/dot11"
	"github.com/ocellus/ocellus/codec/pcap"
	"github.com/ocellus/ocellus/hal"
)

// replayPause is between two rounds of a capture.
const replayPause = 20 * time.Millisecond

// Replay plays a capture of a monitor (pcap with radiotap headers) over and over, each packet on the channel on which it
// was captured. What does not say its channel is left out.
func (m *Monitor) Replay(path string) error {
	file, err := os.Open(path) //nolint:gosec // the path is the person's own choice
	if err != nil {
		return err
	}
	defer file.Close()
	captured, link, err := pcap.Read(file)
	if err == nil && link != pcap.Radiotap {
		err = fmt.Errorf("link %d, want %d: 802.11 with radiotap headers", link, pcap.Radiotap)
	}
	if err != nil {
		return fmt.Errorf("replay %s: %w", path, err)
	}
	channels := map[int][]hal.Packet{}
	for _, p := range captured {
		if c := channelOf(p); c != 0 {
			channels[c] = append(channels[c], hal.Packet{At: p.At, Bytes: p.Bytes, Length: p.Length})
		}
	}
	if len(channels) == 0 {
		return fmt.Errorf("replay %s: no packet says its channel", path)
	}
	for c, packets := range channels {
		m.Repeat(c, packets, captured[len(captured)-1].At+replayPause)
	}
	return nil
}

// channelOf is the channel on which a packet was captured, 0 where it does not say.
func channelOf(p pcap.Packet) int {
	if f, err := dot11.ParseData(p.Bytes, p.Length); err == nil {
		return dot11.Channel(f.Frequency)
	}
	if b, err := dot11.ParseBeacon(p.Bytes); err == nil {
		return dot11.Channel(b.Frequency)
	}
	return 0
}
