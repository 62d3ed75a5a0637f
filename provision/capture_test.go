package provision

import (
	"bytes"
	"encoding/binary"
	"flag"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ocellus/ocellus/codec/dot11"
	"github.com/ocellus/ocellus/codec/pcap"
	"github.com/ocellus/ocellus/hal"
	"github.com/ocellus/ocellus/internal/monotime"
	"github.com/ocellus/ocellus/provision/smartconfig"
)

// captureName is what a monitor hears of a phone that tells HomeNet by ESP-Touch v1 on channel 1, the network around the
// simulated board: the end of the guide code and three rounds. The lab plays it to built programs.
const captureName = "testdata/esptouch1.pcap"

func capture(t *testing.T) []byte {
	t.Helper()
	const from, length, channel = 1700 * time.Millisecond, 2600 * time.Millisecond, 1
	sends, err := smartconfig.Message{SSID: []byte("HomeNet"), Password: homePassword,
		BSSID: dot11.Addr{2, 0, 0, 0, 1, 1}}.Send(smartconfig.ESPTouch1, nil)
	if err != nil {
		t.Fatal(err)
	}
	var packets []pcap.Packet
	var clock time.Duration
	for d := range sends {
		if clock >= from {
			p := frame(uint16(len(packets)), channel, [6]byte{2, 0, 0, 0, 1, 1})
			packets = append(packets, pcap.Packet{At: clock - from, Bytes: p, Length: len(p) + d.Length + 52})
		}
		if clock += d.Wait; clock > from+length {
			break
		}
	}
	return pcap.Append(nil, pcap.Radiotap, packets)
}

// frame is a captured frame from an access point to all, without its body: radiotap with the channel, a data frame.
func frame(number uint16, channel int, ap [6]byte) []byte {
	b := []byte{0, 0, 12, 0, 8, 0, 0, 0}
	b = binary.LittleEndian.AppendUint16(b, uint16(dot11.Frequency(channel)))
	b = append(b, 0x80, 0)
	b = append(b, 0x08, 0x42, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff)
	b = append(append(b, ap[:]...), 2, 0, 0, 0, 0, 9)
	return binary.LittleEndian.AppendUint16(b, number<<4)
}

// TestCapture: the capture is what the sender sends, and heard over and over it gives the network.
func TestCapture(t *testing.T) {
	t.Parallel()
	made := capture(t)
	if f := flag.Lookup("update"); f.Value.String() == "true" {
		if err := os.WriteFile(captureName, made, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	kept, err := os.ReadFile(captureName)
	if err != nil || !bytes.Equal(kept, made) {
		t.Fatalf("%s is not what the sender sends (-update writes it): %v", captureName, err)
	}
	packets, link, err := pcap.Read(bytes.NewReader(kept))
	if err != nil || link != pcap.Radiotap {
		t.Fatalf("link %d, %v", link, err)
	}
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.radio.networks["HomeNet"] = &place{password: homePassword, channel: 1}
		w.o.Legacy = smartconfig.ESPTouch1
		_, stop := w.start()
		for begin := time.Now(); w.radio.joined() == "" && time.Since(begin) < time.Minute; {
			round := time.Now()
			for _, p := range packets {
				if monotime.Pause(t.Context(), p.At-time.Since(round)) != nil {
					return
				}
				w.radio.send(1, hal.Packet{At: w.o.Now(), Bytes: p.Bytes, Length: p.Length})
			}
		}
		w.await(5*time.Second, "in the network", w.in("HomeNet"))
		_ = stop()
	})
}

func TestMain(m *testing.M) {
	flag.Bool("update", false, "write the golden files anew")
	flag.Parse()
	os.Exit(m.Run())
}
