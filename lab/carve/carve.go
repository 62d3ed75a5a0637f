// Package carve looks for what an owner left on a disk, as somebody would who has taken it out of the camera: for values
// in every way of writing that a program may have used, whatever files, deleted files and free blocks they lie in; and
// for what was sealed, with every key that the disk still has.
//
// It is written from the formats' descriptions (internal/sealed, internal/rawstore) and uses none of their code.
package carve

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"io"
	"regexp"
	"slices"
)

// Value is something that nobody may find.
type Value struct {
	Name  string
	Bytes []byte
}

// Hit is a value that was found.
type Hit struct {
	Value   string
	Written string // how: "base64"
	Offset  int64  // on the disk; of the sealed file where it was in one
	Sealed  bool   // it was found in what a key of the disk opened
}

func (h Hit) String() string {
	where := "open"
	if h.Sealed {
		where = "sealed, with its key"
	}
	return fmt.Sprintf("%s as %s at %#x, %s", h.Value, h.Written, h.Offset, where)
}

// Report is what a disk gives away.
type Report struct {
	Hits   []Hit
	Keys   int // keys that were found
	Sealed int // sealed files, old ones too
	Opened int // of these
}

// Names are the names under which files are sealed; they are part of what is sealed and no secret.
type Names []string

const (
	piece   = 8 << 20
	magic   = "OCSEAL1\n"
	maxFile = 1 << 20 // internal/statefile's bound
	block   = 1 << 10 // a file begins and ends at one: the smallest block of ext4
)

// Look carves a disk.
func Look(disk io.ReaderAt, size int64, values []Value, names Names) (*Report, error) {
	patterns := patternsOf(values)
	report := &Report{}
	var sealed []int64
	var keys [][]byte
	err := eachPiece(disk, size, longest(patterns), func(p []byte, offset int64, last int) error {
		report.Hits = append(report.Hits, find(p, offset, last, patterns)...)
		for _, at := range indexes(p, []byte(magic)) {
			if at < last {
				sealed = append(sealed, offset+int64(at))
			}
		}
		keys = append(keys, keysIn(p)...)
		return nil
	})
	if err != nil {
		return nil, err
	}
	keys = slices.CompactFunc(slices.SortedFunc(slices.Values(keys), bytes.Compare), bytes.Equal)
	report.Keys, report.Sealed = len(keys), len(sealed)
	for _, at := range sealed {
		content, err := open(disk, size, at, keys, names)
		if err != nil {
			return nil, err
		}
		if content == nil {
			continue
		}
		report.Opened++
		for _, h := range find(content, 0, len(content), patterns) {
			h.Offset, h.Sealed = at, true
			report.Hits = append(report.Hits, h)
		}
	}
	return report, nil
}

// eachPiece reads the disk in pieces that overlap, so that nothing is missed at a border. What begins behind last is in
// the next piece, too. Pieces of zeros are left out.
func eachPiece(disk io.ReaderAt, size int64, overlap int, do func(p []byte, offset int64, last int) error) error {
	buffer := make([]byte, piece+overlap)
	for offset := int64(0); offset < size; offset += piece {
		p := buffer[:min(int64(len(buffer)), size-offset)]
		if n, err := disk.ReadAt(p, offset); n < len(p) {
			return fmt.Errorf("read disk at %#x: %w", offset, err)
		}
		if len(bytes.TrimLeft(p, "\x00")) == 0 {
			continue
		}
		if err := do(p, offset, min(piece, len(p))); err != nil {
			return err
		}
	}
	return nil
}

// find returns what begins before last.
func find(p []byte, offset int64, last int, patterns []pattern) (hits []Hit) {
	for _, pt := range patterns {
		for _, at := range indexes(p, pt.bytes) {
			if at < last {
				hits = append(hits, Hit{Value: pt.value, Written: pt.written, Offset: offset + int64(at)})
			}
		}
	}
	return hits
}

func indexes(p, pattern []byte) (at []int) {
	for from := 0; ; {
		i := bytes.Index(p[from:], pattern)
		if i < 0 {
			return at
		}
		at = append(at, from+i)
		from += i + 1
	}
}

// keysIn finds keys as the area keys has them.
func keysIn(p []byte) (keys [][]byte) {
	stored := regexp.MustCompile(`"data_key":\s*"([A-Za-z0-9+/]{43}=)"`)
	for _, m := range stored.FindAllSubmatch(p, -1) {
		if key, err := base64.StdEncoding.DecodeString(string(m[1])); err == nil {
			keys = append(keys, key)
		}
	}
	return keys
}

// open tries every key, name and length on a sealed file. It ends in some block, behind which the file system has zeros;
// nil: nothing opens it.
func open(disk io.ReaderAt, size, at int64, keys [][]byte, names Names) ([]byte, error) {
	raw := make([]byte, min(maxFile, size-at))
	if n, err := disk.ReadAt(raw, at); n < len(raw) {
		return nil, fmt.Errorf("read disk at %#x: %w", at, err)
	}
	const mayBeZero = 4 // bytes at the end of the file
	tried := 0
	for end := block; end <= len(raw); end += block {
		whole := len(bytes.TrimRight(raw[:end], "\x00"))
		if whole <= tried { // zeros: the file has ended
			break
		}
		tried = whole
		for length := whole; length <= min(end, whole+mayBeZero); length++ {
			if content := unseal(raw[len(magic):length], keys, names); content != nil {
				return content, nil
			}
		}
	}
	return nil, nil
}

func unseal(sealed []byte, keys [][]byte, names Names) []byte {
	for _, key := range keys {
		gcm := newGCM(key)
		if len(sealed) < gcm.NonceSize()+gcm.Overhead() {
			return nil
		}
		for _, name := range names {
			content, err := gcm.Open(nil, sealed[:gcm.NonceSize()], sealed[gcm.NonceSize():], []byte(name))
			if err == nil {
				return content
			}
		}
	}
	return nil
}

func newGCM(key []byte) cipher.AEAD {
	block, err := aes.NewCipher(key)
	if err != nil {
		panic(err) // keysIn found 32 bytes
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		panic(err)
	}
	return gcm
}

// Keys returns the keys that a disk has, each once.
func Keys(disk io.ReaderAt, size int64) (keys [][]byte, err error) {
	err = eachPiece(disk, size, 128, func(p []byte, _ int64, _ int) error {
		keys = append(keys, keysIn(p)...)
		return nil
	})
	return slices.CompactFunc(slices.SortedFunc(slices.Values(keys), bytes.Compare), bytes.Equal), err
}

// Seal seals a file with the one key that a disk has, as the camera would: to plant something that is not there yet.
func Seal(disk io.ReaderAt, size int64, name string, content []byte) ([]byte, error) {
	keys, err := Keys(disk, size)
	if err != nil {
		return nil, err
	}
	if len(keys) != 1 {
		return nil, fmt.Errorf("the disk has %d keys, want one", len(keys))
	}
	gcm := newGCM(keys[0])
	nonce := make([]byte, gcm.NonceSize())
	_, _ = rand.Read(nonce) // never fails
	return gcm.Seal(append([]byte(magic), nonce...), nonce, content, []byte(name)), nil
}
