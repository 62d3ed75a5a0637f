package sntp

import (
	"context"
	"encoding/binary"
	"errors"
	"log/slog"
	"net"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/ocellus/ocellus/internal/statefile"
	"github.com/ocellus/ocellus/internal/timefloor"
)

var built = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// answer is a server's packet, written from RFC 5905.
func answer(question []byte, now time.Time) []byte {
	p := make([]byte, size)
	p[0], p[1] = 4<<3|4, 2
	copy(p[24:32], question[40:48])
	for _, at := range []int{32, 40} {
		binary.BigEndian.PutUint32(p[at:], uint32(now.Unix()+2208988800)) //nolint:gosec // an era has 32 bits
		binary.BigEndian.PutUint32(p[at+4:], uint32(uint64(now.Nanosecond())<<32/1e9))
	}
	return p
}

// serve is a server whose packets a test changes.
func serve(t *testing.T, offset time.Duration, change func(p []byte) []byte) string {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		b := make([]byte, 512)
		for {
			n, from, err := conn.ReadFrom(b)
			if err != nil {
				return
			}
			p := answer(b[:n], time.Now().Add(offset))
			if change != nil {
				p = change(p)
			}
			_, _ = conn.WriteTo(p, from)
		}
	}()
	t.Cleanup(func() { _ = conn.Close(); <-done })
	return conn.LocalAddr().String()
}

// clock is what a Keeper sets.
type clock struct {
	mu   sync.Mutex // guards the rest
	set  []time.Duration
	sure []bool
}

func (c *clock) Set(now time.Time, sure bool) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.set, c.sure = append(c.set, time.Until(now)), append(c.sure, sure)
	return nil
}

