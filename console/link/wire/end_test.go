package wire

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/ocellus/ocellus/codec/frame"
)

// line is a simulated line between two ends: bytes take their time, and some are spoilt.
type line struct {
	now    time.Time
	random *rand.Rand
	baud   int
	spoilt float64 // probability that a frame is
	twice  bool    // each frame comes twice
	ways   [2]way
	ends   [2]*End
	got    [2][][]byte
	frames int
}

// way is one direction.
type way struct {
	split frame.Splitter
	free  time.Time // when the line is
	queue []flight
}

type flight struct {
	at  time.Time
	raw []byte
}

func newLine(seed uint64, baud int, spoilt float64) *line {
	l := &line{now: time.Unix(0, 0), random: rand.New(rand.NewPCG(seed, 7)), baud: baud, spoilt: spoilt}
	h := Hello{Session: [SessionSize]byte{0xf0, 0xff, 0xff, 0xff, 0x85}, Chunk: 100} // the numbers wrap
	for i := range l.ends {
		l.ends[i] = NewEnd(h, i == 1, func(raw []byte) { l.carry(i, raw) }, func(m []byte) { l.got[i] = append(l.got[i], m) })
	}
	return l
}

// carry puts a frame on the line.
func (l *line) carry(from int, raw []byte) {
	w := &l.ways[from]
	l.frames++
	raw = slices.Clone(raw)
	if l.random.Float64() < l.spoilt {
		raw[l.random.IntN(len(raw))] ^= 1 << l.random.IntN(8)
	}
	if l.twice {
		raw = append(raw, raw...)
	}
	if w.free.Before(l.now) {
		w.free = l.now
	}
	w.free = w.free.Add(time.Duration(len(raw)) * 10 * time.Second / time.Duration(l.baud))
	w.queue = append(w.queue, flight{w.free, raw})
}

// run lets time pass until both ends are idle.
func (l *line) run(t *testing.T) {
	t.Helper()
	if l.step(t, 1_000_000) {
		t.Fatal("the ends never come to rest")
	}
}

// step lets so many things happen, and reports whether there are more.
func (l *line) step(t *testing.T, times int) (more bool) {
	t.Helper()
	for range times {
		if l.ends[0].Idle() && l.ends[1].Idle() && len(l.ways[0].queue)+len(l.ways[1].queue) == 0 {
			return false
		}
		next, from := time.Time{}, -1
		sooner := func(at time.Time, who int) {
			if !at.IsZero() && (next.IsZero() || at.Before(next)) {
				next, from = at, who
			}
		}
		for i := range l.ends {
			sooner(l.ends[i].Next(), -1)
			if q := l.ways[i].queue; len(q) > 0 {
				sooner(q[0].at, i)
			}
		}
		if l.now = next; from < 0 {
			l.ends[0].Tick(l.now)
			l.ends[1].Tick(l.now)
			continue
		}
		w := &l.ways[from]
		raw := w.queue[0].raw
		w.queue = w.queue[1:]
		w.split.Push(raw, func(p frame.Piece) {
			if p.Frame != nil {
				l.ends[1-from].Frame(*p.Frame, l.now)
			}
		})
	}
	return true
}

// TestEnd: whatever the line does, messages arrive once each and in order, both ways at once.
func TestEnd(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		baud   int
		spoilt float64
		twice  bool
	}{
		{"a good line", 115200, 0, false}, {"slow", 9600, 0.02, false}, {"fast", 1_500_000, 0.02, false},
		{"bad", 115200, 0.3, false}, {"every frame twice", 115200, 0.1, true},
	} {
		for seed := range uint64(20) {
			l := newLine(seed, c.baud, c.spoilt)
			l.twice = c.twice
			var sent [2][][]byte
			for i := range 40 {
				m := bytes.Repeat([]byte{byte(i)}, l.random.IntN(1000))
				from := l.random.IntN(2)
				sent[from] = append(sent[from], m)
				l.ends[from].Send(m, l.now)
				if !l.ends[from].Room() {
					l.run(t)
				}
			}
			l.run(t)
			for i := range sent {
				if !slices.EqualFunc(sent[i], l.got[1-i], bytes.Equal) {
					t.Fatalf("%s, seed %d: %d messages sent, %d came, or others", c.name, seed, len(sent[i]), len(l.got[1-i]))
				}
			}
			if resent := l.ends[0].Resent + l.ends[1].Resent; c.spoilt == 0 && resent > 0 {
				t.Errorf("%s: %d frames sent again for nothing", c.name, resent)
			}
		}
	}
}

