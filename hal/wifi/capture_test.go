package wifi

import (
	"bytes"
	"encoding/binary"
	"testing"
	"time"

	"golang.org/x/net/bpf"
)

// frame makes a packet: radiotap of a length, frame control, three addresses, and a body.
func frame(radiotap int, control [2]byte, first, second, third byte, body int) []byte {
	b := make([]byte, radiotap)
	binary.LittleEndian.PutUint16(b[2:], uint16(radiotap))
	b = append(b, control[0], control[1], 0, 0)
	for _, a := range []byte{first, second, third} {
		b = append(b, a, 0, 0, 0, 0, 7)
	}
	return append(b, make([]byte, 2+body)...)
}

// TestHearFilter runs the filter as the kernel does.
func TestHearFilter(t *testing.T) {
	t.Parallel()
	var program []bpf.Instruction
	for _, i := range hearFilter() {
		program = append(program, bpf.RawInstruction{Op: i.Code, Jt: i.Jt, Jf: i.Jf, K: i.K}.Disassemble())
	}
	vm, err := bpf.NewVM(program)
	if err != nil {
		t.Fatal(err)
	}
	const group, single = 0xff, 0x02
	for name, c := range map[string]struct {
		packet []byte
		heard  bool
	}{
		"to DS, to all":          {frame(36, [2]byte{0x88, 0x41}, single, single, group, 100), true},
		"to DS, to one":          {frame(36, [2]byte{0x88, 0x41}, single, single, single, 100), false},
		"from DS, to all":        {frame(8, [2]byte{0x08, 0x42}, group, single, single, 100), true},
		"from DS, to a group":    {frame(60, [2]byte{0x08, 0x42}, 0x01, single, single, 100), true},
		"from DS, to one":        {frame(8, [2]byte{0x08, 0x42}, single, single, group, 100), false},
		"four addresses, to all": {frame(8, [2]byte{0x08, 0x03}, single, single, group, 100), true},
		"ad hoc, to all":         {frame(8, [2]byte{0x08, 0x00}, group, single, single, 100), true},
		"long radiotap":          {frame(300, [2]byte{0x08, 0x42}, group, single, single, 100), true},
		"null function, to all":  {frame(8, [2]byte{0x48, 0x01}, single, single, group, 0), false},
		"QoS null, to all":       {frame(8, [2]byte{0xc8, 0x01}, single, single, group, 0), false},
		"beacon":                 {frame(36, [2]byte{0x80, 0}, group, single, single, 60), true},
		"probe response":         {frame(36, [2]byte{0x50, 0}, single, single, single, 60), true},
		"probe request":          {frame(36, [2]byte{0x40, 0}, group, group, group, 60), false},
		"acknowledgement":        {frame(36, [2]byte{0xd4, 0}, single, 0, 0, 0)[:46], false},
		"later 802.11":           {frame(36, [2]byte{0x09, 0x42}, group, single, single, 60), false},
		"cut in its addresses":   {frame(36, [2]byte{0x88, 0x41}, single, single, group, 0)[:46], false},
		"radiotap alone":         {frame(36, [2]byte{}, 0, 0, 0, 0)[:36], false},
		"nothing":                {nil, false},
	} {
		n, err := vm.Run(c.packet)
		if err != nil || n > 0 != c.heard {
			t.Errorf("%s: the kernel gives %d bytes, %v; want it heard: %v", name, n, err, c.heard)
		}
	}
}

// TestCut: of a beacon its beginning is handed on, of data nothing but headers.
func TestCut(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		packet []byte
		want   int
	}{
		"data":         {frame(36, [2]byte{0x88, 0x41}, 2, 2, 0xff, 1000), 36 + maxHeaders},
		"short data":   {frame(36, [2]byte{0x08, 0x41}, 2, 2, 0xff, 1), 36 + 25},
		"beacon":       {frame(36, [2]byte{0x80, 0}, 0xff, 2, 2, 200), 36 + 224},
		"large beacon": {frame(36, [2]byte{0x80, 0}, 0xff, 2, 2, 2000), maxHeard},
		"lies":         {[]byte{0, 0, 0xff, 0xff}, 4},
		"three bytes":  {[]byte{0, 0, 1}, 3},
	} {
		var b [maxHeard]byte
		copy(b[:], c.packet)
		if got := cut(b[:], len(c.packet)); got != c.want {
			t.Errorf("%s: got %d, want %d", name, got, c.want)
		}
	}
}

func TestHeardOn(t *testing.T) {
	t.Parallel()
	said := []byte{0, 0, 12, 0, 8, 0, 0, 0, 0x85, 0x09, 0xa0, 0} // radiotap alone, with 2437 MHz
	if got := heardOn(said, 1); got != 6 {
		t.Errorf("got channel %d, want the 6 that the driver says", got)
	}
	if got := heardOn(frame(8, [2]byte{0x08, 0x42}, 0xff, 2, 2, 10), 1); got != 1 {
		t.Errorf("got channel %d, want the present one", got)
	}
}

func TestHeader(t *testing.T) {
	t.Parallel()
	b := append(make([]byte, heardHeader), "packet"...)
	putHeader(b, 5*time.Second, 1500, 6)
	at, length, channel, packet, ok := readHeader(b)
	if !ok || at != 5*time.Second || length != 1500 || channel != 6 || !bytes.Equal(packet, []byte("packet")) {
		t.Errorf("got %v, %d, %d, %q, %v", at, length, channel, packet, ok)
	}
	putHeader(b, 0, 3, 6)
	for _, bad := range [][]byte{nil, b[:heardHeader-1], b, make([]byte, heardHeader+maxHeard+1)} {
		if _, _, _, _, ok := readHeader(bad); ok {
			t.Errorf("took %d bytes", len(bad))
		}
	}
}
