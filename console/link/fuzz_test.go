package link

import (
	"bytes"
	"log/slog"
	"testing"

	"github.com/ocellus/ocellus/codec/frame"
	"github.com/ocellus/ocellus/codec/improv"
	"github.com/ocellus/ocellus/console/link/wire"
)

// FuzzFeed: whatever comes over a line, cut anywhere, no more reaches the console than came, and nothing while a
// program has the line.
func FuzzFeed(f *testing.F) {
	hello := frame.Frame{Kind: wire.HelloKind, Payload: wire.Hello{Chunk: 100}.Marshal()}.Append(nil)
	f.Add([]byte("status\nIMPROV\x01\x03\x02\x02\x00\xe5\n"), uint8(3), false)
	f.Add(append(bytes.Clone(hello), "reboot\n"...), uint8(200), true)
	f.Add(append(bytes.Clone(hello[:9]), hello...), uint8(1), false)
	f.Fuzz(func(t *testing.T, raw []byte, step uint8, claimed bool) {
		a := &air{}
		a.claimed.Store(claimed)
		l := New(Options{Network: a, Log: slog.New(slog.DiscardHandler)})
		var text []byte
		for rest := raw; len(rest) > 0; {
			n := min(int(step)+1, len(rest))
			busy := l.busy()
			came := l.Feed(rest[:n])
			rest = rest[n:]
			if text = append(text, came...); busy && n == 1 && len(came) > 0 {
				t.Fatalf("%q reached the console during a conversation", came)
			}
		}
		if given := len(text) - bytes.Count(text, []byte{improv.Clear}); given > len(raw) {
			t.Fatalf("%d bytes of text out of %d", given, len(raw))
		}
		if claimed && len(l.packets) > 0 {
			t.Fatal("a camera with an owner parsed a packet")
		}
	})
}
