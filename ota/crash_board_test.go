package ota

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"time"

	"github.com/ocellus/ocellus/codec/bootstate"
	"github.com/ocellus/ocellus/hal"
	"github.com/ocellus/ocellus/internal/areas"
	"github.com/ocellus/ocellus/internal/rawstore"
	"github.com/ocellus/ocellus/internal/statefile"
	"github.com/ocellus/ocellus/ota/manifest"
)

// A board with the real engine, the real rules of writing (internal/rawstore, internal/statefile) and the Go twin of
// the boot script, on storage that is recorded.

const (
	segmentSize = 64 << 10
	fitSize     = 96 << 10 // what the boot loader verifies; the rest is the file system
	identity    = `{"version":1,"identity":"the pairing of this camera"}`
	grants      = `{"version":1,"owner":"somebody"}`
)

// image is a system that the publisher signed.
type image struct {
	name     string
	version  manifest.Version
	minFloor manifest.Version
	data     []byte
	pages    []*page
}

func newImage(name, version, minFloor string, size int) *image {
	random := rand.NewChaCha8(sha256.Sum256([]byte(name)))
	i := &image{name: name, data: make([]byte, size)}
	_, _ = random.Read(i.data)
	i.version, _ = manifest.ParseVersion(version)
	if minFloor != "" {
		i.minFloor, _ = manifest.ParseVersion(minFloor)
	}
	for at := 0; at < size; at += pageSize {
		i.pages = append(i.pages, newPage(i.data[at:min(at+pageSize, size)]))
	}
	return i
}

func (i *image) release() manifest.Release {
	r := manifest.Release{Target: i.name, Version: i.version, MinFloor: i.minFloor, Size: int64(len(i.data)),
		Sum: sha256.Sum256(i.data)}
	for at := 0; at < len(i.data); at += segmentSize {
		r.Segments = append(r.Segments, sha256.Sum256(i.data[at:min(at+segmentSize, len(i.data))]))
	}
	return r
}

// images are all that there are: what the camera came with, and two updates.
type images []*image

func newImages() images {
	return images{newImage("first", "1.0.0", "", 3*segmentSize+5000),
		newImage("second", "2.0.0", "1.5.0", 3*segmentSize+9000),
		newImage("third", "3.0.0", "2.0.0", 2*segmentSize+7000)}
}

// content is what is in a slot.
type content struct {
	image    *image // whole, bit for bit
	verifies bool   // the boot loader would boot it
	class    string // of each segment: the image's initial, 0 for zeros, ? for neither
}

// classify compares a slot with the images.
func (all images) classify(m *medium) content {
	var c content
	for at := 0; at < slotSize/pageSize; at += segmentSize / pageSize {
		class := "?"
		if same(m, at, segmentSize/pageSize, nil) {
			class = "0"
		}
		for _, i := range all {
			if len(i.pages) > at && samePages(m, i, at, at+segmentSize/pageSize) {
				class = i.name[:1]
			}
		}
		c.class += class
	}
	for _, i := range all {
		if samePages(m, i, 0, fitSize/pageSize) {
			c.verifies = true
		}
		if samePages(m, i, 0, len(i.pages)) {
			c.image = i
		}
	}
	return c
}

func same(m *medium, from, n int, want *page) bool {
	for i := from; i < from+n; i++ {
		if m.pages[i] != want {
			return false
		}
	}
	return true
}

// samePages compares a slot with pages of an image; of the last one only what is the image's counts.
func samePages(m *medium, i *image, from, to int) bool {
	for n := from; n < min(to, len(i.pages)); n++ {
		rest := len(i.data) - n*pageSize
		switch p := m.pages[n]; {
		case p == nil:
			return false
		case rest >= pageSize && p.hash != i.pages[n].hash:
			return false
		case rest < pageSize && !bytes.Equal(p.data[:rest], i.data[n*pageSize:]):
			return false
		}
	}
	return true
}

// memorySource brings one image.
type memorySource struct {
	Source
	image *image
	fail  int64 // the carrier breaks at this byte; 0: never
	asked func(at int64)
}

var errBroken = errors.New("the line is dead")

func (s memorySource) Target(_ context.Context, _ string, off int64) (io.ReadCloser, error) {
	if s.asked != nil {
		s.asked(off)
	}
	r := io.Reader(bytes.NewReader(s.image.data[off:]))
	if s.fail > off {
		r = io.MultiReader(io.LimitReader(r, s.fail-off), brokenReader{})
	}
	return io.NopCloser(r), nil
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, errBroken }

