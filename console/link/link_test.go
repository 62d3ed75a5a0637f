package link

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ocellus/ocellus/access"
	"github.com/ocellus/ocellus/codec/frame"
	"github.com/ocellus/ocellus/console/link/caller"
	"github.com/ocellus/ocellus/console/link/wire"
)

func TestRequests(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		c := w.dial(w.plug())
		if got := c.Camera(); got.Model != "SIM" || got.Release != "1.0" || got.Claimed {
			t.Errorf("got %+v", got)
		}
		for _, r := range []struct {
			name string
			kind uint8
			body string
			want []string
		}{
			{"envelope", wire.Envelope, "e", []string{"7 accepted", "7 " + strings.Repeat("e", 40)}},
			{"envelope that is none", wire.Envelope, "junk", []string{"8 bad_request"}},
			{"locked", wire.Command, "status", []string{"8 denied"}},
			{"locked", wire.Put, "", []string{"8 denied"}},
			{"an answer without a riddle", wire.Unlock, "right", []string{"8 denied"}},
			{"riddle", wire.Challenge, "", []string{"2 riddle"}},
			{"wrong", wire.Unlock, "wrong", []string{"8 denied"}},
			{"still locked", wire.Command, "status", []string{"8 denied"}},
			{"right", wire.Unlock, "right", []string{`9 {"code":"ok"}`}},
			{"unlocked", wire.Command, "status", []string{"9 owner: status"}},
			{"an answer that is too long", wire.Command, "long", []string{`9 {"code":"too_big","text":"done, but the `}},
			{"no file", wire.Put, "junk", []string{"8 bad_request"}},
			{"what a later release asks", 99, "", []string{"8 unsupported"}},
			{"wrong again", wire.Unlock, "wrong", []string{"8 denied"}},
			{"locked again", wire.Command, "status", []string{"8 denied"}},
		} {
			began := time.Now()
			if got := w.ask(c, r.kind, r.body); !slices.Equal(got, r.want) {
				t.Errorf("%s: got %q, want %q", r.name, got, r.want)
			}
			wrong := r.kind == wire.Unlock && r.want[0] == "8 denied"
			if took := time.Since(began); wrong != (took >= 8*time.Second) {
				t.Errorf("%s: answered after %v", r.name, took)
			}
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
}

// TestGuesses: who does not wait for the answer to his guess, and greets anew, guesses no faster.
func TestGuesses(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		began := time.Now()
		for range 3 {
			c := w.dial(w.plug())
			w.ask(c, wire.Challenge, "")
			impatient, cancel := context.WithTimeout(w.Context(), time.Second)
			_ = c.Ask(impatient, wire.Unlock, []byte("wrong"), func(wire.Message) (bool, error) { return true, nil })
			cancel()
			_ = c.Close()
		}
		if took := time.Since(began); w.guesses != 1 || took > 8*time.Second {
			t.Errorf("%d guesses judged in %v", w.guesses, took)
		}
		c := w.dial(w.plug())
		w.unlock(c)
		if took := time.Since(began); took < 8*time.Second || took > 10*time.Second {
			t.Errorf("the right answer came after %v", took)
		}
		_ = c.Close()
	})
}

// TestText: a line belongs to a person until a program greets, and after it has gone.
func TestText(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		port := w.plug()
		say := func(text string) {
			if _, err := port.Write([]byte(text)); err != nil {
				t.Error(err)
			}
		}
		say("status\n")
		if got := w.typed(); got != "status\n" {
			t.Errorf("before: got %q", got)
		}
		c := w.dial(port)
		say("reboot\n") // what would be left of a frame without its beginning
		if got := w.typed(); got != "" || !w.link.busy() {
			t.Errorf("during: got %q", got)
		}
		_ = c.Close()
		synctest.Wait()
		port = w.plug()
		say("help\n")
		if got := w.typed(); got != "help\n" || w.link.busy() {
			t.Errorf("after: got %q", got)
		}
		say(string(frame.Frame{Kind: wire.HelloKind, Payload: wire.Hello{Chunk: 100}.Marshal()}.Append(nil)[:9]))
		time.Sleep(quiet + 1)
		say("version\n")
		if got := w.typed(); got != "version\n" {
			t.Errorf("after half a frame: got %q", got)
		}
		go func() { _, _ = io.Copy(io.Discard, port) }()
		say(string(frame.Frame{Kind: wire.HelloKind, Payload: wire.Hello{Chunk: 100}.Marshal()}.Append(nil)))
		time.Sleep(wire.Hold + 1)
		say("version\n")
		if got := w.typed(); got != "version\n" {
			t.Errorf("after a program that died: got %q", got)
		}
	})
}

