package squashfs

import (
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// node is an entry in its directory.
type node struct {
	Entry
	name     string
	number   uint32 // of the inode, from 1
	parent   *node
	children []*node // by name

	// where its inode lies in the inode table; known once it was written
	inode int
}

// grow makes the tree of the entries, numbered in the order in which inodes are written: children before their parents.
func grow(entries []Entry) (*node, []*node, error) {
	sorted := slices.Clone(entries)
	slices.SortFunc(sorted, func(a, b Entry) int { return strings.Compare(a.Path, b.Path) })
	nodes := make(map[string]*node, len(sorted))
	for _, e := range sorted {
		if err := checkEntry(e, nodes); err != nil {
			return nil, nil, fmt.Errorf("squashfs: %q: %w", e.Path, err)
		}
		n := &node{Entry: e, name: path.Base(e.Path)}
		if e.Path != "." {
			n.parent = nodes[path.Dir(e.Path)]
			n.parent.children = append(n.parent.children, n)
		}
		nodes[e.Path] = n
	}
	root := nodes["."]
	if root == nil {
		return nil, nil, fmt.Errorf("squashfs: no root: %w", fs.ErrNotExist)
	}
	return root, number(root, nil), nil
}

// number lists a node behind everything below it.
func number(n *node, list []*node) []*node {
	slices.SortFunc(n.children, func(a, b *node) int { return strings.Compare(a.name, b.name) })
	for _, child := range n.children {
		list = number(child, list)
	}
	list = append(list, n)
	n.number = uint32(len(list))
	return list
}

// checkEntry needs the entries before it: a directory sorts before what is in it.
func checkEntry(e Entry, before map[string]*node) error {
	if !fs.ValidPath(e.Path) || len(path.Base(e.Path)) > maxName {
		return fs.ErrInvalid
	}
	if before[e.Path] != nil {
		return fs.ErrExist
	}
	if parent := before[path.Dir(e.Path)]; e.Path != "." && (parent == nil || !parent.Mode.IsDir()) {
		return fmt.Errorf("its directory: %w", fs.ErrNotExist)
	}
	switch e.Mode.Type() {
	case fs.ModeDir:
		return nil
	case 0:
		if e.Path == "." || int64(len(e.Data)) >= 1<<31 {
			return fs.ErrInvalid
		}
		return nil
	case fs.ModeSymlink:
		if e.Path == "." || e.Target == "" || len(e.Target) > maxTarget {
			return fs.ErrInvalid
		}
		return nil
	}
	return fmt.Errorf("type %v: %w", e.Mode.Type(), fs.ErrInvalid)
}

// unixMode is the permission bits as the kernel has them.
func unixMode(m fs.FileMode) uint16 {
	bits := uint16(m.Perm())
	for _, b := range []struct {
		mode fs.FileMode
		bit  uint16
	}{{fs.ModeSetuid, 0o4000}, {fs.ModeSetgid, 0o2000}, {fs.ModeSticky, 0o1000}} {
		if m&b.mode != 0 {
			bits |= b.bit
		}
	}
	return bits
}
