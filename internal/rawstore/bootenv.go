package rawstore

import (
	"fmt"
	"maps"
	"sync"

	"github.com/ocellus/ocellus/codec/bootstate"
	"github.com/ocellus/ocellus/hal"
)

// BootEnv keeps the two copies of the boot record (codec/bootstate). First the copy that counts is made durable, since
// U-Boot, which may have written it, never flushes; then the other one is written, flushed and read back. Where neither
// is whole both are written anew, one after the other.
type BootEnv struct {
	name string
	disk Disk
	lock func() (unlock func(), err error)
	mu   sync.Mutex // one Set at a time
}

// NewBootEnv keeps the record on a disk. lock keeps other processes out while a record is changed.
func NewBootEnv(name string, d Disk, lock func() (unlock func(), err error)) (*BootEnv, error) {
	if d.Size() < bootstate.Stride+bootstate.CopySize {
		return nil, fmt.Errorf("open boot environment %s: %d bytes, want %d", name, d.Size(), bootstate.Size)
	}
	return &BootEnv{name: name, disk: d, lock: lock}, nil
}

// read returns the copy that counts and which one it is.
func (e *BootEnv) read() (bootstate.Copy, int, error) {
	var copies [2][]byte
	var faults error
	for i := range copies {
		b := make([]byte, bootstate.CopySize)
		if err := readFull(e.disk, b, int64(i)*bootstate.Stride); err != nil {
			faults = fmt.Errorf("copy %d: %w", i, err)
			continue
		}
		copies[i] = b
	}
	current, at, err := bootstate.Current(copies)
	if err == nil {
		return current, at, nil
	}
	if faults != nil {
		err = faults
	}
	return current, at, fmt.Errorf("read boot environment %s: %w: %w", e.name, hal.ErrDamaged, err)
}

// Get implements hal.BootEnv.
func (e *BootEnv) Get() (map[string]string, error) {
	current, _, err := e.read()
	return current.Env, err
}

// Set implements hal.BootEnv.
func (e *BootEnv) Set(changes map[string]string) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	unlock, err := e.lock()
	if err != nil {
		return fmt.Errorf("lock boot environment %s: %w", e.name, err)
	}
	defer unlock()
	current, at, damaged := e.read()
	env := bootstate.Env{}
	maps.Copy(env, current.Env)
	for name, value := range changes {
		if env[name] = value; value == "" {
			delete(env, name)
		}
	}
	if damaged == nil && maps.Equal(env, current.Env) {
		return nil
	}
	data, err := bootstate.Format(bootstate.Copy{Seq: current.Seq + 1, Env: env})
	if err != nil {
		return err
	}
	order := []int{1 - at}
	if damaged != nil {
		order = []int{0, 1}
	}
	if err := e.disk.Sync(); err != nil {
		return fmt.Errorf("write boot environment %s: what is there: %w", e.name, err)
	}
	for _, i := range order {
		if err := put(e.disk, data, int64(i)*bootstate.Stride); err != nil {
			return fmt.Errorf("write boot environment %s: copy %d: %w", e.name, i, err)
		}
	}
	return nil
}
