package h264

import (
	"bytes"
	"sync"
	"testing"
)

func TestSizeClass(t *testing.T) {
	t.Parallel()
	last := -1
	for size := range 200000 {
		class, room := sizeClass(size)
		if room < size || size > 2048 && room > size*3/2 || class < last || class > last+1 {
			t.Fatalf("%d bytes: class %d after %d, room %d", size, class, last, room)
		}
		if c, r := sizeClass(room); c != class || r != room {
			t.Fatalf("the room of class %d is in class %d", class, c)
		}
		last = class
	}
}

func TestPoolCopies(t *testing.T) {
	t.Parallel()
	var p Pool
	in := units("\x67\x42", "", "\x65\x88")
	a := p.Copy(in...)
	in[0][0] = 0
	if len(a.NALUs) != 2 || !bytes.Equal(a.NALUs[0], []byte("\x67\x42")) || a.Size() != 4 || a.Lost != 0 {
		t.Errorf("got %x", a.NALUs)
	}
	a.Retain().Release()
	a.Release()
	defer func() {
		if recover() == nil {
			t.Error("a release too many passes")
		}
	}()
	huge := p.Copy(make([]byte, 7<<20))
	huge.Release()
	huge.Release()
}

// TestPoolShared: holders on many goroutines see their access unit unchanged until they let it go.
func TestPoolShared(t *testing.T) {
	t.Parallel()
	var p Pool
	var holders sync.WaitGroup
	for i := range 200 {
		want := bytes.Repeat([]byte{byte(i)}, 1+i*37)
		a := p.Copy(want)
		for range 4 {
			a.Retain()
			holders.Go(func() {
				defer a.Release()
				if !bytes.Equal(a.NALUs[0], want) {
					t.Error("an access unit changed while it was held")
				}
			})
		}
		a.Release()
	}
	holders.Wait()
}
