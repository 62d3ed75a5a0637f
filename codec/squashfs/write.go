package squashfs

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"math/bits"
)

// writer holds an image while it grows.
type writer struct {
	options Options
	codec   *Codec
	image   []byte // superblock, data, fragments
	inodes  []byte // without the headers of their metadata blocks, as the tables below
	listing []byte
	ids     []uint32

	fragment  []byte         // tail ends that wait for their block
	fragments []fragmentItem // the blocks that were written
}

type fragmentItem struct {
	start uint64
	size  uint32
}

// Build makes the image of the entries.
func Build(entries []Entry, o Options) ([]byte, error) {
	if o.BlockSize == 0 {
		o.BlockSize = BlockSize
	}
	codec, err := NewCodec(o.BlockSize)
	if err != nil {
		return nil, err
	}
	defer codec.Close()
	root, nodes, err := grow(entries)
	if err != nil {
		return nil, err
	}
	w := &writer{options: o, codec: codec, image: make([]byte, superblockSize)}
	for _, n := range nodes {
		if err := w.node(n); err != nil {
			return nil, fmt.Errorf("squashfs: %q: %w", n.Path, err)
		}
	}
	w.flushFragment()
	if uint64(len(w.image)) >= 1<<32 {
		return nil, errors.New("squashfs: more than 4 GiB of data")
	}
	w.finish(root, len(nodes))
	return w.image, nil
}

// node writes the data of a node and its inode.
func (w *writer) node(n *node) error {
	var write func(*node) error
	kind := uint16(typeDirectory)
	switch n.Mode.Type() {
	case fs.ModeDir:
		write = w.directory
	case fs.ModeSymlink:
		kind, write = typeSymlink, w.symlink
	default:
		kind, write = typeFile, w.file
	}
	n.inode = len(w.inodes)
	b := binary.LittleEndian.AppendUint16(nil, kind)
	b = binary.LittleEndian.AppendUint16(b, unixMode(n.Mode))
	b = binary.LittleEndian.AppendUint16(b, w.id(n.UID))
	b = binary.LittleEndian.AppendUint16(b, w.id(n.GID))
	b = binary.LittleEndian.AppendUint32(b, w.options.Time)
	b = binary.LittleEndian.AppendUint32(b, n.number)
	w.inodes = append(w.inodes, b...)
	return write(n)
}

// id returns the index of a user's or group's number.
func (w *writer) id(id uint32) uint16 {
	for i, have := range w.ids {
		if have == id {
			return uint16(i)
		}
	}
	w.ids = append(w.ids, id)
	return uint16(len(w.ids) - 1)
}

func (w *writer) put(fields ...uint32) {
	for _, f := range fields {
		w.inodes = binary.LittleEndian.AppendUint32(w.inodes, f)
	}
}

// file writes whole blocks as data and the rest as a part of a fragment block (squashfs_reg_inode).
func (w *writer) file(n *node) error {
	start, whole := len(w.image), len(n.Data)/w.options.BlockSize*w.options.BlockSize
	var sizes []uint32
	for at := 0; at < whole; at += w.options.BlockSize {
		sizes = append(sizes, w.block(n.Data[at:at+w.options.BlockSize]))
	}
	if len(sizes) == 0 {
		start = 0
	}
	fragment, offset := uint32(noFragment), 0
	if tail := n.Data[whole:]; len(tail) > 0 {
		if len(w.fragment)+len(tail) > w.options.BlockSize {
			w.flushFragment()
		}
		fragment, offset = uint32(len(w.fragments)), len(w.fragment)
		w.fragment = append(w.fragment, tail...)
	}
	w.put(uint32(start), fragment, uint32(offset), uint32(len(n.Data)))
	w.put(sizes...)
	return nil
}

// block stores a block and returns its size as a block list has it.
func (w *writer) block(data []byte) uint32 {
	before := len(w.image)
	var compressed bool
	w.image, compressed = w.codec.Compress(w.image, data)
	size := uint32(len(w.image) - before)
	if !compressed {
		size |= blockRaw
	}
	return size
}

func (w *writer) flushFragment() {
	if len(w.fragment) == 0 {
		return
	}
	start := uint64(len(w.image))
	w.fragments = append(w.fragments, fragmentItem{start, w.block(w.fragment)})
	w.fragment = w.fragment[:0]
}

func (w *writer) symlink(n *node) error {
	w.put(1, uint32(len(n.Target)))
	w.inodes = append(w.inodes, n.Target...)
	return nil
}

// directory writes the listing and turns the inode into an extended one if the listing is long (squashfs_ldir_inode).
func (w *writer) directory(n *node) error {
	start := len(w.listing)
	links, parent := uint32(2), n.number+1 // the root's parent is a number that no inode has
	for _, c := range n.children {
		if c.Mode.IsDir() {
			links++
		}
	}
	if n.parent != nil {
		parent = n.parent.number
	}
	w.list(n.children)
	size := len(w.listing) - start + 3 // "." and ".." count for three bytes
	block, offset := metadataAddress(start)
	if size-3 <= maxListing {
		w.put(block, links, uint32(size)|uint32(offset)<<16, parent)
		return nil
	}
	binary.LittleEndian.PutUint16(w.inodes[n.inode:], typeExtended)
	w.put(links, uint32(size), block, parent, uint32(offset)<<16, noFragment)
	return nil
}

