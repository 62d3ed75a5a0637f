// Package squashfs writes the root file system of a slot, and finds the compressed blocks of one again: squashfs 4.0
// with zstd, as the kernel's Documentation/filesystems/squashfs.rst and fs/squashfs/squashfs_fs.h have it.
//
// Its law: the same entries give the same image, bit for bit, on any machine, and every block that a reader expands and
// compresses again with the same Codec gives the stored bytes. A delta update on the device leans on it: it patches
// expanded blocks and recompresses them. Prove checks the law for an image, Blocks walks it in memory that does not
// grow with the image's size but with its number of blocks (24 bytes each).
//
// What is written is the smallest form that the kernel mounts:
//
//	superblock | data blocks | fragment blocks | inodes | directories | fragment table | ids | padding to 4 KiB
//	96 bytes     zstd          zstd              not compressed, in metadata blocks of 8 KiB
//
// Files, directories and symbolic links; no device nodes (the kernel's devtmpfs has them), no extended attributes, no
// hard links, no holes, no export table, one time for all. Files come in the order of their paths, so that a small
// change stays a small change.
package squashfs

import "io/fs"

// BlockSize is the block size of images unless Options say otherwise: the kernel's and mksquashfs's default.
const BlockSize = 128 << 10

const (
	magic          = 0x73717368
	superblockSize = 96
	metadataSize   = 8192
	metadataRaw    = 1 << 15 // in a metadata block's header: not compressed
	blockRaw       = 1 << 24 // in a data block's size: not compressed
	noFragment     = 0xffffffff
	noTable        = 0xffffffffffffffff
	compressorZstd = 6
	padding        = 4096

	flagRawInodes = 1 << 0
	flagRawIDs    = 1 << 11
	flagNoXattrs  = 1 << 9

	maxName    = 256
	maxListing = 0xffff - 3 // of a basic directory inode
	maxTarget  = 4096
)

// Inode types.
const (
	typeDirectory = 1
	typeFile      = 2
	typeSymlink   = 3
	typeExtended  = 8 // a directory with a long listing
)

// Entry is one file, directory or symbolic link.
type Entry struct {
	Path     string      // relative, by slashes, clean; "." is the root
	Mode     fs.FileMode // type, permissions, setuid, setgid and sticky
	UID, GID uint32
	Data     []byte // of a file
	Target   string // of a symbolic link
}

// Options of an image.
type Options struct {
	BlockSize int    // 0 means BlockSize
	Time      uint32 // of every inode and of the image, in Unix seconds
}
