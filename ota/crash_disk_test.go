package ota

import (
	"bytes"
	"fmt"
	"hash/maphash"
	"io"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"github.com/ocellus/ocellus/codec/bootstate"
	"github.com/ocellus/ocellus/hal"
	"github.com/ocellus/ocellus/internal/statefile"
)

// The storage of a board, made to be cut: a world is what a power cut leaves, a board writes to a world and records
// every write, flush and rename. Worlds share the pages that they have in common, so that there may be a million.

const (
	pageSize   = 4096
	sectorSize = 512
	slotSize   = 256 << 10
	areaSize   = 96 << 10
)

// The media of a board.
const (
	envDisk = iota
	slotADisk
	slotBDisk
	persistDisk
	media
)

var mediumNames = [media]string{"env", "slot a", "slot b", "persist"}

// page is 4 KiB that never change; nil is zeros.
type page struct {
	data [pageSize]byte
	hash uint64
}

// seed is one for the whole run: hashes are compared within it.
var seed = maphash.MakeSeed()

func newPage(b []byte) *page {
	p := &page{}
	copy(p.data[:], b)
	if p.data == ([pageSize]byte{}) {
		return nil
	}
	p.hash = maphash.Bytes(seed, p.data[:])
	return p
}

// medium is the content of a partition.
type medium struct {
	pages []*page
	hash  uint64 // sum over the pages
}

func (m *medium) clone() medium { return medium{slices.Clone(m.pages), m.hash} }

func (m *medium) size() int64 { return int64(len(m.pages)) * pageSize }

func (p *page) at(n int) uint64 {
	if p == nil {
		return 0
	}
	return (p.hash ^ uint64(n+1)*0x9e3779b97f4a7c15) * 0xbf58476d1ce4e5b9
}

func (m *medium) write(b []byte, off int64) {
	for len(b) > 0 {
		n, from := int(off/pageSize), int(off%pageSize)
		var whole [pageSize]byte
		if m.pages[n] != nil {
			whole = m.pages[n].data
		}
		took := copy(whole[from:], b)
		fresh := newPage(whole[:])
		m.hash += fresh.at(n) - m.pages[n].at(n)
		m.pages[n] = fresh
		b, off = b[took:], off+int64(took)
	}
}

func (m *medium) read(b []byte, off int64) {
	for len(b) > 0 {
		n, from := int(off/pageSize), int(off%pageSize)
		took := min(len(b), pageSize-from)
		if p := m.pages[n]; p != nil {
			copy(b[:took], p.data[from:])
		} else {
			clear(b[:took])
		}
		b, off = b[took:], off+int64(took)
	}
}

// world is everything that a power cut leaves.
type world struct {
	media [media]medium
	names map[string]int // inode of each file's name
	files map[int]string // content of inodes
}

func newWorld() world {
	w := world{names: map[string]int{}, files: map[int]string{}}
	for i, size := range [media]int64{bootstate.Size, slotSize, slotSize, areaSize} {
		w.media[i].pages = make([]*page, size/pageSize)
	}
	return w
}

func (w world) clone() world {
	for i := range w.media {
		w.media[i] = w.media[i].clone()
	}
	w.names, w.files = maps.Clone(w.names), maps.Clone(w.files)
	return w
}

// hash tells worlds apart. What no name leads to is lost, and does not count.
func (w world) hash() uint64 {
	var h maphash.Hash
	h.SetSeed(seed)
	for i := range w.media {
		maphash.WriteComparable(&h, w.media[i].hash)
	}
	for _, name := range slices.Sorted(maps.Keys(w.names)) {
		h.WriteString(name)
		h.WriteByte(0)
		h.WriteString(w.files[w.names[name]])
		h.WriteByte(0)
	}
	return h.Sum64()
}

// kind is what an operation does.
type kind string

const (
	opWrite  kind = "write"
	opSync   kind = "flush"
	opCreate kind = "create"
	opFill   kind = "write file"
	opFsync  kind = "flush file"
	opRename kind = "rename"
	opRemove kind = "remove"
	opDir    kind = "flush directory"
	opMark   kind = "mark"    // no operation: what is promised from here on
	opNone   kind = "nothing" // a mutant's, and where another program begins
	opBoot   kind = "reboot"  // what the kernel had in hand went to the disk
)

// op is an operation that was recorded.
type op struct {
	kind     kind
	medium   int
	off      int64
	data     []byte
	inode    int
	path, to string
	promise  promise
}

func (o op) String() string {
	switch o.kind {
	case opWrite:
		return fmt.Sprintf("write %s, %d bytes at %#x", mediumNames[o.medium], len(o.data), o.off)
	case opSync:
		return "flush " + mediumNames[o.medium]
	}
	return strings.TrimSpace(string(o.kind) + " " + o.path)
}

// storage reports whether an operation reaches the storage.
func (o op) storage() bool { return o.kind != opMark && o.kind != opBoot && o.kind != opNone }

