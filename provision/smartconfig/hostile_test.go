package smartconfig

import (
	"iter"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/ocellus/ocellus/codec/dot11"
	"github.com/ocellus/ocellus/internal/secret"
)

// hostile are kinds of air on which nobody tells anything, each worse than the one before.
func hostile() map[string]func(*rand.Rand) iter.Seq[heard] {
	alphabet := func(lengths func(*rand.Rand) int) func(*rand.Rand) iter.Seq[heard] {
		return func(rng *rand.Rand) iter.Seq[heard] { return flood(rng, 1, time.Millisecond, lengths) }
	}
	return map[string]func(*rand.Rand) iter.Seq[heard]{
		"busy channel": func(rng *rand.Rand) iter.Seq[heard] { return traffic(rng, 40, 800, usualLength) },
		"any length": func(rng *rand.Rand) iter.Seq[heard] {
			return traffic(rng, 8, 800, anyLength)
		},
		"a new sender each frame": func(rng *rand.Rand) iter.Seq[heard] {
			return flood(rng, 1<<16, time.Millisecond, anyLength)
		},
		"symbols of v1 at random":    alphabet(randomTouch1()),
		"slices of v2 at random":     alphabet(randomTouch2),
		"AirKiss groups at random":   alphabet(randomGroups(airKissPrefix)),
		"Tuya EZ groups at random":   alphabet(randomGroups(tuyaCode)),
		"all alphabets at random":    mixed,
		"Tuya EZ addresses, no data": randomAddresses,
	}
}

// usualLength is what one sees on a home network: ARP, mDNS, SSDP, DHCP, big ones.
func usualLength(rng *rand.Rand) int {
	usual := []int{52, 52, 52, 84, 118, 190, 230, 344, 420, 1400}
	if rng.IntN(4) == 0 {
		return minOffset + rng.IntN(500)
	}
	return usual[rng.IntN(len(usual))]
}

// flood is one or many stations that send lengths one after another, without a gap in their sequence numbers.
func flood(rng *rand.Rand, stations int, gap time.Duration, length func(*rand.Rand) int) iter.Seq[heard] {
	return func(yield func(heard) bool) {
		sequence := make([]uint16, stations)
		for at := time.Duration(0); ; at += gap {
			n := rng.IntN(stations)
			sequence[n]++
			f := dot11.Frame{BSSID: testAP, SA: dot11.Addr{2, 2, 0, byte(n >> 16), byte(n >> 8), byte(n)}, DA: dot11.Broadcast(),
				Direction: dot11.ToDS, Sequence: sequence[n] % sequences, Length: length(rng)}
			if !yield(heard{at, f}) {
				return
			}
		}
	}
}

// script returns lengths that come one after another as a generator of lengths.
func script(next func(*rand.Rand) []int) func(*rand.Rand) int {
	var list []int
	return func(rng *rand.Rand) int {
		if len(list) == 0 {
			list = next(rng)
		}
		n := list[0]
		list = list[1:]
		return n + 52
	}
}

// randomTouch1 are the right kinds of packets in the right order after a guide code, with any content: one symbol in
// 256 has the right CRC.
func randomTouch1() func(*rand.Rand) int {
	return script(func(rng *rand.Rand) []int {
		if rng.IntN(50) == 0 {
			return []int{515, 514, 513, 512, 515, 514, 513, 512}
		}
		return []int{touch1Data + rng.IntN(256), touch1Index + rng.IntN(32), touch1Data + rng.IntN(256)}
	})
}

// randomTouch2 are sync packets, group numbers and slices.
func randomTouch2(rng *rand.Rand) int {
	switch rng.IntN(20) {
	case 0, 1:
		return 52 + touch2Sync
	case 2, 3:
		return 52 + touch2Count + 2 + rng.IntN(4)
	case 4, 5, 6:
		return 52 + touch2Group + rng.IntN(5)
	}
	return 52 + (rng.IntN(8)<<7 | 64 | rng.IntN(64))
}

