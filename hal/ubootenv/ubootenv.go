// Package ubootenv is the boot record on a block device: two copies of one U-Boot environment (codec/bootstate tells the
// format) on the partition "env", which the boot script board/boot/boot.cmd reads and writes too. A write goes to the
// copy that does not count, all of it, then it is flushed and read back past the page cache.
package ubootenv

import (
	"errors"
	"fmt"

	"github.com/ocellus/ocellus/hal"
	"github.com/ocellus/ocellus/internal/rawstore"
)

// PartitionName is the GPT name of the record's partition.
const PartitionName = "env"

// Env is a boot environment on a block device. It implements hal.BootEnv.
type Env struct {
	*rawstore.BootEnv
	file *rawstore.File
}

// Find returns the node of the partition. disk, where it is not empty, is the only disk that counts (mmcblk0).
func Find(disk string) (string, error) { return rawstore.Partition("/sys", disk, PartitionName) }

// Open opens the record on a node. It changes nothing, and it does not mind a damaged record.
func Open(path string) (*Env, error) {
	f, err := rawstore.OpenFile(path, false)
	if err != nil {
		return nil, fmt.Errorf("open boot environment: %w", err)
	}
	env, err := rawstore.NewBootEnv(path, f, f.Lock)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &Env{env, f}, nil
}

// Close closes the node.
func (e *Env) Close() error { return e.file.Close() }

var _ hal.BootEnv = (*Env)(nil)
