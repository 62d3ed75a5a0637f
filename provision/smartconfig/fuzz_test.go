package smartconfig

import (
	"testing"
	"time"

	"github.com/ocellus/ocellus/codec/dot11"
	"github.com/ocellus/ocellus/internal/secret"
)

// scriptOf writes frames as a fuzzer can change them, four bytes each: length, little endian; how many sequence numbers
// are skipped, and in the high bits direction and kind of destination; time since the frame before in ms.
func scriptOf(lengths []int, offset int) []byte {
	var b []byte
	for _, n := range lengths {
		b = append(b, byte(n+offset), byte((n+offset)>>8), 0, 8)
	}
	return b
}

// play feeds a script to a receiver. Whatever it says, what is held is bounded and what is told could be sent.
func play(t *testing.T, o Options, script []byte) {
	t.Helper()
	r, err := NewReceiver(o)
	if err != nil {
		t.Fatal(err)
	}
	groups := []dot11.Addr{dot11.Broadcast(), {1, 0, 0x5e, 7, 7, 7}, {0x33, 0x33, 0, 0, 0, 1}, {1, 0, 0x5e, 0x40, 7, 7}}
	var at time.Duration
	var sequence uint16
	for ; len(script) >= 4; script = script[4:] {
		f := dot11.Frame{BSSID: testAP, SA: testPhone, Direction: dot11.ToDS, Length: int(script[0]) | int(script[1])<<8}
		how := script[2]
		f.DA = groups[how>>6]
		if how>>5&1 != 0 {
			f.Direction = dot11.FromDS
		}
		if f.DA[3] == 0x40 { // the address is the data
			f.DA[3], f.DA[4], f.DA[5] = how&0x1f|script[1]&0x60, script[0], script[3]
		}
		sequence += uint16(how&0x1f) + 1
		at += time.Duration(script[3]) * time.Millisecond
		f.Sequence = sequence % sequences
		s, _ := r.Add(at, &f)
		if c := s.Credentials; c != nil {
			if err := c.check(); err != nil || s.Stage != Complete {
				t.Fatalf("told %+v at stage %d: %v", c, s.Stage, err)
			}
			again := Message{SSID: c.SSID, Password: c.Password, Reserved: c.Reserved, Phone: c.Phone, BSSID: c.BSSID}
			again.Key = o.Key
			if _, err := again.Send(c.Protocol, zeros{}); err != nil {
				t.Fatalf("what was told can't be sent: %v", err)
			}
		}
	}
	for _, s := range r.senders {
		for _, way := range s.streams {
			for _, st := range way {
				if st != nil && len(st.recent) > maxRecent {
					t.Fatalf("%d packets are kept", len(st.recent))
				}
			}
		}
	}
}

// fuzzOne fuzzes one protocol, from its golden vector on.
func fuzzOne(f *testing.F, o Options, golden string, rounds int) {
	f.Helper()
	lengths := numbers(f, golden)
	var all []int
	for range rounds {
		all = append(all, lengths...)
	}
	whole := scriptOf(all, 60)
	f.Add(whole)
	damaged := append([]byte(nil), whole...)
	for i := 2; i < len(damaged); i += 36 {
		damaged[i], damaged[i-2] = 0x23, damaged[i-2]+1
	}
	f.Add(damaged)
	f.Fuzz(func(t *testing.T, script []byte) { play(t, o, script) })
}

func FuzzESPTouch1(f *testing.F) { fuzzOne(f, Options{Also: ESPTouch1}, goldenTouch1, 2) }

func FuzzESPTouch2(f *testing.F) { fuzzOne(f, Options{Key: testKey}, goldenTouch2, 2) }

func FuzzESPTouch2Plain(f *testing.F) {
	fuzzOne(f, Options{Also: ESPTouch2Plain}, goldenTouch2Reserved, 2)
}

func FuzzAirKiss(f *testing.F) { fuzzOne(f, Options{Also: AirKiss}, goldenAirKiss, 4) }

func FuzzTuyaEZ(f *testing.F) { fuzzOne(f, Options{Also: TuyaEZ}, goldenTuya, 4) }

func FuzzAll(f *testing.F) { fuzzOne(f, allOn(), goldenTouch2Plain+goldenTouch1+goldenAirKiss, 2) }

// FuzzTell: what can be sent is told.
func FuzzTell(f *testing.F) {
	f.Add("HomeNet", "p@ssw0rd!", "tok123", byte(0))
	f.Add("Дом", "", "x", byte(1))
	f.Add("a", "12345678", "", byte(2))
	f.Add("\xff\x01\x80", "\x7f\x20", "US000000000101", byte(3))
	f.Fuzz(func(t *testing.T, ssid, password, reserved string, which byte) {
		p := allProtocols()[int(which)%len(allProtocols())]
		m := homeNet()
		m.SSID, m.Password, m.Key = []byte(ssid), secret.Secret(password), testKey
		if p == ESPTouch2 || p == ESPTouch2Plain || p == TuyaEZ {
			m.Reserved = secret.Secret(reserved)
		}
		sent, err := m.Send(p, zeros{})
		if err != nil {
			return
		}
		air := weather{}.listen(newRand(1), sent, 0, testPhone)
		if c, took, _ := rehearse(t, allOn(), air, 40*time.Second, testPhone); !told(c, m, p) {
			t.Errorf("%v: got %+v after %v, want %q %q %q", p, c, took, ssid, password, reserved)
		}
	})
}
