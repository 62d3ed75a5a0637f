package control

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/eclipse/paho.mqtt.golang/packets"

	"github.com/ocellus/ocellus/codec/envelope"
)

// written is a packet as the library's own writer has it.
func written(t testing.TB, p packets.ControlPacket) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := p.Write(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func publish(topic string, qos byte, id uint16, payload string) *packets.PublishPacket {
	p := packets.NewControlPacket(packets.Publish).(*packets.PublishPacket) //nolint:errcheck // its type
	p.TopicName, p.Qos, p.MessageID, p.Payload = topic, qos, id, []byte(payload)
	return p
}

func TestPackets(t *testing.T) {
	t.Parallel()
	ack := packets.NewControlPacket(packets.Suback).(*packets.SubackPacket) //nolint:errcheck // its type
	ack.MessageID, ack.ReturnCodes = 1, []byte{1}
	for name, good := range map[string][]byte{
		"CONNACK": written(t, packets.NewControlPacket(packets.Connack)), "SUBACK": written(t, ack),
		"PUBACK": {0x40, 2, 0, 1}, "PUBREC": {0x50, 2, 0, 1}, "PUBREL": {0x62, 2, 0, 1}, "PUBCOMP": {0x70, 2, 0, 1},
		"PINGRESP": {0xd0, 0}, "UNSUBACK": {0xb0, 2, 0, 1},
		"PUBLISH 0":     written(t, publish("a/b", 0, 0, "x")),
		"PUBLISH 1":     written(t, publish("a/b", 1, 7, strings.Repeat("x", 300))),
		"empty PUBLISH": written(t, publish("a/b", 0, 0, "")),
	} {
		got, err := readPacket(bufio.NewReader(bytes.NewReader(good)))
		if err != nil || !bytes.Equal(got, good) {
			t.Errorf("%s: %x, %v", name, got, err)
		}
		for n := 1; n < len(good); n++ {
			if _, err := readPacket(bufio.NewReader(bytes.NewReader(good[:n]))); !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("%s: %d bytes of it: %v", name, n, err)
			}
		}
	}
	for name, bad := range map[string][]byte{
		"CONNECT": {0x10, 0}, "SUBSCRIBE": {0x82, 5, 0, 1, 0, 0, 1}, "PINGREQ": {0xc0, 0}, "DISCONNECT": {0xe0, 0},
		"type 0": {0, 0}, "type 15": {0xf0, 0}, "length of five bytes": {0x30, 0xff, 0xff, 0xff, 0xff, 1},
		"256 MB of no message": {0x40, 0xff, 0xff, 0xff, 0x7f},
		"SUBACK of two codes":  {0x90, 4, 0, 1, 0, 0},
		"SUBACK of none":       {0x90, 2, 0, 1},
		"QoS 3":                {0x36, 5, 0, 1, 'a', 0, 1}, "no topic": {0x30, 2, 0, 0},
		"topic beyond the end": {0x30, 3, 0, 9, 'a'},
		"identifier 0":         {0x32, 5, 0, 1, 'a', 0, 0}, "flags": {0x41, 2, 0, 1}, "PUBREL without flags": {0x60, 2, 0, 1},
		"no identifier": {0x32, 3, 0, 1, 'a'}, "long PINGRESP": {0xd0, 1, 0}, "tiny PUBLISH": {0x30, 1, 0},
	} {
		if _, err := readPacket(bufio.NewReader(bytes.NewReader(bad))); !errors.Is(err, errPacket) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestTooLongMessage: it is cut, so that it is refused and acknowledged, and what comes behind it is read.
func TestTooLongMessage(t *testing.T) {
	t.Parallel()
	for _, size := range []int{maxPacket, 1 << 20} {
		for _, topic := range []string{"a/b", strings.Repeat("x", 1<<16-1)} {
			raw := append(written(t, publish(topic, 1, 7, strings.Repeat("y", size))), 0xd0, 0)
			in := bufio.NewReader(bytes.NewReader(raw))
			packet, err := readPacket(in)
			if err != nil {
				t.Fatal(err)
			}
			p, err := packets.ReadPacket(bytes.NewReader(packet))
			if err != nil {
				t.Fatal(err)
			}
			m, ok := p.(*packets.PublishPacket)
			if !ok || m.TopicName != topic || m.MessageID != 7 || topic == "a/b" && len(m.Payload) <= envelope.MaxCommand {
				t.Errorf("%d bytes: %v", size, p)
			}
			if next, err := readPacket(in); err != nil || len(next) != 2 {
				t.Errorf("behind it: %x, %v", next, err)
			}
		}
	}
}

// FuzzPackets: what is let through, the library reads without a panic, within our bounds.
func FuzzPackets(f *testing.F) {
	f.Add(written(f, publish("ocellus/1/x/cmd/y", 1, 7, "payload")))
	f.Add([]byte{0x90, 3, 0, 1, 0x80})
	f.Add([]byte{0x20, 2, 0, 0, 0xd0, 0})
	f.Fuzz(func(t *testing.T, raw []byte) {
		in := bufio.NewReader(bytes.NewReader(raw))
		for {
			packet, err := readPacket(in)
			if err != nil {
				return
			}
			if len(packet) > maxPacket+5 {
				t.Errorf("%d bytes", len(packet))
			}
			_, _ = packets.ReadPacket(bytes.NewReader(packet))
		}
	})
}
