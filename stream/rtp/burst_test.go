package rtp

import (
	"bytes"
	"sync"
	"testing"
)

// TestBurstShared: readers on many goroutines see their burst unchanged until they let it go.
func TestBurstShared(t *testing.T) {
	t.Parallel()
	p := NewPacketizer(Config{PayloadType: 96})
	var readers sync.WaitGroup
	for i := range 100 {
		u := bytes.Repeat([]byte{byte(i)}, 1+i*173)
		u[0] = 0x41
		b := p.Packetize([][]byte{u}, uint32(i))
		want := bytes.Clone(b.Interleaved())
		for range 4 {
			b.Retain()
			readers.Go(func() {
				defer b.Release()
				checkRuns(t, b)
				if !bytes.Equal(b.Interleaved(), want) || b.Timestamp() != uint32(i) {
					t.Error("a burst changed while it was held")
				}
			})
		}
		b.Release()
	}
	readers.Wait()
}

func TestInterleavedOn(t *testing.T) {
	t.Parallel()
	b := NewPacketizer(Config{PayloadType: 96}).Packetize([][]byte{nal(0x41, 3000, 1)}, 1)
	got := b.InterleavedOn(6, []byte("head"))
	if string(got[:4]) != "head" || len(got) != 4+len(b.Interleaved()) {
		t.Fatalf("%d bytes", len(got))
	}
	rest := got[4:]
	for i := range b.Len() {
		pkt := b.Packet(i)
		if rest[0] != '$' || rest[1] != 6 || !bytes.Equal(rest[4:4+len(pkt)], pkt) {
			t.Fatalf("packet %d: %x", i, rest[:8])
		}
		rest = rest[4+len(pkt):]
	}
}

// TestRunsAreFew: what a reader over UDP pays for is the number of sends.
func TestRunsAreFew(t *testing.T) {
	t.Parallel()
	want := map[string]int{
		"small P": 1, "P of 5 kB": 1, "SEI and small P": 1, "SEI and large P": 2, "IDR of 60 kB": 2, "one byte NAL units": 1,
		"full fragments only": 1,
	}
	for name, n := range want {
		b := NewPacketizer(Config{}).Packetize(pictures()[name], 0)
		if got := len(b.Runs()); got != n {
			t.Errorf("%s: %d runs, want %d: %v", name, got, n, b.Runs())
		}
	}
}

func TestEmptyBurst(t *testing.T) {
	t.Parallel()
	p := NewPacketizer(Config{FirstSeq: 5})
	b := p.Packetize([][]byte{nil, {}}, 1)
	if b.Len() != 0 || len(b.Runs()) != 0 || len(b.Interleaved()) != 0 || b.Octets() != 0 || p.NextSeq() != 5 {
		t.Errorf("%+v", b)
	}
	b.Release()
	defer func() {
		if recover() == nil {
			t.Error("a release too many passes")
		}
	}()
	b.Release()
}
