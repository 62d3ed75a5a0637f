package main

import (
	"bytes"
	"fmt"
	"os"
	"path"
)

// buildInitrd packs cmd/init, the modules that reach the slot, and the seal of the file system behind the FIT.
func buildInitrd(b board, s source, k *kernelTree, seal string) ([]byte, error) {
	modules, err := k.resolve(b.early)
	if err != nil {
		return nil, err
	}
	program, err := os.ReadFile(s.init)
	if err != nil {
		return nil, err
	}
	a := archive{time: uint32(s.time)}
	for _, dir := range []string{"dev", "lib", "lib/modules", "proc", "root", "sys"} {
		a.add(dir, 0o040755, nil)
	}
	var list bytes.Buffer
	for _, m := range modules {
		file := "lib/modules/" + path.Base(m.file)
		a.add(file, 0o100644, m.data)
		fmt.Fprintf(&list, "/%s %s\n", file, m.params)
	}
	a.add("init", 0o100755, program)
	a.add("modules", 0o100644, list.Bytes())
	a.add("slot", 0o100644, []byte(seal))
	return compress(a.finish())
}

// archive is a cpio archive of the form "newc" (Documentation/driver-api/early-userspace/buffer-format.rst).
type archive struct {
	b     bytes.Buffer
	time  uint32
	inode int
}

func (a *archive) add(name string, mode int, data []byte) {
	a.inode++
	links := 1
	if mode&0o040000 != 0 {
		links = 2
	}
	fmt.Fprintf(&a.b, "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x", a.inode, mode, 0, 0, links, a.time,
		len(data), 0, 0, 0, 0, len(name)+1, 0)
	a.b.WriteString(name + "\x00")
	a.pad()
	a.b.Write(data)
	a.pad()
}

func (a *archive) pad() {
	for a.b.Len()%4 > 0 {
		a.b.WriteByte(0)
	}
}

func (a *archive) finish() []byte {
	a.add("TRAILER!!!", 0, nil)
	return a.b.Bytes()
}
