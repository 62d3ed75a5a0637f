package rawstore

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"sync"

	"github.com/ocellus/ocellus/hal"
)

// Area keeps one area of a vault in two copies, at offset 0 and in the middle of its partition:
//
//	0  "OCVAULT1"   8  sequence, 8 bytes   16  length, 4   20  CRC-32 of all but itself, 4   24  data
//
// Numbers are little endian; zeros fill up to 4 KiB. The whole copy with the higher sequence counts. Store writes the
// copy that does not count, flushes and reads back, then does the same with the one that counted, so that what was
// there before is gone and either copy alone will do from then on. An area whose copies were never written is zeros, or
// ff, as erased flash is.
type Area struct {
	name string
	disk Disk
	lock func() (unlock func(), err error)
	mu   sync.Mutex // one change at a time
}

const (
	areaMagic  = "OCVAULT1"
	areaHeader = 24
	areaBlock  = 4096
)

// NewArea keeps an area on a disk. lock keeps other processes out while it is changed.
func NewArea(name string, d Disk, lock func() (unlock func(), err error)) (*Area, error) {
	a := &Area{name: name, disk: d, lock: lock}
	if least := int64(areaHeader + hal.MaxArea); a.stride() < least {
		return nil, fmt.Errorf("open %s: %d bytes, want %d at least", name, d.Size(), 2*(least+areaBlock))
	}
	return a, nil
}

// stride is where the second copy begins.
func (a *Area) stride() int64 { return a.disk.Size() / 2 / areaBlock * areaBlock }

// areaCopy is a copy, read.
type areaCopy struct {
	seq   uint64
	data  []byte
	whole bool
	blank bool // never written, or destroyed
}

func parseArea(b []byte) areaCopy {
	header := b[:areaHeader]
	if blank(header) {
		return areaCopy{blank: true}
	}
	length := int64(binary.LittleEndian.Uint32(header[16:]))
	if string(header[:8]) != areaMagic || length > int64(len(b)-areaHeader) || length > hal.MaxArea {
		return areaCopy{}
	}
	data := b[areaHeader:][:length]
	if areaSum(header, data) != binary.LittleEndian.Uint32(header[20:]) {
		return areaCopy{}
	}
	return areaCopy{seq: binary.LittleEndian.Uint64(header[8:]), data: data, whole: true}
}

func formatArea(seq uint64, data []byte) []byte {
	b := make([]byte, (areaHeader+len(data)+areaBlock-1)/areaBlock*areaBlock)
	copy(b, areaMagic)
	binary.LittleEndian.PutUint64(b[8:], seq)
	binary.LittleEndian.PutUint32(b[16:], uint32(len(data)))
	copy(b[areaHeader:], data)
	binary.LittleEndian.PutUint32(b[20:], areaSum(b[:areaHeader], data))
	return b
}

func areaSum(header, data []byte) uint32 {
	return crc32.Update(crc32.ChecksumIEEE(header[:20]), crc32.IEEETable, data)
}

// blank reports whether b is as a disk or flash comes from its maker.
func blank(b []byte) bool {
	return len(bytes.Trim(b, "\x00")) == 0 || len(bytes.Trim(b, "\xff")) == 0
}

// read reads both copies and tells which one counts, -1 for none.
func (a *Area) read() (copies [2]areaCopy, at int, err error) {
	at = -1
	for i := range copies {
		b := make([]byte, min(a.stride(), areaHeader+hal.MaxArea))
		if fault := readFull(a.disk, b, int64(i)*a.stride()); fault != nil {
			err = fmt.Errorf("copy %d: %w", i, fault)
			continue
		}
		copies[i] = parseArea(b)
		if copies[i].whole && (at < 0 || copies[i].seq > copies[at].seq) {
			at = i
		}
	}
	switch {
	case at >= 0:
		return copies, at, nil
	case err != nil:
		return copies, at, fmt.Errorf("load %s: %w: %w", a.name, hal.ErrDamaged, err)
	case copies[0].blank || copies[1].blank: // the first Store was cut short
		return copies, at, nil
	}
	return copies, at, fmt.Errorf("load %s: %w", a.name, hal.ErrDamaged)
}

// Load returns what was stored last; nil when nothing was.
func (a *Area) Load() ([]byte, error) {
	copies, at, err := a.read()
	if at < 0 {
		return nil, err
	}
	return copies[at].data, nil
}

// Store replaces the data, in both copies.
func (a *Area) Store(data []byte) error {
	if len(data) > hal.MaxArea {
		return fmt.Errorf("store %s: %d bytes, at most %d", a.name, len(data), hal.MaxArea)
	}
	return a.change("store", func() error {
		copies, at, err := a.read()
		if err != nil && !errors.Is(err, hal.ErrDamaged) {
			return err
		}
		var seq uint64
		if at >= 0 {
			seq = copies[at].seq
		}
		if seq == math.MaxUint64 {
			return errors.New("the sequence is at its end")
		}
		first := (1 - at) % 2 // the copy that does not count; copy 0 where neither does
		b := formatArea(seq+1, data)
		for _, i := range []int{first, 1 - first} {
			if err := put(a.disk, a.padded(b, copies[i]), int64(i)*a.stride()); err != nil {
				return fmt.Errorf("copy %d: %w", i, err)
			}
		}
		return nil
	})
}

// padded makes b long enough to cover what was there before.
func (a *Area) padded(b []byte, before areaCopy) []byte {
	if before.blank {
		return b
	}
	most := (areaHeader + hal.MaxArea + areaBlock - 1) / areaBlock * areaBlock
	if before.whole {
		most = len(formatArea(before.seq, before.data))
	}
	most = int(min(int64(most), a.stride()))
	return append(b, make([]byte, max(most-len(b), 0))...)
}

// Destroy overwrites one copy after the other, to the end of the partition, and reads back that they are gone.
func (a *Area) Destroy() error {
	return a.change("destroy", func() error {
		for i := range int64(2) {
			if err := a.wipe(i*a.stride(), min((i+1)*a.stride(), a.disk.Size())); err != nil {
				return err
			}
		}
		d, ok := a.disk.(Discarder)
		if !ok {
			return nil
		}
		if err := d.Discard(0, a.disk.Size()); err != nil && !errors.Is(err, hal.ErrUnsupported) {
			return err
		}
		// What a discarded block reads as is the device's choice.
		for i := range int64(2) {
			if err := put(a.disk, make([]byte, areaBlock), i*a.stride()); err != nil {
				return err
			}
		}
		return nil
	})
}

// wipe overwrites a range with zeros.
func (a *Area) wipe(from, to int64) error {
	zeros := make([]byte, 64<<10)
	for at := from; at < to; at += int64(len(zeros)) {
		if err := put(a.disk, zeros[:min(int64(len(zeros)), to-at)], at); err != nil {
			return err
		}
	}
	return nil
}

// change does one change, alone.
func (a *Area) change(op string, do func() error) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	unlock, err := a.lock()
	if err == nil {
		defer unlock()
		err = do()
	}
	if err != nil {
		return fmt.Errorf("%s %s: %w", op, a.name, err)
	}
	return nil
}
