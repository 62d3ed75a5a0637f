package powercut

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/ocellus/ocellus/codec/bootstate"
	"github.com/ocellus/ocellus/codec/fit"
	"github.com/ocellus/ocellus/codec/gpt"
	"github.com/ocellus/ocellus/codec/verity"
	"github.com/ocellus/ocellus/internal/rawstore"
	"github.com/ocellus/ocellus/lab/disklog"
)

// partitions of a board that is small enough to be cut a thousand times in a second.
func partitions() []gpt.Partition {
	const mib = 1 << 20
	return []gpt.Partition{{Name: "env", Start: mib, Size: mib}, {Name: "slot-a", Start: 2 * mib, Size: 256 << 10},
		{Name: "slot-b", Start: 3 * mib, Size: 256 << 10}, {Name: Persist, Start: 4 * mib, Size: 128 << 10},
		{Name: Keys, Start: 5 * mib, Size: 128 << 10}}
}

func noise(seed uint64, n int) []byte {
	random := rand.New(rand.NewPCG(seed, 0))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(random.Uint32())
	}
	return b
}

// slotImage is a slot as the image builder makes it, with noise for what is in it.
func slotImage(t *testing.T, seed uint64) []byte {
	t.Helper()
	const blocks = 5
	root := noise(seed, blocks*verity.BlockSize)
	salt := []byte{byte(seed)}
	tree, err := verity.New(salt)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = tree.Write(root)
	behind, sum, err := tree.Finish()
	if err != nil {
		t.Fatal(err)
	}
	seal := fmt.Sprintf("root %s\nsalt %s\nblocks %d\n", sum, hex.EncodeToString(salt), blocks)
	head, err := fit.Build(fit.Image{Arch: "arm64", Kernel: fit.Part{Data: noise(seed+1, 90<<10)},
		Initrd: fit.Part{Data: initrd(t, "init", "not read", "slot", seal)}, Slot: fit.Slot{Compatible: "test"}})
	if err != nil {
		t.Fatal(err)
	}
	_, padded, err := fit.Size(head)
	if err != nil {
		t.Fatal(err)
	}
	return append(append(append(head, make([]byte, padded-int64(len(head)))...), root...), behind...)
}

