package sim

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/ocellus/ocellus/codec/dot11"
	"github.com/ocellus/ocellus/hal"
	"github.com/ocellus/ocellus/internal/monotime"
)

// Monitor is the monitor of a simulated radio: it hears the beacons of the radio's access points, and what Play puts on
// the air.
type Monitor struct {
	radio *Radio

	mu      sync.Mutex // guards the fields below and those of the Air
	air     *air
	plays   []*play
	changed chan struct{} // closed by the next change
}

// play is packets on a channel, each at its time after begin.
type play struct {
	channel int
	packets []hal.Packet
	begin   time.Time
	next    int           // of packets
	every   time.Duration // after which all of it comes again, and again; 0 for never
	bssid   [6]byte       // of a beacon
}

func newMonitor(r *Radio) *Monitor { return &Monitor{radio: r, changed: make(chan struct{})} }

// beaconInterval is 100 time units (802.11-2020 9.4.1.3).
const beaconInterval = 102400 * time.Microsecond

// Play puts packets on the air of a channel, each at its At from now. Whoever is tuned elsewhere then misses it. They
// belong to the monitor.
func (m *Monitor) Play(channel int, packets []hal.Packet) {
	m.change(func() { m.plays = append(m.plays, &play{channel: channel, packets: packets, begin: time.Now()}) })
}

// Repeat is Play over and over, once in every. The packets lie in less time than that.
func (m *Monitor) Repeat(channel int, packets []hal.Packet, every time.Duration) {
	m.change(func() {
		m.plays = append(m.plays, &play{channel: channel, packets: packets, begin: time.Now(), every: every})
	})
}

// beacons lets an access point be heard.
func (m *Monitor) beacons(a AccessPoint) {
	m.silence(a.BSSID)
	m.change(func() {
		m.plays = append(m.plays, &play{channel: dot11.Channel(a.Frequency), packets: []hal.Packet{beacon(a)},
			begin: time.Now(), every: beaconInterval, bssid: a.BSSID})
	})
}

// silence takes an access point's beacons off the air.
func (m *Monitor) silence(bssid [6]byte) {
	m.change(func() {
		m.plays = slices.DeleteFunc(m.plays, func(p *play) bool { return p.every > 0 && p.bssid == bssid && bssid != [6]byte{} })
	})
}

// change does one change and wakes who waits.
func (m *Monitor) change(do func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	do()
	close(m.changed)
	m.changed = make(chan struct{})
}

func (m *Monitor) open() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.air != nil
}

// beacon is what an access point says of itself (802.11-2020 9.3.3.2), behind a radiotap header with the frequency and
// the signal.
func beacon(a AccessPoint) hal.Packet {
	b := []byte{0, 0, 13, 0, 0x28, 0, 0, 0}
	b = binary.LittleEndian.AppendUint16(b, uint16(a.Frequency))
	b = append(b, 0xa0, 0, byte(int8(a.Signal)))
	b = append(b, 0x80, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff)
	b = append(append(b, a.BSSID[:]...), a.BSSID[:]...)
	b = append(b, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0) // sequence control, timestamp
	b = append(b, 100, 0, 1, 4)                 // interval, capabilities
	name := a.SSID
	if a.Hidden {
		name = ""
	}
	b = append(append(b, 0, byte(len(name))), name...)
	b = append(b, 3, 1, byte(dot11.Channel(a.Frequency)))
	return hal.Packet{Bytes: b, Length: len(b)}
}

// Channels implements hal.Monitor: 1 to 11 in North America, else 1 to 13.
func (m *Monitor) Channels(ctx context.Context) ([]int, error) {
	if err := m.radio.wait(ctx, 0); err != nil {
		return nil, fmt.Errorf("channels of monitor sim: %w", err)
	}
	m.radio.mu.Lock()
	defer m.radio.mu.Unlock()
	last := 13
	if slices.Contains([]string{"US", "CA", "MX"}, m.radio.country) {
		last = 11
	}
	var list []int
	for c := range last {
		list = append(list, c+1)
	}
	return list, nil
}

// has checks that a channel is one of Channels.
func (m *Monitor) has(ctx context.Context, channel int) error {
	list, err := m.Channels(ctx)
	if err == nil && !slices.Contains(list, channel) {
		err = hal.ErrUnsupported
	}
	return err
}