func bundle(size int) []byte {
	b := make([]byte, size)
	random := rand.New(rand.NewPCG(3, 4))
	for i := range b {
		b[i] = byte(random.Uint32())
	}
	return b
}

// cut is a cable that is cut after so many writes, each of which is a frame.
type cut struct {
	net.Conn
	left int
}

func (c *cut) Write(b []byte) (int, error) {
	if c.left--; c.left < 0 {
		_ = c.Close()
	}
	return c.Conn.Write(b)
}

// TestCut: a file of 256 KiB is cut at every frame, and goes on where it was.
func TestCut(t *testing.T) {
	t.Parallel()
	file := bundle(256 << 10)
	const step = 16 // as many at a time
	for first := range step {
		inWorld(t, nil, func(w *world) {
			for n := first; ; n += step {
				c, err := caller.Dial(w.Context(), &cut{w.plug(), n}, caller.Options{Chunk: wire.MaxChunk, Patience: time.Second})
				whole := false
				if err == nil {
					w.role = access.Owner
					whole = w.pushes(c, file)
				}
				if whole {
					break
				}
				synctest.Wait()
				c = w.dial(w.plug())
				w.unlock(c)
				if got, err := push(w.Context(), c, file); err != nil || got != "installed 262144" {
					t.Fatalf("cut at frame %d: got %q, %v", n, got, err)
				}
				_ = c.Close()
				synctest.Wait()
			}
			for _, got := range w.installed() {
				if !bytes.Equal(got, file) {
					t.Fatal("another file was installed")
				}
			}
		})
	}
}

// pushes unlocks and pushes over a line that may be cut at any moment; true: it was not.
func (w *world) pushes(c *caller.Caller, file []byte) bool {
	defer c.Close()
	hear := func(m wire.Message) (bool, error) { return true, caller.Refused(m) }
	if c.Ask(w.Context(), wire.Challenge, nil, hear) != nil ||
		c.Ask(w.Context(), wire.Unlock, []byte("right"), hear) != nil {
		return false
	}
	_, err := push(w.Context(), c, file)
	if err != nil && !errors.Is(err, caller.ErrGone) {
		w.Errorf("got %v", err)
	}
	return err == nil
}

// TestCutAgainAndAgain: no conversation lives long, and the file arrives all the same, without being sent twice over.
func TestCutAgainAndAgain(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		file := bundle(256 << 10)
		for n := range 100 {
			c, err := caller.Dial(w.Context(), &cut{w.plug(), 40}, caller.Options{Chunk: wire.MaxChunk, Patience: time.Second})
			if err == nil && w.pushes(c, file) {
				if n < 5 {
					t.Errorf("%d cuts: that was no test", n)
				}
				return
			}
		}
		t.Error("it never arrived")
	})
}

// TestSkip: what a camera does not want of a file is not sent; a file is left out up to its end, and not behind it.
func TestSkip(t *testing.T) {
	t.Parallel()
	file := bundle(1 << 20)
	for _, c := range []struct {
		name string
		read int64 // before
		skip int64
		most int // bytes on the line
		bad  bool
	}{
		{"much", 1000, 900 << 10, 200 << 10, false},
		{"little", 1000, 500, 1200 << 10, false},
		{"what came already", 1, 10000, 1200 << 10, false},
		{"all", 0, 1 << 20, 60 << 10, false},
		{"more than there is", 1000, 1 << 20, 60 << 10, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			inWorld(t, nil, func(w *world) {
				w.skips = func(from io.Reader) (got []byte, err error) {
					got, err = io.ReadAll(io.LimitReader(from, c.read))
					if err == nil {
						err = from.(interface{ Skip(n int64) error }).Skip(c.skip)
					}
					if err == nil {
						var rest []byte
						rest, err = io.ReadAll(from)
						got = append(got, rest...)
					}
					return got, err
				}
				line := &counting{Conn: w.plug()}
				conn := w.dial(line)
				w.unlock(conn)
				got, err := push(w.Context(), conn, file)
				_ = conn.Close()
				if err != nil || line.sent > c.most {
					t.Errorf("%d bytes on the line for %q, %v", line.sent, got, err)
				}
				if c.bad {
					if got != io.ErrUnexpectedEOF.Error() {
						t.Errorf("got %q", got)
					}
					return
				}
				want := append(slices.Clone(file[:c.read]), file[c.read+c.skip:]...)
				if all := w.installed(); len(all) != 1 || !bytes.Equal(all[0], want) {
					t.Errorf("got %q", got)
				}
			})
		})
	}
}

