package link

import (
	"context"
	"encoding/hex"
	"errors"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ocellus/ocellus/codec/improv"
)

// air is a radio and what is around it.
type air struct {
	claimed, joined, trying atomic.Bool
	joins                   atomic.Int32
}

func (a *air) Claimed() bool    { return a.claimed.Load() }
func (a *air) Joined() bool     { return a.joined.Load() }
func (a *air) Trying() bool     { return a.trying.Load() }
func (a *air) Device() []string { return []string{"Ocellus", "1.0", "SIM", "Ocellus"} }

func (a *air) Join(ctx context.Context, ssid, password []byte) error {
	a.joins.Add(1)
	a.trying.Store(true)
	defer a.trying.Store(false)
	time.Sleep(3 * time.Second)
	if string(ssid) != "HomeNet" || string(password) != "p@ssw0rd!" {
		return errors.New("wrong password")
	}
	a.joined.Store(true)
	return ctx.Err()
}

func (a *air) Networks(context.Context) ([]Seen, error) {
	return []Seen{{"HomeNet", -40, true}, {"café", -70, false}}, nil
}

// page is an Improv page: what it sends, and what it sees.
type page struct {
	w    *world
	port io.ReadWriter
	seen []string
}

// newPage opens a page on a port.
func newPage(w *world) *page {
	p := &page{w: w, port: w.plug()}
	go func() {
		var f improv.Finder
		b := make([]byte, 300)
		for {
			n, err := p.port.Read(b)
			f.Push(b[:n], func(_ []byte, packet *improv.Packet) {
				if packet == nil {
					return
				}
				text := hex.EncodeToString(packet.Data)
				if c, texts, err := packet.Texts(); err == nil {
					text = string('0'+byte(c)) + " " + strings.Join(texts, ",")
				}
				p.seen = append(p.seen, string('0'+byte(packet.Type))+":"+text)
			})
			if err != nil {
				return
			}
		}
	}()
	return p
}

// says sends a packet of these bytes (in hexadecimal, without a checksum) and returns what comes back within a time.
func (p *page) says(raw string, within time.Duration) string {
	p.w.Helper()
	b, err := hex.DecodeString(hex.EncodeToString([]byte("IMPROV\x01")) + strings.ReplaceAll(raw, " ", ""))
	if err != nil {
		p.w.Fatal(err)
	}
	var sum byte
	for _, c := range b {
		sum += c
	}
	p.seen = nil
	_, _ = p.port.Write(append(b, sum))
	time.Sleep(within)
	synctest.Wait()
	return strings.Join(p.seen, " | ")
}

const (
	homeNet = "03 14 01 12 07 486f6d654e6574 09 704073737730726421"
	wrong   = "03 14 01 12 07 486f6d654e6574 09 704073737730726422"
)

func TestImprov(t *testing.T) {
	a := &air{}
	inWorld(t, a, func(w *world) {
		p := newPage(w)
		for _, c := range []struct {
			name, says string
			within     time.Duration
			want       string
		}{
			{"state", "03 02 02 00", 0, "1:02"},
			{"device", "03 02 03 00", 0, "2:00 | 4:3 Ocellus,1.0,SIM,Ocellus"},
			{"scan", "03 02 04 00", 0, "2:00 | 4:4 HomeNet,-40,YES | 4:4 café,-70,NO | 4:4 "},
			{"what it has not", "03 02 05 00", 0, "2:02"},
			{"a result", "04 02 01 00", 0, "2:01"},
			{"settings cut short", "03 04 01 02 07 48", 0, "2:01"},
			{"wrong password", wrong, 2 * time.Second, "2:00 | 1:03"},
			{"meanwhile", homeNet, 0, "1:03"},
			{"and its end", "03 02 02 00", 5 * time.Second, "1:03 | 2:03 | 1:02"},
			{"the right one", homeNet, 4 * time.Second, "2:00 | 1:03 | 1:04 | 4:1 "},
			{"state, joined", "03 02 02 00", 0, "1:04 | 4:2 "},
		} {
			if got := p.says(c.says, c.within); got != c.want {
				t.Errorf("%s: got %q, want %q", c.name, got, c.want)
			}
		}
		if got := w.typed(); got != "" {
			t.Errorf("%q reached the console", got)
		}
		a.claimed.Store(true)
		before := a.joins.Load()
		if got := p.says(homeNet, 10*time.Second); got != "" || a.joins.Load() != before {
			t.Errorf("a camera with an owner: answers %q, joins %d", got, a.joins.Load()-before)
		}
	})
}
