package v4l2

import (
	"cmp"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/ocellus/ocellus/hal"
)

// Kind is what a video node is for.
type Kind string

// The kinds of node.
const (
	Capture    Kind = "capture"     // OpenCamera takes it
	M2MEncoder Kind = "m2m-encoder" // OpenEncoder takes it: raw pictures in, H.264 out
	Other      Kind = "other"       // Node.Why says what it is
)

// Node is a video node of this machine and what it says about itself.
type Node struct {
	Path        string
	Kind        Kind
	Why         string // of Other: what it is, or why it can't be opened
	Info        hal.DeviceInfo
	Caps        uint32 // V4L2_CAP_ bits of the node (device_caps)
	MultiPlanar bool
	Formats     []hal.PixelFormat // what comes out: of a camera, a codec
	Inputs      []hal.PixelFormat // what goes in: of a memory-to-memory device
	// MediaController: formats upstream are set by somebody else (V4L2_CAP_IO_MC), or the node has no picture.
	MediaController bool
}

// Find lists /dev/video* in the order of their numbers.
func Find() ([]Node, error) { return find(openNode, "/dev") }

func find(open opener, dir string) ([]Node, error) {
	paths, err := filepath.Glob(filepath.Join(dir, "video*"))
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", dir, err)
	}
	number := func(path string) int {
		n, err := strconv.Atoi(strings.TrimPrefix(filepath.Base(path), "video"))
		if err != nil {
			return -1
		}
		return n
	}
	paths = slices.DeleteFunc(paths, func(p string) bool { return number(p) < 0 })
	slices.SortFunc(paths, func(a, b string) int { return cmp.Compare(number(a), number(b)) })
	nodes := make([]Node, 0, len(paths))
	for _, p := range paths {
		nodes = append(nodes, look(open, p))
	}
	return nodes, nil
}

// look says what one node is.
func look(open opener, path string) Node {
	n := Node{Path: path, Kind: Other, Info: hal.DeviceInfo{Path: path}}
	d, err := openDevice(open, path)
	if err != nil {
		n.Why = err.Error()
		return n
	}
	defer d.close() // nothing was written
	n.Info, n.Caps = d.info, d.caps
	typ := d.captureType()
	n.MultiPlanar = multiplanar(typ)
	n.MediaController = d.caps&capIOMC != 0
	n.Formats = d.formatsOf(typ)
	if !d.memoryToMemory() {
		if n.Why = d.notCamera(); n.Why == "" && len(n.Formats) == 0 {
			n.Why = "a camera without a format"
		}
		if n.Why == "" {
			n.Kind = Capture
		}
		return n
	}
	n.Inputs = d.formatsOf(outputType(typ))
	if n.Why = notEncoder(n.Inputs, n.Formats, hal.H264); n.Why == "" {
		n.Kind = M2MEncoder
	}
	return n
}

// formatsOf lists a queue's formats, all of them.
func (d *device) formatsOf(typ uint32) []hal.PixelFormat {
	if typ == 0 {
		return nil
	}
	list, _ := d.formats(typ) // a broken node has none
	var out []hal.PixelFormat
	for _, f := range list {
		out = append(out, hal.PixelFormat(f.pixelFormat))
	}
	return out
}

// notEncoder says why a memory-to-memory device does not make coded out of pictures, or nothing.
func notEncoder(in, out []hal.PixelFormat, coded hal.PixelFormat) string {
	raw := func(list []hal.PixelFormat) bool {
		return slices.ContainsFunc(list, func(f hal.PixelFormat) bool {
			h, ok := halFormat(uint32(f))
			return ok && h.Raw()
		})
	}
	switch {
	case !slices.Contains(out, coded):
		return fmt.Sprintf("a converter or codec from %v to %v", in, out)
	case !raw(in):
		return fmt.Sprintf("an encoder that takes only %v", in)
	}
	return ""
}