// TestSomebodyElse: another program greets on the same line. The camera tells frames of the conversation before from its
// own by their tag, which is the same once in 128 times; then silence tells.
func TestSomebodyElse(t *testing.T) {
	for name, c := range map[string]struct {
		tag   byte // and the other's
		limit time.Duration
	}{"another tag": {1, time.Second}, "the same tag": {0, 15 * time.Second}} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, nil, func(w *world) {
				line := &overheard{Conn: w.plug()}
				conn := w.dial(line)
				other := line.hello
				for i := range other.Session {
					other.Session[i] ^= 0x40
				}
				other.Session[4] = line.hello.Session[4] ^ c.tag
				w.link.Feed(frame.Frame{Kind: wire.HelloKind, Payload: other.Marshal()}.Append(nil))
				began := time.Now()
				err := conn.Ask(w.Context(), wire.Challenge, nil, func(wire.Message) (bool, error) { return true, nil })
				if !errors.Is(err, caller.ErrGone) || time.Since(began) > c.limit {
					t.Errorf("got %v after %v", err, time.Since(began))
				}
				_ = conn.Close()
			})
		})
	}
}

// overheard is a cable that knows what the first frame said.
type overheard struct {
	net.Conn
	hello wire.Hello
}

func (o *overheard) Write(b []byte) (int, error) {
	if o.hello.Chunk == 0 {
		var s frame.Splitter
		s.Push(b, func(p frame.Piece) { o.hello, _ = wire.ParseHello(p.Frame.Payload) })
	}
	return o.Conn.Write(b)
}

// counting is a cable that counts what is sent.
type counting struct {
	net.Conn
	sent int
}

func (c *counting) Write(b []byte) (int, error) {
	c.sent += len(b)
	return c.Conn.Write(b)
}

// TestOtherFile: another file replaces one that stopped coming; what nobody goes on with is given up.
func TestOtherFile(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		first, second := bundle(100<<10), bundle(90<<10)
		c := w.dial(&cut{w.plug(), 40})
		w.pushes(c, first)
		c = w.dial(w.plug())
		w.unlock(c)
		if got, err := push(w.Context(), c, second); err != nil || got != "installed 92160" {
			t.Errorf("got %q, %v", got, err)
		}
		_ = c.Close()
		c = w.dial(&cut{w.plug(), 40})
		w.pushes(c, first)
		time.Sleep(patience + 1)
		synctest.Wait()
		c = w.dial(w.plug())
		w.unlock(c)
		if got, err := push(w.Context(), c, first); err != nil || got != errStopped.Error() {
			t.Errorf("after a long time: got %q, %v", got, err)
		}
		_ = c.Close()
		synctest.Wait()
		c = w.dial(w.plug())
		w.unlock(c)
		if got, err := push(w.Context(), c, first); err != nil || got != "installed 102400" {
			t.Errorf("and again: got %q, %v", got, err)
		}
		w.role = access.Member
		if _, err := push(w.Context(), c, second); err == nil || err.Error() != `denied: role "member" may not update` {
			t.Errorf("a member: got %v", err)
		}
		_ = c.Close()
		if n := len(w.installed()); n != 2 {
			t.Errorf("%d files installed", n)
		}
	})
}

// TestRefusedAtOnce: who refuses a file after a glance at it is heard, however long the file is.
func TestRefusedAtOnce(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		c := w.dial(w.plug())
		w.unlock(c)
		file := bundle(1 << 20)
		f := wire.File{Sum: sha256.Sum256(file), Size: int64(len(file)), Now: true}
		var far int64
		result, err := c.Push(w.Context(), f, bytes.NewReader(file), func(at int64) { far = at })
		if err != nil || result != "refused, hears true" || far > room {
			t.Errorf("got %q after %d bytes, %v", result, far, err)
		}
		_ = c.Close()
	})
}

// TestUnreadable: a file that can't be read any more is no silence.
func TestUnreadable(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		c := w.dial(w.plug())
		w.unlock(c)
		began := time.Now()
		_, err := c.Push(w.Context(), wire.File{Size: 1 << 20}, bytes.NewReader(bundle(10<<10)), nil)
		if !errors.Is(err, io.EOF) || time.Since(began) > time.Second {
			t.Errorf("got %v after %v", err, time.Since(began))
		}
		_ = c.Close()
	})
}

// noisy is a line that turns bits over and adds bytes, both ways.
type noisy struct {
	net.Conn
	mu     sync.Mutex // guards random
	random *rand.Rand
}

func (n *noisy) spoil(b []byte) []byte {
	n.mu.Lock()
	defer n.mu.Unlock()
	b = slices.Clone(b)
	if n.random.IntN(20) == 0 {
		b[n.random.IntN(len(b))] ^= 1 << n.random.IntN(8)
	}
	if n.random.IntN(20) == 0 {
		b = append([]byte("\xc5\x0c\nreboot\n"), b...)
	}
	return b
}