// lab holds what is the same for all boards.
type lab struct {
	images  images
	noCRC   bool // nobody looks at the CRC of the boot record
	oneCopy bool // the boot record has one copy

	boots boots // what boot loaders found; nil: nobody wants to know

	contents map[uint64]content // by the hash of a slot
	envs     map[uint64]envView
	areas    map[uint64]areaView
}

func newLab() *lab {
	return &lab{images: newImages(), contents: map[uint64]content{}, envs: map[uint64]envView{},
		areas: map[uint64]areaView{}}
}

func (l *lab) content(m *medium) content {
	c, ok := l.contents[m.hash]
	if !ok {
		c = l.images.classify(m)
		l.contents[m.hash] = c
	}
	return c
}

// envView is the boot record of a world.
type envView struct {
	text   string // what the record says, "damaged" if no copy is whole
	record bootstate.Record
	copies string // which copies are whole
}

func (l *lab) env(m *medium) envView {
	v, ok := l.envs[m.hash]
	if ok {
		return v
	}
	copies := l.copies(m)
	for _, c := range copies {
		_, err := bootstate.Parse(c)
		v.copies += map[bool]string{true: "+", false: "-"}[err == nil]
	}
	v.text = "damaged"
	if c, _, err := bootstate.Current(copies); err == nil {
		v.text = fmt.Sprint(c.Seq, c.Env)
		v.record, _ = bootstate.Read(c.Env)
	}
	l.envs[m.hash] = v
	return v
}

func (l *lab) copies(m *medium) [2][]byte {
	var copies [2][]byte
	for i := range copies {
		copies[i] = make([]byte, bootstate.CopySize)
		off := int64(i) * bootstate.Stride
		m.read(copies[i], l.envOffset(off))
		l.mend(copies[i])
	}
	return copies
}

func (l *lab) envOffset(off int64) int64 {
	if l.oneCopy {
		return off % bootstate.Stride
	}
	return off
}

// mend makes the CRC of a copy right, which is as if nobody looked at it.
func (l *lab) mend(b []byte) {
	if l.noCRC && len(b) == bootstate.CopySize {
		binary.LittleEndian.PutUint32(b, crc32.ChecksumIEEE(b[4:]))
	}
}

// envAccess is the boot record's partition, with the faults of a lab.
type envAccess struct {
	disk
	l *lab
}

func (e envAccess) ReadAt(p []byte, off int64) (int, error) {
	n, err := e.disk.ReadAt(p, e.l.envOffset(off))
	e.l.mend(p)
	return n, err
}

func (e envAccess) WriteAt(p []byte, off int64) (int, error) {
	return e.disk.WriteAt(p, e.l.envOffset(off))
}

// areaView is the persist area of a world.
type areaView struct {
	data string
	both bool // both copies hold it
}

// area returns what lies in persist.
func (l *lab) area(m *medium) areaView {
	v, ok := l.areas[m.hash]
	if ok {
		return v
	}
	w := newWorld()
	v.both = true
	for i := range 2 { // with the other copy gone
		w.media[persistDisk] = m.clone()
		w.media[persistDisk].write(make([]byte, areaSize/2), int64(i)*areaSize/2)
		data, err := (&board{w: w}).vault().Load(hal.Persist)
		if i > 0 && string(data) != v.data || err != nil {
			v.both = false
		}
		v.data = string(data)
	}
	w.media[persistDisk] = *m
	data, err := (&board{w: w}).vault().Load(hal.Persist)
	if v.data = string(data); err != nil {
		v.data = "damaged"
	}
	l.areas[m.hash] = v
	return v
}

func unlocked() (func(), error) { return func() {}, nil }

func (b *board) vault() rawstore.Vault {
	a, err := rawstore.NewArea("persist", disk{b, persistDisk}, unlocked)
	if err != nil {
		panic(err)
	}
	return rawstore.Vault{hal.Persist: a}
}

// markedEnv records what the boot record is promised to say.
type markedEnv struct {
	*rawstore.BootEnv
	b *board
	l *lab
}

func (e markedEnv) Set(changes map[string]string) error {
	return e.b.keep("env", func() error { return e.BootEnv.Set(changes) },
		func() string { return e.l.env(&e.b.w.media[envDisk]).text })
}

// markedSlots record what slots are promised to hold.
type markedSlots struct {
	*rawstore.Slots
	b      *board
	intend string
}

type markedWriter struct {
	hal.SlotWriter
	s     markedSlots
	place string
}