// TestSpeed: a file goes at nearly the line's own speed, at each speed, and an error costs little.
func TestSpeed(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		baud   int
		spoilt float64
		share  float64 // of what the line could carry
	}{{9600, 0, 0.85}, {115200, 0, 0.85}, {1_500_000, 0, 0.85}, {115200, 0.01, 0.7}} {
		l := newLine(1, c.baud, c.spoilt)
		const size = 64 << 10
		for range 16 {
			l.ends[0].Send(make([]byte, size/16), l.now)
			l.run(t)
		}
		took := l.now.Sub(time.Unix(0, 0))
		if share := size * 10 / took.Seconds() / float64(c.baud); share < c.share {
			t.Errorf("%d baud, %.0f %% of frames spoilt: %.0f %% of the line", c.baud, 100*c.spoilt, 100*share)
		}
	}
}

// TestHiccup: a camera that is busy for a moment gets everything twice once, and not from then on.
func TestHiccup(t *testing.T) {
	t.Parallel()
	for _, baud := range []int{115200, 1_500_000} {
		l := newLine(1, baud, 0)
		l.ends[1].Send(make([]byte, 40<<10), l.now)
		l.step(t, 100)
		for i := range l.ways[1].queue {
			l.ways[1].queue[i].at = l.now.Add(mostWait / 2)
		}
		l.ways[1].free = l.now.Add(mostWait / 2)
		l.run(t)
		if resent := l.ends[1].Resent; resent == 0 || resent > 3*window {
			t.Errorf("%d baud: %d frames were sent again, at most %d were late", baud, resent, window)
		}
	}
}

// TestStrangers: an echo, another conversation, and junk move nothing.
func TestStrangers(t *testing.T) {
	t.Parallel()
	l := newLine(1, 115200, 0)
	e := l.ends[0]
	e.Send([]byte("mine"), l.now)
	var echo frame.Splitter
	for _, f := range l.ways[0].queue {
		echo.Push(f.raw, func(p frame.Piece) {
			if e.Frame(*p.Frame, l.now) {
				t.Error("took its own frame for the camera's")
			}
		})
	}
	for _, f := range []frame.Frame{
		{Kind: Data | FromCamera, Seq: e.expected}, {Kind: Data | FromCamera, Seq: e.expected, Payload: []byte{lastFlag}},
		{Kind: Ack | FromCamera, Seq: e.next}, {Kind: Ack | FromCamera, Seq: e.next, Payload: []byte{e.tag + 1}},
		{Kind: 99 | FromCamera, Seq: e.expected, Payload: []byte{e.tag}},
		{Kind: Ack | FromCamera, Seq: e.next + 1, Payload: []byte{e.tag}},
		{Kind: Ack | FromCamera, Seq: e.next + 1<<15, Payload: []byte{e.tag}},
	} {
		if e.Frame(f, l.now) {
			t.Errorf("took %v", f)
		}
	}
	if e.Idle() || len(l.got[0]) > 0 {
		t.Errorf("idle %v, got %q", e.Idle(), l.got[0])
	}
}

// TestTooLong: a message that never ends is not gathered for ever.
func TestTooLong(t *testing.T) {
	t.Parallel()
	l := newLine(1, 1_500_000, 0)
	camera := l.ends[1]
	for i := range MaxRequest {
		f := frame.Frame{Kind: Data, Seq: camera.expected, Payload: append([]byte{camera.tag}, make([]byte, 999)...)}
		if !camera.Frame(f, l.now) {
			if i < MaxRequest/999 {
				t.Errorf("refused after %d frames", i)
			}
			return
		}
	}
	t.Error("gathers it for ever")
}

func FuzzEnd(f *testing.F) {
	f.Add([]byte{Data, 0xff, 0xff, 1, 0x85}, uint8(1))
	f.Add([]byte{Ack, 0xf1, 0xff, 1, 5}, uint8(2))
	f.Fuzz(func(t *testing.T, raw []byte, pending uint8) {
		l := newLine(1, 115200, 0)
		e := l.ends[1]
		for range pending % 4 {
			e.Send(make([]byte, 300), l.now)
		}
		for len(raw) >= 4 {
			n := min(int(raw[3]), len(raw)-4)
			e.Frame(frame.Frame{Kind: raw[0], Seq: uint16(raw[1]) | uint16(raw[2])<<8, Payload: raw[4 : 4+n]}, l.now)
			raw = raw[4+n:]
			l.now = l.now.Add(time.Second)
			e.Tick(l.now)
		}
		if len(e.flying) > window || len(e.partial) > MaxRequest {
			t.Fatal(fmt.Sprint(len(e.flying), len(e.partial)))
		}
	})
}