func initrd(t *testing.T, files ...string) []byte {
	t.Helper()
	var b, out bytes.Buffer
	for i := 0; i < len(files); i += 2 {
		fmt.Fprintf(&b, "070701%048x%08x%032x%08x%08x%s\x00", 0, len(files[i+1]), 0, len(files[i])+1, 0, files[i])
		b.Write(make([]byte, (4-b.Len()%4)%4))
		b.WriteString(files[i+1])
		b.Write(make([]byte, (4-b.Len()%4)%4))
	}
	z, err := fit.NewCompressor(&out)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = z.Write(b.Bytes())
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// board is a disk in memory and what it was told.
type board struct {
	*disklog.Recorder
	t     *testing.T
	image []byte
	parts map[string]*disklog.Part
	story Story
}

func newBoard(t *testing.T) *board {
	t.Helper()
	const size = 6 << 20
	head, tail, err := gpt.Build("test", size, partitions())
	if err != nil {
		t.Fatal(err)
	}
	image := make([]byte, size)
	copy(image, head)
	copy(image[size-len(tail):], tail)
	env, err := bootstate.Record{Confirmed: bootstate.A}.Apply(nil)
	if err != nil {
		t.Fatal(err)
	}
	record, err := bootstate.Format(bootstate.Copy{Seq: 1, Env: env})
	if err != nil {
		t.Fatal(err)
	}
	b := &board{t: t, image: image, parts: map[string]*disklog.Part{}, story: Story{}}
	b.Recorder = disklog.NewRecorder(disklog.NewDisk(bytes.NewReader(image), size))
	for _, p := range partitions() {
		b.parts[p.Name] = b.Part(p.Start, p.Size)
		switch p.Name {
		case "env":
			copy(image[p.Start:], record)
			copy(image[p.Start+bootstate.Stride:], record)
		case "slot-a":
			copy(image[p.Start:], slotImage(t, 1))
		}
	}
	b.story.Tell(Record, RecordText(env))
	b.story.Tell(Persist, Absent)
	b.story.Tell(Keys, Absent)
	return b
}

// do does something and tells the story; value says what the thing is then.
func (b *board) do(thing string, value func() string, what func() error) {
	b.t.Helper()
	begun := b.Now()
	if err := what(); err != nil {
		b.t.Fatal(err)
	}
	b.story[thing].Add(disklog.Version{Value: value(), Begun: begun, Done: b.Now()})
}

// copies of the record as they are now.
func (b *board) copies() (copies [2][]byte) {
	b.t.Helper()
	for i := range copies {
		copies[i] = make([]byte, bootstate.CopySize)
		if _, err := b.parts["env"].ReadAt(copies[i], int64(i)*bootstate.Stride); err != nil {
			b.t.Fatal(err)
		}
	}
	return copies
}

func (b *board) record() string {
	b.t.Helper()
	c, _, err := bootstate.Current(b.copies())
	if err != nil {
		b.t.Fatal(err)
	}
	return RecordText(c.Env)
}

// live is a board's life: a slot is written, tried, confirmed; things are stored and destroyed.
func (b *board) live() {
	b.t.Helper()
	alone := func() (func(), error) { return func() {}, nil }
	env, err := rawstore.NewBootEnv("env", b.parts["env"], alone)
	if err != nil {
		b.t.Fatal(err)
	}
	set := func(changes map[string]string) {
		b.do(Record, b.record, func() error { return env.Set(changes) })
	}
	areas := map[string]*rawstore.Area{}
	for _, name := range []string{Persist, Keys} {
		if areas[name], err = rawstore.NewArea(name, b.parts[name], alone); err != nil {
			b.t.Fatal(err)
		}
	}
	store := func(name, value string) {
		b.do(name, func() string { return value }, func() error { return areas[name].Store([]byte(value)) })
	}
	store(Persist, string(noise(2, 100)))
	store(Keys, string(noise(3, 6000)))
	store(Keys, string(noise(4, 60)))
	store(Persist, string(noise(5, 100)))
	b.writeSlot(slotImage(b.t, 9))
	set(map[string]string{"st_try": "b", "st_left": "2"})
	b.boot()
	set(map[string]string{"st_slot": "b", "st_try": "none", "st_left": "0"})
	set(map[string]string{"st_floor": "7"})
	b.do(Keys, func() string { return Absent }, areas[Keys].Destroy)
	store(Keys, string(noise(6, 60)))
}

func (b *board) writeSlot(image []byte) {
	b.t.Helper()
	w, err := rawstore.OpenSlot("b", b.parts["slot-b"], func() error { return nil })
	if err != nil {
		b.t.Fatal(err)
	}
	const piece = 32 << 10
	for at := 0; at < len(image); at += piece {
		if _, err := w.WriteAt(image[at:min(at+piece, len(image))], int64(at)); err != nil {
			b.t.Fatal(err)
		}
	}
	if err := w.Commit(); err != nil {
		b.t.Fatal(err)
	}
}

// boot is what U-Boot writes, which never flushes.
func (b *board) boot() {
	b.t.Helper()
	begun := b.Now()
	next := bootstate.Next(bootstate.Board{Copies: b.copies(), Verifies: func(bootstate.Slot) bool { return true }})
	if next.How != bootstate.OnTrial {
		b.t.Fatalf("got a boot that is %s", next.How)
	}
	if _, err := b.parts["env"].WriteAt(next.Data, int64(next.Write)*bootstate.Stride); err != nil {
		b.t.Fatal(err)
	}
	b.story[Record].Add(disklog.Version{Value: b.record(), Begun: begun})
}

func (b *board) prove(l *disklog.Log) *Report {
	b.t.Helper()
	r, err := Prove(b.t.Context(), Run{Base: bytes.NewReader(b.image), Size: b.Size(), Log: l, Story: b.story,
		Plan: disklog.Plan{Samples: 64}})
	if err != nil {
		b.t.Fatal(err)
	}
	return r
}

func (b *board) lived() *disklog.Log {
	b.t.Helper()
	b.live()
	l, err := b.Log()
	if err != nil {
		b.t.Fatal(err)
	}
	return l
}

// TestProve: a life of the drivers' own code survives every cut.
func TestProve(t *testing.T) {
	t.Parallel()
	b := newBoard(t)
	r := b.prove(b.lived())
	t.Log(r)
	if len(r.Faults) > 0 {
		t.Error("got faults, want none")
	}
	for _, class := range []string{"boots a, confirmed; a whole, b blank", "boots a, confirmed; a whole, b half",
		"boots a, confirmed; a whole, b whole", "boots b, trial; a whole, b whole", "boots b, confirmed; a whole, b whole"} {
		if r.Classes[class].States == 0 {
			t.Errorf("no state %q", class)
		}
	}
}

// TestProofFails: a life with a mistake in it is found out, for the right reason.
func TestProofFails(t *testing.T) {
	t.Parallel()
	b := newBoard(t)
	l := b.lived()
	where := map[string]gpt.Partition{}
	for _, p := range partitions() {
		where[p.Name] = p
	}
	in := func(e disklog.Entry, name string, offset int64) bool {
		return e.Writes() && e.Offset >= where[name].Start+offset && e.Offset < where[name].Start+where[name].Size
	}
	records := b.story[Record].Versions()
	uboot := l.Logged(records[slices.IndexFunc(records[1:], func(v disklog.Version) bool { return v.Done == 0 })+1].Begun)
	destroyed := 0 // writes of zeros to the second half of keys, once both copies were stored three times
	for name, c := range map[string]struct {
		edit func(n int, e disklog.Entry) (disklog.Entry, bool)
		want string
	}{
		"no flush at all": {func(_ int, e disklog.Entry) (disklog.Entry, bool) {
			return e, e.Flags&disklog.Flush == 0
		}, "lost"},
		"both copies of the record in one place": {func(_ int, e disklog.Entry) (disklog.Entry, bool) {
			if in(e, "env", bootstate.Stride) {
				e.Offset -= bootstate.Stride
			}
			return e, true
		}, Record + ": an answered change is lost"},
		"what U-Boot wrote is overwritten before it is durable": {func(n int, e disklog.Entry) (disklog.Entry, bool) {
			return e, n != uboot+1
		}, Record + ": an answered change is lost"},
		"one copy of the record": {func(_ int, e disklog.Entry) (disklog.Entry, bool) {
			return e, !in(e, "env", bootstate.Stride)
		}, Record + ": an answered change is lost"},
		"the slot's rest is never written": {func(_ int, e disklog.Entry) (disklog.Entry, bool) {
			return e, !in(e, "slot-b", 64<<10)
		}, "slot b is on trial and half"},
		"the old slot's head stays while it is written": {func(_ int, e disklog.Entry) (disklog.Entry, bool) {
			if in(e, "slot-b", 0) {
				e.Offset += where["slot-a"].Start - where["slot-b"].Start
			}
			return e, true
		}, "no slot boots"},
		"the second copy of the keys is not destroyed": {func(_ int, e disklog.Entry) (disklog.Entry, bool) {
			if in(e, Keys, where[Keys].Size/2) {
				destroyed++
				return e, destroyed <= 2
			}
			return e, !in(e, Keys, 0) || e.Flags&disklog.Discard == 0
		}, "of a value that is gone are on the disk"},
	} {
		r := b.prove(l.Edit(c.edit))
		if !strings.Contains(fmt.Sprint(r.Faults), c.want) {
			t.Errorf("%s: got %v, want %q", name, r.Faults, c.want)
		}
	}
}

func TestLayoutRefuses(t *testing.T) {
	t.Parallel()
	b := newBoard(t)
	head, _, err := gpt.Build("test", b.Size(), partitions()[1:])
	if err != nil {
		t.Fatal(err)
	}
	for name, disk := range map[string][]byte{"empty": nil, "no table": make([]byte, 1<<20), "no env": head} {
		if _, err := readLayout(bytes.NewReader(disk)); err == nil {
			t.Errorf("%s: got no error", name)
		}
	}
}
