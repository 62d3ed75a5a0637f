package link

import (
	"context"
	"strconv"

	"github.com/ocellus/ocellus/codec/improv"
)

// Network brings a camera without an owner into a Wi-Fi network.
type Network interface {
	// Claimed reports whether the camera has an owner; he alone gives it a network then, and by another way.
	Claimed() bool
	// Joined reports whether the camera is in a network, and Trying whether it tries one.
	Joined() bool
	Trying() bool
	// Join tries a network, and returns when the camera is in it, or why it is not.
	Join(ctx context.Context, ssid, password []byte) error
	// Networks are those that the radio sees, the strongest first.
	Networks(ctx context.Context) ([]Seen, error)
	// Device tells firmware, release, hardware and name.
	Device() []string
}

// Seen is a network that the radio sees.
type Seen struct {
	SSID     string
	SignalDB int // dBm
	Secured  bool
}

// maxSeen are told of the networks that the radio sees.
const maxSeen = 32

// packet takes an Improv packet. The camera had no owner when it came.
func (d *desk) packet(p improv.Packet) {
	command, data, err := p.Ask()
	switch {
	case err != nil:
		d.say(improv.ErrorPacket(improv.BadPacket))
	case command == improv.AskState:
		d.state()
	case command == improv.DeviceInfo:
		d.say(improv.ErrorPacket(improv.NoError), improv.ResultPacket(command, d.Network.Device()...))
	case command == improv.Settings:
		d.settings(data)
	case command == improv.Scan:
		d.tune(d.scan)
	default:
		d.say(improv.ErrorPacket(improv.BadCommand))
	}
}

func (d *desk) say(packets ...improv.Packet) {
	for _, p := range packets {
		d.write(p.Append(nil))
	}
}

// state says how far the camera is; of a network that is joined, as after Settings.
func (d *desk) state() {
	switch {
	case d.Network.Trying():
		d.say(improv.StatePacket(improv.Provisioning))
	case d.Network.Joined():
		d.say(improv.StatePacket(improv.Provisioned), improv.ResultPacket(improv.AskState))
	default:
		d.say(improv.StatePacket(improv.Ready))
	}
}

// settings tries a network.
func (d *desk) settings(data []byte) {
	ssid, password, err := improv.Network(data)
	if err != nil {
		d.say(improv.ErrorPacket(improv.BadPacket))
		return
	}
	d.tune(func(ctx context.Context) {
		d.say(improv.ErrorPacket(improv.NoError), improv.StatePacket(improv.Provisioning))
		if err := d.Network.Join(ctx, ssid, password); err != nil {
			d.Log.Warn("network not joined")
			d.say(improv.ErrorPacket(improv.NoConnect), improv.StatePacket(improv.Ready))
			return
		}
		d.say(improv.StatePacket(improv.Provisioned), improv.ResultPacket(improv.Settings))
	})
}

// scan tells a network a packet, and ends with an empty one.
func (d *desk) scan(ctx context.Context) {
	d.say(improv.ErrorPacket(improv.NoError))
	seen, err := d.Network.Networks(ctx)
	if err != nil {
		d.say(improv.ErrorPacket(improv.Unspecified))
		return
	}
	for _, n := range seen[:min(len(seen), maxSeen)] {
		secured := map[bool]string{true: "YES", false: "NO"}[n.Secured]
		d.say(improv.ResultPacket(improv.Scan, n.SSID, strconv.Itoa(n.SignalDB), secured))
	}
	d.say(improv.ResultPacket(improv.Scan))
}

// tune does something with the radio aside; one thing at a time.
func (d *desk) tune(job func(ctx context.Context)) {
	if d.tuning {
		d.state()
		return
	}
	d.tuning = true
	d.jobs.Go(func() {
		job(d.ctx)
		d.call(d.ctx, func() { d.tuning = false })
	})
}