func (s markedSlots) Open(slot hal.Slot) (w hal.SlotWriter, err error) {
	err = s.b.keep("slot "+string(slot), func() error {
		w, err = s.Slots.Open(slot)
		return err
	}, func() string { return "invalid" })
	return markedWriter{w, s, "slot " + string(slot)}, err
}

func (w markedWriter) Commit() error {
	return w.s.b.keep(w.place, w.SlotWriter.Commit, func() string { return w.s.intend })
}

// markedPlace records what a place of state is promised to hold.
type markedPlace struct {
	statefile.Place
	b *board
}

func (p markedPlace) Store(content []byte) error {
	return p.b.keep(p.String(), func() error { return p.Place.Store(content) }, func() string { return string(content) })
}

const stateName = "ota.json"

// started is a boot: the slot that runs, and how it came to it.
type started struct {
	slot hal.Slot
	how  bootstate.How
}

// load is the boot loader.
func (l *lab) load(b *board) (started, bool) {
	if l.boots != nil {
		l.boots.note(l, &b.w.media)
	}
	slots := map[bootstate.Slot]int{bootstate.A: slotADisk, bootstate.B: slotBDisk}
	next := bootstate.Next(bootstate.Board{Copies: l.copies(&b.w.media[envDisk]),
		Verifies: func(s bootstate.Slot) bool { return l.content(&b.w.media[slots[s]]).verifies }})
	if next.Write >= 0 {
		value := new(string)
		b.log = append(b.log, op{kind: opMark, promise: promise{place: "env", value: value, late: true}})
		_, _ = envAccess{disk{b, envDisk}, l}.WriteAt(next.Data, int64(next.Write)*bootstate.Stride)
		*value = l.env(&b.w.media[envDisk]).text // U-Boot does not flush it
		b.log = append(b.log, op{kind: opNone})
	}
	return started{hal.Slot(next.Slot), next.How}, next.Slot != ""
}

// errReboot ends a boot.
var errReboot = errors.New("reboot")

// start opens the engine of a boot.
func (l *lab) start(b *board, s started, healthy bool) (*Engine, error) {
	env, err := rawstore.NewBootEnv("env", envAccess{disk{b, envDisk}, l}, unlocked)
	if err != nil {
		return nil, err
	}
	slots := rawstore.NewSlots(s.slot, func(s hal.Slot, _ bool) (rawstore.ClosableDisk, error) {
		return disk{b, map[hal.Slot]int{hal.SlotA: slotADisk, hal.SlotB: slotBDisk}[s]}, nil
	})
	running := l.content(&b.w.media[map[hal.Slot]int{hal.SlotA: slotADisk, hal.SlotB: slotBDisk}[s.slot]]).image
	o := Options{Env: markedEnv{env, b, l}, Slots: markedSlots{slots, b, b.intend}, How: string(s.how),
		State:   markedPlace{statefile.On(directory{b}, directory{b}.read, stateName), b},
		Persist: markedPlace{areas.New(b.vault(), hal.Persist), b},
		Facts: func(context.Context) []Fact {
			return []Fact{{"frames", healthy || s.how == bootstate.Confirmed, "none"}}
		},
		Reboot: func(context.Context, string) error {
			b.log = append(b.log, op{kind: opBoot})
			return errReboot
		},
		Settle: -1, TrialLimit: -1, Tries: 2, Every: time.Hour}
	if running != nil {
		o.Device.Running = running.version
	}
	e, err := Open(o)
	if err != nil {
		return nil, err
	}
	e.segment = segmentSize
	return e, nil
}

// outOfBox is a board with the first image in both slots, A confirmed, and a pairing.
func (l *lab) outOfBox() (world, error) {
	b := newBoard(newWorld())
	b.w.media[slotADisk].write(l.images[0].data, 0)
	b.w.media[slotBDisk].write(l.images[0].data, 0)
	if err := b.vault().Store(hal.Persist, []byte(identity)); err != nil {
		return world{}, err
	}
	env, err := rawstore.NewBootEnv("env", envAccess{disk{b, envDisk}, l}, unlocked)
	if err != nil {
		return world{}, err
	}
	first, err := bootstate.Record{Confirmed: bootstate.A, Floor: 1 << 20}.Apply(nil)
	if err != nil {
		return world{}, err
	}
	if err := env.Set(first); err != nil {
		return world{}, err
	}
	b.w.names["grants.json"], b.w.files[1] = 1, grants
	return b.w, nil
}