func (n *noisy) Write(b []byte) (int, error) {
	if _, err := n.Conn.Write(n.spoil(b)); err != nil {
		return 0, err
	}
	return len(b), nil
}

func (n *noisy) Read(b []byte) (int, error) {
	m, err := n.Conn.Read(b[:len(b)/2])
	if m == 0 {
		return m, err
	}
	return copy(b, n.spoil(b[:m])), err
}

// TestNoise: a file survives noise, and none of the noise is a command.
func TestNoise(t *testing.T) {
	for seed := range uint64(8) {
		inWorld(t, nil, func(w *world) {
			file := bundle(64 << 10)
			port := &noisy{Conn: w.plug(), random: rand.New(rand.NewPCG(seed, 1))}
			c := w.dial(port)
			w.typed()
			w.unlock(c)
			got, err := push(w.Context(), c, file)
			if err != nil || !strings.HasPrefix(got, "installed 65536") || !bytes.Equal(w.installed()[0], file) {
				t.Errorf("seed %d: got %q, %v", seed, got, err)
			}
			if text := w.typed(); text != "" {
				t.Errorf("seed %d: %q reached the console", seed, text)
			}
			_ = c.Close()
		})
	}
}

// TestFlood: ten megabytes of whatever comes cost no memory, and the line works afterwards.
func TestFlood(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		junk := bundle(1 << 20)
		headers := bytes.Repeat([]byte{0xc5, 0x0c, 1, 0, 0, 0, 4}, 1<<15)
		hello := bytes.Repeat(frame.Frame{Kind: wire.HelloKind, Payload: wire.Hello{Chunk: 99}.Marshal()}.Append(nil), 1<<13)
		for range 10 {
			for _, flood := range [][]byte{junk, headers, hello, bytes.Repeat([]byte("IMPROV"), 1<<15)} {
				if text := w.link.Feed(flood); len(text) > len(flood)+frame.Max {
					t.Errorf("%d bytes of text out of %d", len(text), len(flood))
				}
			}
		}
		time.Sleep(quiet + 1)
		c := w.dial(w.plug())
		if got := w.ask(c, wire.Challenge, ""); got[0] != "2 riddle" {
			t.Errorf("got %q", got)
		}
		_ = c.Close()
	})
}

// TestBadPorts: who asks is told what is wrong with a port.
func TestBadPorts(t *testing.T) {
	newer := frame.Frame{Kind: wire.HelloKind | wire.FromCamera, Payload: []byte{0x81, 0x01, 0x02}}
	for name, c := range map[string]struct {
		answer func(said []byte) []byte // nil: the port ends
		want   error
	}{
		"an echo":          {func(said []byte) []byte { return said }, caller.ErrEcho},
		"nobody":           {func([]byte) []byte { return nil }, caller.ErrNobody},
		"another speed":    {func(said []byte) []byte { return bundle(len(said)) }, caller.ErrNobody},
		"a port that ends": {nil, caller.ErrGone},
		"a newer camera":   {func([]byte) []byte { return newer.Append(nil) }, wire.ErrVersion},
	} {
		synctest.Test(t, func(t *testing.T) {
			here, there := net.Pipe()
			go func() {
				b := make([]byte, frame.Max)
				for {
					n, err := there.Read(b)
					if err != nil || c.answer == nil {
						_ = there.Close()
						return
					}
					answer := c.answer(slices.Clone(b[:n]))
					go func() { _, _ = there.Write(answer) }()
				}
			}()
			_, err := caller.Dial(t.Context(), here, caller.Options{Chunk: 100, Patience: 3 * time.Second})
			if !errors.Is(err, c.want) {
				t.Errorf("%s: got %v, want %v", name, err, c.want)
			}
			_ = there.Close()
		})
	}
}

// TestSilence: a camera that falls silent, and a program that does.
func TestSilence(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		port := w.plug()
		c := w.dial(port)
		w.mu.Lock()
		w.port = nil // what the camera says goes nowhere
		w.mu.Unlock()
		err := c.Ask(w.Context(), wire.Challenge, nil, func(wire.Message) (bool, error) { return true, nil })
		if !errors.Is(err, caller.ErrGone) {
			t.Errorf("got %v", err)
		}
		_ = c.Close()
	})
	inWorld(t, nil, func(w *world) { // a conversation that says nothing is held by pings
		c := w.dial(w.plug())
		w.unlock(c)
		time.Sleep(10 * wire.Hold)
		if got := w.ask(c, wire.Command, "status"); got[0] != "9 owner: status" {
			t.Errorf("after a while: got %q", got)
		}
		_ = c.Close()
	})
}