// randomGroups are codes, numbers and bytes.
func randomGroups(tag int) func(*rand.Rand) int {
	return func(rng *rand.Rand) int {
		switch rng.IntN(10) {
		case 0, 1:
			return 52 + (tag+rng.IntN(4))<<4 | rng.IntN(16)
		case 2:
			return 52 + rng.IntN(64)
		case 3, 4:
			return 52 + groupControl + rng.IntN(8)
		case 5:
			return 52 + groupControl + rng.IntN(128)
		}
		return 52 + groupData + rng.IntN(256)
	}
}

// mixed are pieces of every protocol in the right order: guide codes, headers and groups with right CRCs, of messages
// that are never whole and never the same.
func mixed(rng *rand.Rand) iter.Seq[heard] {
	piece := script(func(rng *rand.Rand) []int {
		m := homeNet()
		m.SSID, m.Password = randomText(rng, 8+rng.IntN(24)), secret.Secret(randomText(rng, 8+rng.IntN(24)))
		var round []int
		var err error
		switch rng.IntN(4) {
		case 0:
			round, err = touch1Round(&m)
		case 1:
			round, err = touch2Round(&m, randomBytes{rng})
		case 2:
			round, err = airKissCycle(&m)
		default:
			round, err = tuyaBody(&m)
		}
		if err != nil {
			panic(err)
		}
		from := rng.IntN(len(round))
		return round[from:min(len(round), from+1+rng.IntN(24))]
	})
	return flood(rng, 1, time.Millisecond, piece)
}

func randomText(rng *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(1 + rng.IntN(255))
	}
	return b
}

// randomAddresses are multicast addresses with the head of Tuya EZ between them.
func randomAddresses(rng *rand.Rand) iter.Seq[heard] {
	head := tuyaAddresses(tuyaHead, []byte(tuyaMagic))
	return func(yield func(heard) bool) {
		for at := time.Duration(0); ; at += time.Millisecond {
			g := head[rng.IntN(len(head))]
			if rng.IntN(4) > 0 {
				g = [4]byte{226, byte(rng.IntN(120)), byte(rng.IntN(40)), byte(rng.IntN(40))}
			}
			f := dot11.Frame{BSSID: testAP, SA: testPhone, DA: dot11.Addr{1, 0, 0x5e, g[1] & 0x7f, g[2], g[3]},
				Direction: dot11.ToDS, Length: 53, Sequence: uint16(at/time.Millisecond) % sequences}
			if !yield(heard{at, f}) {
				return
			}
		}
	}
}

// endure feeds so many frames and returns how many credentials came of them.
func endure(t testing.TB, air iter.Seq[heard], frames int) int {
	t.Helper()
	r, err := NewReceiver(allOn())
	if err != nil {
		t.Fatal(err)
	}
	accepted := 0
	for h := range air {
		if frames--; frames < 0 {
			break
		}
		s, _ := r.Add(h.at, &h.frame)
		if s.Credentials != nil {
			accepted++
			t.Logf("%v: accepted %v %q %q", h.at, s.Credentials.Protocol, s.Credentials.SSID, s.Credentials.Password.Reveal())
		}
		if len(r.senders) > maxSenders {
			t.Fatalf("%d senders are held, want at most %d", len(r.senders), maxSenders)
		}
	}
	return accepted
}

// TestNoFalseAccept: nobody tells anything, so nothing may be heard. BenchmarkNoFalseAccept runs for longer.
func TestNoFalseAccept(t *testing.T) {
	t.Parallel()
	frames := 25_000
	if testing.Short() {
		frames /= 10
	}
	for name, air := range hostile() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if n := endure(t, air(newRand(1)), frames); n > 0 {
				t.Errorf("%d false accepts in %d frames", n, frames)
			}
		})
	}
}

// BenchmarkNoFalseAccept feeds ten million frames, an equal part of each kind of hostile air, and prints the time of a
// frame, that of its maker included, and the false accepts, which must be 0. -benchtime 9x feeds as much of each kind,
// always another part.
func BenchmarkNoFalseAccept(b *testing.B) {
	frames := 10_000_000 / len(hostile())
	for name, air := range hostile() {
		b.Run(name, func(b *testing.B) {
			accepted, seed := 0, uint64(1)
			for b.Loop() {
				seed++
				accepted += endure(b, air(newRand(seed)), frames)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(frames), "ns/frame")
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(float64(accepted), "accepted")
		})
	}
}