// apply does an operation, whole, as if it had reached the disk.
func (w *world) apply(o op) {
	switch o.kind {
	case opWrite:
		w.media[o.medium].write(o.data, o.off)
	case opCreate:
		w.names[o.path] = o.inode
		if _, ok := w.files[o.inode]; !ok {
			w.files[o.inode] = ""
		}
	case opFill:
		w.files[o.inode] = string(o.data)
	case opRename:
		w.names[o.to] = o.inode
		if w.names[o.path] == o.inode {
			delete(w.names, o.path)
		}
	case opRemove:
		delete(w.names, o.path)
	}
}

// promise is what a part of the agent says of a place. begin: it is about to hold value; else it does.
type promise struct {
	place string
	value *string // known once it is kept; nil until then
	begin bool
	late  bool // nobody flushes it: it holds once somebody else has flushed
}

// board is storage that is written to.
type board struct {
	w      world
	log    []op
	inodes int
	intend string // the image that is being installed
	lose   int    // the write of this number is lost in silence, and the disk says that all is well; 0: none
	writes int
	noRead bool // slots give back what was written, not what they hold
	shadow [media]map[int64][]byte
}

func newBoard(w world) *board {
	b := &board{w: w.clone()}
	for n := range w.files {
		b.inodes = max(b.inodes, n)
	}
	return b
}

func (b *board) do(o op) {
	b.log = append(b.log, o)
	b.w.apply(o)
}

// disk is a partition of a board. It implements rawstore.ClosableDisk.
type disk struct {
	b *board
	m int
}

func (d disk) Size() int64  { return d.b.w.media[d.m].size() }
func (d disk) Close() error { return nil }

func (d disk) ReadAt(p []byte, off int64) (int, error) {
	n := min(int64(len(p)), d.Size()-off)
	if n < 0 {
		return 0, io.EOF
	}
	d.b.w.media[d.m].read(p[:n], off)
	if d.b.noRead {
		for at, data := range d.b.shadow[d.m] {
			if at < off+n && off < at+int64(len(data)) {
				copy(p[max(at-off, 0):n], data[max(off-at, 0):])
			}
		}
	}
	if n < int64(len(p)) {
		return int(n), io.EOF
	}
	return int(n), nil
}

func (d disk) WriteAt(p []byte, off int64) (int, error) {
	d.b.writes++
	if d.b.noRead {
		if d.b.shadow[d.m] == nil {
			d.b.shadow[d.m] = map[int64][]byte{}
		}
		d.b.shadow[d.m][off] = bytes.Clone(p)
	}
	if d.b.writes != d.b.lose {
		d.b.do(op{kind: opWrite, medium: d.m, off: off, data: bytes.Clone(p)})
	}
	return len(p), nil
}

func (d disk) Sync() error {
	d.b.do(op{kind: opSync, medium: d.m})
	return nil
}

// directory is the board's file system. It implements statefile.Disk.
type directory struct{ b *board }

func (d directory) read(path string) ([]byte, error) {
	n, ok := d.b.w.names[path]
	if !ok {
		return nil, fmt.Errorf("read %s: %w", path, fs.ErrNotExist)
	}
	return []byte(d.b.w.files[n]), nil
}

func (d directory) Create(path string, _ fs.FileMode) (statefile.Handle, error) {
	d.b.inodes++
	d.b.do(op{kind: opCreate, path: path, inode: d.b.inodes})
	return &openFile{d.b, path, d.b.inodes, nil}, nil
}

func (d directory) Remove(path string) { d.b.do(op{kind: opRemove, path: path}) }

func (d directory) Rename(from, to string) error {
	d.b.do(op{kind: opRename, path: from, to: to, inode: d.b.w.names[from]})
	return nil
}

func (d directory) SyncDir(string) error {
	d.b.do(op{kind: opDir})
	return nil
}

type openFile struct {
	b       *board
	path    string
	inode   int
	content []byte
}

func (f *openFile) Write(p []byte) (int, error) {
	f.content = append(f.content, p...)
	f.b.do(op{kind: opFill, path: f.path, inode: f.inode, data: bytes.Clone(f.content)})
	return len(p), nil
}

func (f *openFile) Sync() error {
	f.b.do(op{kind: opFsync, path: f.path, inode: f.inode})
	return nil
}

func (f *openFile) Close() error { return nil }

// keep runs something that promises that a place will hold a value, and records both.
func (b *board) keep(place string, do func() error, value func() string) error {
	held := new(string)
	p := promise{place: place, begin: true}
	b.log = append(b.log, op{kind: opMark, promise: p})
	at := len(b.log) - 1
	err := do()
	if err == nil {
		*held = value()
		b.log[at].promise.value = held
		b.log = append(b.log, op{kind: opMark, promise: promise{place: place, value: held}})
	}
	return err
}

var _ hal.SlotReader = disk{}
