package ota

import (
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ocellus/ocellus/hal"
	"github.com/ocellus/ocellus/internal/areas"
	"github.com/ocellus/ocellus/internal/rawstore"
	"github.com/ocellus/ocellus/internal/statefile"
	"github.com/ocellus/ocellus/ota/manifest"
)

// BenchmarkInstall installs 64 MiB into a file that stands for a slot, by the rules of the block driver, beside what
// dd bs=1M conv=fsync does to such a file in the same run.
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
		e, err := onFiles(dir, size)
		if err != nil {
			b.Fatal(err)
		}
		begin := time.Now()
		if err := plain(filepath.Join(dir, "slot-a"), img.data); err != nil {
			b.Fatal(err)
		}
		dd += time.Since(begin)
		debug.FreeOSMemory()
		stop, peak := watchMemory()
		begin = time.Now()
		err = e.step(look, nil)
		if err == nil {
			err = e.put(context.Background(), memorySource{image: img}, offer{release: r})
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

// plain is dd.
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

// onFiles is an engine whose storage lies in files.
func onFiles(dir string, slot int64) (*Engine, error) {
	b := newBoard(newWorld())
	s, err := b.storage(hal.SlotA)
	if err != nil {
		return nil, err
	}
	path := filepath.Join(dir, "slot-b")
	if err := plain(path, make([]byte, slot)); err != nil {
		return nil, err
	}
	slots := rawstore.NewSlots(hal.SlotA, func(hal.Slot, bool) (rawstore.ClosableDisk, error) {
		return rawstore.OpenFile(path, false)
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
