package smartconfig_test

import (
	"crypto/rand"
	"fmt"
	"net/netip"
	"time"

	"github.com/ocellus/ocellus/codec/dot11"
	"github.com/ocellus/ocellus/provision/smartconfig"
)

// A phone tells, a camera hears; between them an access point repeats each datagram, encrypted.
func Example() {
	ap := dot11.Addr{0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff}
	message := smartconfig.Message{SSID: []byte("HomeNet"), Password: "p@ssw0rd!", BSSID: ap, Key: "1234567890abcdef"}
	datagrams, err := message.Send(smartconfig.ESPTouch2, rand.Reader)
	if err != nil {
		fmt.Println(err)
		return
	}
	receiver, err := smartconfig.NewReceiver(smartconfig.Options{Key: "1234567890abcdef"})
	if err != nil {
		fmt.Println(err)
		return
	}
	var at time.Duration
	var sequence uint16
	for d := range datagrams {
		at, sequence = at+d.Wait, (sequence+1)%4096
		seen, _ := receiver.Add(at, &dot11.Frame{BSSID: ap, SA: dot11.Addr{2, 0, 0, 0, 0, 0x10}, DA: dot11.Broadcast(),
			Direction: dot11.FromDS, Sequence: sequence, Length: d.Length + 52, Protected: true})
		if c := seen.Credentials; c != nil {
			fmt.Printf("%v: %s %v\n", c.Protocol, c.SSID, c.Password)
			ack, _ := c.ACK(dot11.Addr{2, 0, 0, 0, 2, 0}, netip.MustParseAddr("192.0.2.50"))
			fmt.Printf("ACK %x to %v\n", ack.Payload, ack.To)
			return
		}
	}
	// Output:
	// ESP-Touch v2: HomeNet ***
	// ACK 00020000000200 to [255.255.255.255:18266]
}