// Start implements hal.Monitor.
func (m *Monitor) Start(ctx context.Context, channel int) (hal.Air, error) {
	a, err := m.start(ctx, channel)
	if err != nil {
		return nil, fmt.Errorf("start monitor sim on channel %d: %w", channel, err)
	}
	return a, nil
}

func (m *Monitor) start(ctx context.Context, channel int) (*air, error) {
	end, err := m.radio.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer end()
	if err := m.has(ctx, channel); err != nil {
		return nil, err
	}
	m.radio.mu.Lock()
	defer m.radio.mu.Unlock()
	if m.radio.joined != nil || m.open() {
		return nil, hal.ErrBusy
	}
	a := &air{monitor: m, channel: channel, since: time.Now(), done: make(chan struct{})}
	m.change(func() { m.air = a })
	return a, nil
}

// air implements hal.Air. The monitor's mu guards channel and since.
type air struct {
	monitor *Monitor
	channel int
	since   time.Time // tuned to the channel: what was sent before is not heard
	buffer  []byte    // lent
	done    chan struct{}
	once    sync.Once
}

// Tune implements hal.Air.
func (a *air) Tune(ctx context.Context, channel int) error {
	err := a.monitor.has(ctx, channel)
	select {
	case <-a.done:
		err = hal.ErrClosed
	default:
	}
	if err != nil {
		return fmt.Errorf("tune monitor sim to channel %d: %w", channel, err)
	}
	a.monitor.change(func() { a.channel, a.since = channel, time.Now() })
	return nil
}

// Next implements hal.Air.
func (a *air) Next(ctx context.Context) (hal.Packet, error) {
	for {
		select {
		case <-a.done:
			return hal.Packet{}, fmt.Errorf("monitor sim: %w", hal.ErrClosed)
		default:
		}
		if err := ctx.Err(); err != nil {
			return hal.Packet{}, err
		}
		p, heard, due, changed := a.take(time.Now())
		if heard {
			return p, nil
		}
		timer := time.NewTimer(due)
		select {
		case <-timer.C:
		case <-changed:
		case <-a.done:
		case <-ctx.Done():
		case <-a.monitor.radio.done:
			_ = a.Close()
		}
		timer.Stop()
	}
}

// take returns the packet that is due, or how long nothing is.
func (a *air) take(now time.Time) (packet hal.Packet, heard bool, due time.Duration, changed <-chan struct{}) {
	m := a.monitor
	m.mu.Lock()
	defer m.mu.Unlock()
	for {
		p, at := m.earliest(a.since)
		if p == nil {
			return hal.Packet{}, false, time.Hour, m.changed
		}
		if at.After(now) {
			return hal.Packet{}, false, at.Sub(now), m.changed
		}
		packet = p.packets[p.next%len(p.packets)]
		p.next++
		if p.channel != a.channel {
			continue
		}
		a.buffer = append(a.buffer[:0], packet.Bytes...)
		packet.Bytes, packet.Length = a.buffer, max(packet.Length, len(a.buffer))
		packet.At = monotime.Now() - now.Sub(at)
		return packet, true, 0, nil
	}
}

// earliest returns the play whose next packet comes first, and when. What came before since is past.
func (m *Monitor) earliest(since time.Time) (first *play, at time.Time) {
	m.plays = slices.DeleteFunc(m.plays, func(p *play) bool {
		p.skip(since)
		return p.every == 0 && p.next >= len(p.packets)
	})
	for _, p := range m.plays {
		if t := p.at(); first == nil || t.Before(at) {
			first, at = p, t
		}
	}
	return first, at
}

// at is when the next packet comes.
func (p *play) at() time.Time {
	round, n := p.next/len(p.packets), p.next%len(p.packets)
	return p.begin.Add(time.Duration(round)*p.every + p.packets[n].At)
}

// skip passes over what came before an instant.
func (p *play) skip(since time.Time) {
	if p.every > 0 {
		if rounds := int(since.Sub(p.at()) / p.every); rounds > 0 {
			p.next += rounds * len(p.packets)
		}
	}
	for (p.every > 0 || p.next < len(p.packets)) && p.at().Before(since) {
		p.next++
	}
}

// Close implements hal.Air.
func (a *air) Close() error {
	a.once.Do(func() {
		close(a.done)
		a.monitor.change(func() { a.monitor.air = nil })
	})
	return nil
}
