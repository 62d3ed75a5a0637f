package ota

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ocellus/ocellus/hal"
	"github.com/ocellus/ocellus/internal/areas"
	"github.com/ocellus/ocellus/internal/rawstore"
	"github.com/ocellus/ocellus/internal/statefile"
	"github.com/ocellus/ocellus/ota/manifest"
)

// BenchmarkInstall installs 64 MiB out of a file into a slot, by the rules of the block driver, beside what
// dd bs=1M conv=fsync does to it in the same run.
func BenchmarkInstall(b *testing.B) {
	const size = 64 << 20
	img := newImage("big", "2.0.0", "", size)
	r := manifest.Release{Target: "big", Version: img.version, Size: size, Sum: sha256.Sum256(img.data)}
	for at := 0; at < size; at += manifest.Segment {
		r.Segments = append(r.Segments, sha256.Sum256(img.data[at:at+manifest.Segment]))
	}
	img.pages = nil
	b.SetBytes(size)
	var dd, ours time.Duration
	var most int64
	for range b.N {
		dir := b.TempDir()
		slot := newSlot(b, filepath.Join(dir, "slot"), size)
		e, err := onFile(dir, slot)
		from := fileSource{name: "image", path: filepath.Join(dir, "image")}
		if err = errors.Join(err, plain(from.path, img.data)); err != nil {
			b.Fatal(err)
		}
		begin := time.Now()
		out, err := exec.Command("dd", "if="+from.path, "of="+slot, "bs=1M", "conv=fsync,notrunc").CombinedOutput()
		if err != nil {
			b.Fatalf("%v: %s", err, out)
		}
		dd += time.Since(begin)
		debug.FreeOSMemory()
		stop, peak := watchMemory()
		begin = time.Now()
		err = e.step(look, nil)
		if err == nil {
			err = e.put(context.Background(), from, offer{release: r, path: from.name})
		}
		ours += time.Since(begin)
		stop()
		if err != nil {
			b.Fatal(err)
		}
		most = max(most, peak.Load())
	}
	b.ReportMetric(float64(ours)/float64(dd), "x-dd")
	b.ReportMetric(float64(most)/(1<<20), "MiB-added")
}

// plain makes a file.
func plain(path string, data []byte) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	for at := 0; at < len(data); at += 1 << 20 {
		if _, err := f.Write(data[at : at+1<<20]); err != nil {
			return err
		}
	}
	return f.Sync()
}

// newSlot makes a slot of so many bytes: a block device, as a board's is, where this machine lets us (losetup(8)), else the
// file under it.
func newSlot(b *testing.B, file string, size int64) string {
	b.Helper()
	if err := plain(file, make([]byte, size)); err != nil {
		b.Fatal(err)
	}
	out, err := exec.Command("losetup", "--find", "--show", file).Output()
	if err != nil {
		b.Logf("no block device: losetup: %v", err)
		return file
	}
	device := strings.TrimSpace(string(out))
	b.Cleanup(func() { _ = exec.Command("losetup", "--detach", device).Run() })
	return device
}

// onFile is an engine whose other slot is a file or a block device.
func onFile(dir, slot string) (*Engine, error) {
	b := newBoard(newWorld())
	s, err := b.storage(hal.SlotA)
	if err != nil {
		return nil, err
	}
	slots := rawstore.NewSlots(hal.SlotA, func(hal.Slot, bool) (rawstore.ClosableDisk, error) {
		return rawstore.OpenFile(slot, false)
	})
	return Open(Options{Env: s.BootEnv, Slots: slots, State: statefile.Path(filepath.Join(dir, "ota.json")),
		Persist: areas.New(s.Vault, hal.Persist)})
}

// watchMemory tells by how much the process grew at most until it is stopped.
func watchMemory() (stop func(), peak *atomic.Int64) {
	begin, peak := resident(), &atomic.Int64{}
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			peak.Store(max(peak.Load(), resident()-begin))
			select {
			case <-done:
				return
			case <-time.After(time.Millisecond):
			}
		}
	}()
	return func() { close(done); <-ended }, peak
}

// resident is the memory of this process, in bytes.
func resident() int64 {
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	var size, pages int64
	_, _ = fmt.Sscan(string(b), &size, &pages)
	return pages * int64(os.Getpagesize())
}