// list writes the runs of a listing: at most 256 entries whose inodes lie in one metadata block and have near numbers.
func (w *writer) list(children []*node) {
	for len(children) > 0 {
		first := children[0]
		block, _ := metadataAddress(first.inode)
		run := 1
		for ; run < len(children) && run < 256; run++ {
			c := children[run]
			distance := int64(c.number) - int64(first.number)
			if b, _ := metadataAddress(c.inode); b != block || distance != int64(int16(distance)) {
				break
			}
		}
		for _, f := range []uint32{uint32(run - 1), block, first.number} {
			w.listing = binary.LittleEndian.AppendUint32(w.listing, f)
		}
		for _, c := range children[:run] {
			w.name(c, first.number)
		}
		children = children[run:]
	}
}

func (w *writer) name(n *node, base uint32) {
	_, offset := metadataAddress(n.inode)
	kind := uint16(typeFile)
	switch n.Mode.Type() {
	case fs.ModeDir:
		kind = typeDirectory
	case fs.ModeSymlink:
		kind = typeSymlink
	}
	for _, f := range []uint16{offset, uint16(n.number - base), kind, uint16(len(n.name) - 1)} {
		w.listing = binary.LittleEndian.AppendUint16(w.listing, f)
	}
	w.listing = append(w.listing, n.name...)
}

// metadataAddress turns a position in a table into the place of its metadata block, counted from the table's start, and
// the position in that block. That is so simple because metadata blocks are not compressed.
func metadataAddress(at int) (block uint32, offset uint16) {
	return uint32(at / metadataSize * (metadataSize + 2)), uint16(at % metadataSize)
}

// metadata appends a table and returns where its metadata blocks lie.
func (w *writer) metadata(table []byte) []uint64 {
	var places []uint64
	for len(table) > 0 {
		n := min(len(table), metadataSize)
		places = append(places, uint64(len(w.image)))
		w.image = binary.LittleEndian.AppendUint16(w.image, uint16(n)|metadataRaw)
		w.image = append(w.image, table[:n]...)
		table = table[n:]
	}
	return places
}

// indexed appends a table and the index of its metadata blocks, and returns where the index lies.
func (w *writer) indexed(table []byte) uint64 {
	places := w.metadata(table)
	at := uint64(len(w.image))
	for _, p := range places {
		w.image = binary.LittleEndian.AppendUint64(w.image, p)
	}
	return at
}

// finish writes the tables, the superblock and the padding.
func (w *writer) finish(root *node, inodes int) {
	inodeTable := uint64(len(w.image))
	w.metadata(w.inodes)
	directoryTable := uint64(len(w.image))
	w.metadata(w.listing)
	fragmentTable := uint64(noTable)
	if len(w.fragments) > 0 {
		var table []byte
		for _, f := range w.fragments {
			table = binary.LittleEndian.AppendUint64(table, f.start)
			table = binary.LittleEndian.AppendUint64(table, uint64(f.size))
		}
		fragmentTable = w.indexed(table)
	}
	var ids []byte
	for _, id := range w.ids {
		ids = binary.LittleEndian.AppendUint32(ids, id)
	}
	idTable := w.indexed(ids)
	block, offset := metadataAddress(root.inode)
	s := superblock{
		Magic: magic, Inodes: uint32(inodes), Time: w.options.Time, BlockSize: uint32(w.options.BlockSize),
		Fragments: uint32(len(w.fragments)), Compressor: compressorZstd,
		BlockLog: uint16(bits.TrailingZeros(uint(w.options.BlockSize))), Flags: flagRawInodes | flagRawIDs | flagNoXattrs,
		IDs: uint16(len(w.ids)), Major: 4, Root: uint64(block)<<16 | uint64(offset), Used: uint64(len(w.image)),
		IDTable: idTable, XattrTable: noTable, InodeTable: inodeTable, DirectoryTable: directoryTable,
		FragmentTable: fragmentTable, ExportTable: noTable,
	}
	_, _ = binary.Encode(w.image, binary.LittleEndian, s) // the image has room for it since it was made
	if rest := len(w.image) % padding; rest > 0 {
		w.image = append(w.image, make([]byte, padding-rest)...)
	}
}

// superblock as it lies at the start of an image (squashfs_super_block).
type superblock struct {
	Magic, Inodes, Time, BlockSize, Fragments      uint32
	Compressor, BlockLog, Flags, IDs, Major, Minor uint16
	Root, Used, IDTable, XattrTable, InodeTable    uint64
	DirectoryTable, FragmentTable, ExportTable     uint64
}
