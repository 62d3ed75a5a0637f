package v4l2

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"unsafe"

	"github.com/ocellus/ocellus/hal"
	"golang.org/x/sys/unix"
)

// testdata/recorded holds what a 64-bit Linux 6.1 answered: one line a request with the argument before and after it,
// without the zero bytes at its end, and the errno. TestBoardRecord prints the lines when
// OCELLUS_V4L2_RECORD is set.

type exchange struct {
	request uintptr
	in, out string
	errno   int
}

func (e exchange) String() string {
	return fmt.Sprintf("%#x %s. %d %s.", e.request, e.in, e.errno, e.out)
}

// argument is the memory that a request's argument takes, by the size in the request's number.
func argument(request uintptr, arg unsafe.Pointer) []byte {
	return unsafe.Slice((*byte)(arg), request>>16&0x3fff)
}

func text(b []byte) string { return hex.EncodeToString(bytes.TrimRight(b, "\x00")) }

// recorder writes down what the kernel answers, without go4vl in between.
type recorder struct {
	*node
	seen []exchange
}

func (r *recorder) ioctl(request uintptr, arg unsafe.Pointer) error {
	e := exchange{request: request, in: text(argument(request, arg))}
	err := ioctl(r.fd, request, arg)
	if errno, ok := err.(unix.Errno); ok {
		e.errno = int(errno)
	}
	e.out = text(argument(request, arg))
	r.seen = append(r.seen, e)
	return err
}

// player answers as the recorded kernel did.
type player struct {
	fakeFile
	t    *testing.T
	seen map[exchange][]exchange // by request and in; the same question may have other answers later
}

func (p *player) ioctl(request uintptr, arg unsafe.Pointer) error {
	b := argument(request, arg)
	key := exchange{request: request, in: text(b)}
	if len(p.seen[key]) == 0 {
		p.t.Errorf("request %#x %s is not in the record", request, text(b))
		return unix.EINVAL
	}
	e := p.seen[key][0]
	p.seen[key] = p.seen[key][1:]
	out, err := hex.DecodeString(e.out)
	if err != nil {
		p.t.Fatal(err)
	}
	clear(b)
	copy(b, out)
	if e.errno != 0 {
		return unix.Errno(e.errno)
	}
	return nil
}

func play64(t *testing.T, file string) opener {
	t.Helper()
	lines, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	p := &player{t: t, seen: map[exchange][]exchange{}, fakeFile: fakeFile{fakeKernel: newFake(0)}}
	for line := range strings.Lines(string(lines)) {
		f := strings.Fields(line)
		if len(f) != 4 {
			t.Fatalf("%s: %q", file, line)
		}
		request, err := strconv.ParseUint(f[0], 0, 32)
		if err != nil {
			t.Fatal(err)
		}
		errno, err := strconv.Atoi(f[2])
		if err != nil {
			t.Fatal(err)
		}
		e := exchange{uintptr(request), strings.TrimSuffix(f[1], "."), strings.TrimSuffix(f[3], "."), errno}
		key := exchange{request: e.request, in: e.in}
		p.seen[key] = append(p.seen[key], e)
	}
	return func(string) (kernel, error) { return &player{fakeFile{fakeKernel: p.fakeKernel}, t, p.seen}, nil }
}

// survey asks a node everything that comes before buffers and says what it learned.
func survey(ctx context.Context, t *testing.T, open opener, path string) string {
	t.Helper()
	var out strings.Builder
	n := look(open, path)
	fmt.Fprintf(&out, "node %s %q %s %s caps %#08x multi-planar %v\nout %v\nin %v\n", n.Kind, n.Info.Name, n.Info.Driver,
		n.Info.Bus, n.Caps, n.MultiPlanar, n.Formats, n.Inputs)
	d, err := openDevice(open, path)
	if err != nil {
		t.Fatal(err)
	}
	defer d.close()
	if d.memoryToMemory() {
		s := &encoding{session: session{d: d}, log: testLog(t), coded: fourCCFWHT, cfg: hal.EncoderConfig{Input: hal.NV12,
			Width: 1920, Height: 1082, Rate: hal.FPS(25), BitrateBPS: 1_000_000, GOP: 25}}
		fmt.Fprintf(&out, "set %v\npicture %+v rate %v\n", s.set(), s.pic, s.rate)
		return out.String()
	}
	modes, err := d.modes(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range modes {
		fmt.Fprintln(&out, "mode", m)
	}
	for _, want := range []hal.Mode{{Format: hal.YUYV, Width: 1280, Height: 720, Rate: hal.FPS(30)},
		{Format: hal.NV12, Width: 1234, Height: 778}, {Format: hal.H264, Width: 640, Height: 480}} {
		c := &capture{session: session{d: d}}
		err := c.negotiate(want)
		fmt.Fprintf(&out, "start %v: %v stride %d bytes %d %v\n", want, c.mode, c.stride, c.size, err)
	}
	return out.String()
}

// TestRecorded plays what real kernels answered.
func TestRecorded(t *testing.T) {
	t.Parallel()
	if wide == 0 {
		t.Skip("the records are of 64-bit kernels")
	}
	files, err := filepath.Glob("testdata/recorded/*.ioctl")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			want, err := os.ReadFile(strings.TrimSuffix(file, ".ioctl") + ".golden")
			if err != nil {
				t.Fatal(err)
			}
			if got := survey(t.Context(), t, play64(t, file), "/dev/video0"); got != string(want) {
				t.Errorf("got:\n%s\nwant:\n%s", got, want)
			}
		})
	}
}

// TestBoardRecord makes the records anew, and sees that go4vl says the same as the kernel.
func TestBoardRecord(t *testing.T) {
	records := []struct {
		name, module string
		parameters   []string
	}{
		{"vivid", "vivid", []string{"n_devs=1", "node_types=0x1"}},
		{"vivid-multiplanar", "vivid", []string{"n_devs=1", "node_types=0x1", "multiplanar=2"}},
		{"vicodec", "vicodec", []string{"multiplanar=0"}},
		{"vicodec-multiplanar", "vicodec", []string{"multiplanar=1"}},
	}
	for _, tt := range records {
		t.Run(tt.name, func(t *testing.T) {
			load(t, tt.module, tt.parameters...)
			n := found(t, tt.module, func(n Node) bool {
				return n.Kind == Capture || notEncoder(n.Inputs, n.Formats, fourCCFWHT) == ""
			})
			r := &recorder{}
			bare := func(path string) (kernel, error) {
				k, err := openNode(path)
				if err != nil {
					return nil, err
				}
				r.node = k.(*node)
				return r, nil
			}
			got := survey(t.Context(), t, bare, n.Path)
			if through := survey(t.Context(), t, openNode, n.Path); through != got {
				t.Errorf("through go4vl:\n%s\nwithout:\n%s", through, got)
			}
			if os.Getenv("OCELLUS_V4L2_RECORD") == "" || wide == 0 {
				return
			}
			for _, e := range r.seen {
				fmt.Printf("RECORD %s.ioctl %s\n", tt.name, e)
			}
			for line := range strings.Lines(got) {
				fmt.Printf("RECORD %s.golden %s", tt.name, line)
			}
		})
	}
}