func keeper(t *testing.T, c *clock, persist statefile.Place, servers ...string) *Keeper {
	t.Helper()
	floor, err := timefloor.Open(persist)
	if err != nil {
		t.Fatal(err)
	}
	k, err := Open(Options{Servers: servers, Floor: floor, Persist: persist, Built: built, Set: c.Set,
		Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func place(t *testing.T) statefile.Place {
	return statefile.Path(filepath.Join(t.TempDir(), "persist"))
}

func TestLook(t *testing.T) {
	t.Parallel()
	right := func() string { return serve(t, time.Hour, nil) }
	liar := func() string { return serve(t, -365*24*time.Hour, nil) }
	silent := serve(t, 0, func([]byte) []byte { return nil })
	for name, tt := range map[string]struct {
		servers []string
		err     error
	}{
		"one alone":                 {[]string{right()}, nil},
		"three agree":               {[]string{right(), right(), right()}, nil},
		"two of three":              {[]string{right(), liar(), right()}, nil},
		"one of two":                {[]string{right(), liar()}, errDisagree},
		"one of three that answer":  {[]string{right(), liar(), serve(t, time.Minute, nil)}, errDisagree},
		"one of two answers":        {[]string{right(), silent}, errDisagree},
		"all lie: before the floor": {[]string{serve(t, -20*365*24*time.Hour, nil)}, ErrRefused},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var c clock
			k := keeper(t, &c, place(t), tt.servers...)
			err := k.Look(t.Context())
			if !errors.Is(err, tt.err) || (err == nil) != (len(c.set) == 1) {
				t.Fatalf("got %v, set %v", err, c.set)
			}
			if err == nil && ((c.set[0]-time.Hour).Abs() > 200*time.Millisecond || !c.sure[0]) {
				t.Errorf("set by %v", c.set[0])
			}
		})
	}
}

// TestFloor: what an update proved counts here, what servers say does not move it, and a clock that is before it is set
// to it.
func TestFloor(t *testing.T) {
	t.Parallel()
	var c clock
	p := place(t)
	k := keeper(t, &c, p, serve(t, 10*24*time.Hour, nil))
	if err := k.Look(t.Context()); err != nil {
		t.Fatal(err)
	}
	if at := k.Floor.Time(); at.Unix() != 0 {
		t.Errorf("forged answers moved the floor to %v", at)
	}
	k = keeper(t, &c, p, serve(t, 0, nil))
	if len(c.set) != 2 || c.sure[1] {
		t.Errorf("set %v, sure %v: want once to what it was last, unsure", c.set, c.sure)
	}
	if err := k.Look(t.Context()); err != nil {
		t.Errorf("back from a forged time: %v", err)
	}
	if err := k.Floor.Raise(time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if err := k.Look(t.Context()); !errors.Is(err, ErrRefused) {
		t.Errorf("a time before the floor: %v", err)
	}
	before := len(c.set)
	keeper(t, &c, p)
	if len(c.set) != before+1 || (c.set[before]-time.Hour).Abs() > 2*time.Second || c.sure[before] {
		t.Errorf("set %v, sure %v: want to the floor, unsure", c.set, c.sure)
	}
}

func TestAnswers(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 5, 1, 12, 0, 0, 500_000_000, time.UTC)
	good := func() []byte { return answer(request(7), now) }
	for name, tt := range map[string]struct {
		change func(p []byte) []byte
		fine   bool
	}{
		"fine":             {func(p []byte) []byte { return p }, true},
		"with extensions":  {func(p []byte) []byte { return append(p, 1, 2, 3, 4) }, true},
		"version 3":        {func(p []byte) []byte { p[0] = 3<<3 | 4; return p }, true},
		"cut short":        {func(p []byte) []byte { return p[:size-1] }, false},
		"empty":            {func([]byte) []byte { return nil }, false},
		"a client's":       {func(p []byte) []byte { p[0] = 4<<3 | 3; return p }, false},
		"broadcast":        {func(p []byte) []byte { p[0] = 4<<3 | 5; return p }, false},
		"version 2":        {func(p []byte) []byte { p[0] = 2<<3 | 4; return p }, false},
		"another nonce":    {func(p []byte) []byte { p[24] ^= 1; return p }, false},
		"alarm":            {func(p []byte) []byte { p[0] |= 3 << 6; return p }, false},
		"kiss of death":    {func(p []byte) []byte { p[1] = 0; return p }, false},
		"stratum 16":       {func(p []byte) []byte { p[1] = 16; return p }, false},
		"far from a clock": {func(p []byte) []byte { p[9] = 2; return p }, false},
		"disorder":         {func(p []byte) []byte { p[35] ^= 2; return p }, false},
	} {
		received, sent, err := parse(tt.change(good()), 7, built)
		if (err == nil) != tt.fine || err != nil && !errors.Is(err, ErrRefused) {
			t.Errorf("%s: %v", name, err)
		}
		if tt.fine && (!received.Equal(sent) || sent.Sub(now).Abs() > time.Microsecond) {
			t.Errorf("%s: %v, want %v", name, sent, now)
		}
	}
}

// TestEra: after 2036 the seconds begin anew.
func TestEra(t *testing.T) {
	t.Parallel()
	for _, now := range []time.Time{
		time.Date(2036, 2, 7, 6, 28, 15, 0, time.UTC), time.Date(2036, 2, 7, 6, 28, 17, 0, time.UTC),
		time.Date(2060, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC),
	} {
		if _, got, err := parse(answer(request(1), now), 1, built); err != nil || !got.Equal(now) {
			t.Errorf("got %v, %v, want %v", got, err, now)
		}
	}
}

func TestRun(t *testing.T) {
	t.Parallel()
	var c clock
	k := keeper(t, &c, place(t), serve(t, time.Hour, nil))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- k.Run(ctx) }()
	for {
		c.mu.Lock()
		n := len(c.set)
		c.mu.Unlock()
		if n > 0 {
			break
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(answer(request(7), built), uint64(7))
	f.Add(request(7), uint64(0))
	f.Fuzz(func(t *testing.T, p []byte, nonce uint64) {
		_, sent, err := parse(p, nonce, built)
		if err == nil && sent.Before(built.Add(-24*time.Hour)) {
			t.Errorf("a time before the floor: %v", sent)
		}
	})
}
