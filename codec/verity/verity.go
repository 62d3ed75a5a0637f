// Package verity makes the hash tree that the kernel's dm-verity checks a read-only file system with, block by block,
// as it is read: superblock and tree in format 1 (Documentation/admin-guide/device-mapper/verity.rst; the superblock is
// cryptsetup's), SHA-256, blocks of 4 KiB.
//
// Behind the data lies one block with the superblock, then the tree, its root level first. The root hash stands
// elsewhere, where the boot chain checks it. A device that writes a slot makes the tree again while data passes: Tree
// takes the data as it comes and keeps 32 bytes a block.
package verity

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
)

// BlockSize is the size of data blocks and of hash blocks.
const BlockSize = 4096

const (
	perBlock  = BlockSize / sha256.Size // hashes in a hash block
	maxSalt   = 256
	maxBlocks = 1 << 22 // 16 GiB of data, 128 MiB of hashes
)

// ErrSuperblock: there is no superblock, or not one of this form.
var ErrSuperblock = errors.New("verity superblock")

// Hash is a SHA-256, the root hash above all.
type Hash [sha256.Size]byte

func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// ParseHash reads what String writes.
func ParseHash(s string) (Hash, error) {
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != sha256.Size {
		return Hash{}, fmt.Errorf("verity: %q is no SHA-256", s)
	}
	return Hash(b), nil
}

// Tree hashes data as it is written to it. Make one with New.
type Tree struct {
	salt   []byte
	hash   hash.Hash
	filled int    // bytes of the block that is being hashed
	leaves []byte // one hash a data block
}

// New starts a tree whose hashes begin with the salt.
func New(salt []byte) (*Tree, error) {
	if len(salt) > maxSalt {
		return nil, fmt.Errorf("verity: salt of %d bytes, at most %d", len(salt), maxSalt)
	}
	t := &Tree{salt: bytes.Clone(salt), hash: sha256.New()}
	t.hash.Write(salt)
	return t, nil
}

// Write takes the next bytes of the data.
func (t *Tree) Write(p []byte) (int, error) {
	written := len(p)
	for len(p) > 0 {
		n := min(len(p), BlockSize-t.filled)
		t.hash.Write(p[:n])
		t.filled += n
		p = p[n:]
		if t.filled < BlockSize {
			break
		}
		if len(t.leaves) >= maxBlocks*sha256.Size {
			return written - len(p), errors.New("verity: too much data")
		}
		t.leaves = t.hash.Sum(t.leaves)
		t.filled = 0
		t.hash.Reset()
		t.hash.Write(t.salt)
	}
	return written, nil
}

// Finish returns what lies behind the data, superblock and tree, and the root hash. The data must be whole blocks.
func (t *Tree) Finish() ([]byte, Hash, error) {
	if t.filled > 0 || len(t.leaves) == 0 {
		return nil, Hash{}, fmt.Errorf("verity: the data ends with a block of %d bytes, want whole blocks", t.filled)
	}
	s := Superblock{DataBlocks: uint64(len(t.leaves) / sha256.Size), Salt: t.salt}
	out := make([]byte, BlockSize, BlockSize+TreeSize(s.DataBlocks))
	s.put(out)
	var levels [][]byte // from the leaves up, in whole hash blocks
	hashes := t.leaves
	for len(hashes) > sha256.Size {
		level := make([]byte, (len(hashes)+BlockSize-1)/BlockSize*BlockSize)
		copy(level, hashes)
		levels = append(levels, level)
		hashes = t.sums(level)
	}
	for i := len(levels) - 1; i >= 0; i-- {
		out = append(out, levels[i]...)
	}
	return out, Hash(hashes), nil
}

// sums hashes every block of a level.
func (t *Tree) sums(level []byte) []byte {
	out := make([]byte, 0, len(level)/perBlock)
	for len(level) > 0 {
		t.hash.Reset()
		t.hash.Write(t.salt)
		t.hash.Write(level[:BlockSize])
		out = t.hash.Sum(out)
		level = level[BlockSize:]
	}
	return out
}

// TreeSize is the size of the tree of so many data blocks, without the superblock's block.
func TreeSize(dataBlocks uint64) int64 {
	size, n := uint64(0), dataBlocks
	for n > 1 {
		n = (n + perBlock - 1) / perBlock
		size += n
	}
	return int64(size) * BlockSize
}

// Superblock says what a tree is about. It is a note for tools: the kernel is told the same things by whoever opens the
// device, who trusts the root hash alone.
type Superblock struct {
	DataBlocks uint64
	Salt       []byte
}

// diskSuperblock is cryptsetup's struct verity_sb.
type diskSuperblock struct {
	Signature  [8]byte
	Version    uint32
	HashType   uint32
	UUID       [16]byte
	Algorithm  [32]byte
	DataBlock  uint32
	HashBlock  uint32
	DataBlocks uint64
	SaltSize   uint16
	_          [6]byte
	Salt       [maxSalt]byte
	_          [168]byte
}

func (s Superblock) put(b []byte) {
	d := diskSuperblock{Version: 1, HashType: 1, DataBlock: BlockSize, HashBlock: BlockSize,
		DataBlocks: s.DataBlocks, SaltSize: uint16(len(s.Salt))}
	copy(d.Signature[:], "verity\x00\x00")
	copy(d.Algorithm[:], "sha256")
	copy(d.Salt[:], s.Salt)
	id := sha256.Sum256(s.Salt) // nobody looks for it: the same for the same salt
	copy(d.UUID[:], id[:])
	d.UUID[6], d.UUID[8] = d.UUID[6]&0x0f|0x80, d.UUID[8]&0x3f|0x80 // RFC 9562 version 8
	_, _ = binary.Encode(b, binary.LittleEndian, d)
}

// ParseSuperblock reads the superblock that Finish wrote.
func ParseSuperblock(b []byte) (Superblock, error) {
	var d diskSuperblock
	if _, err := binary.Decode(b, binary.LittleEndian, &d); err != nil {
		return Superblock{}, fmt.Errorf("%w: %w", ErrSuperblock, err)
	}
	algorithm, _, _ := bytes.Cut(d.Algorithm[:], []byte{0})
	if string(d.Signature[:]) != "verity\x00\x00" || d.Version != 1 || d.HashType != 1 || string(algorithm) != "sha256" ||
		d.DataBlock != BlockSize || d.HashBlock != BlockSize || d.SaltSize > maxSalt ||
		d.DataBlocks == 0 || d.DataBlocks > maxBlocks {
		return Superblock{}, ErrSuperblock
	}
	return Superblock{DataBlocks: d.DataBlocks, Salt: bytes.Clone(d.Salt[:d.SaltSize])}, nil
}

// Params is the line with which device-mapper opens the target "verity" (version 1): the device holds the data, then
// superblock and tree.
func (s Superblock) Params(device string, root Hash) string {
	salt := "-"
	if len(s.Salt) > 0 {
		salt = hex.EncodeToString(s.Salt)
	}
	return fmt.Sprintf("1 %s %s %d %d %d %d sha256 %s %s", device, device, BlockSize, BlockSize, s.DataBlocks,
		s.DataBlocks+1, root, salt)
}
