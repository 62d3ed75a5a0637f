package lab

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ocellus/ocellus/lab/virt"
)

// packed is a release of a board, packed by the image builder out of the parts of the image that make image made.
type packed struct{ disk, slot string }

// pack packs a release whose system trusts a publisher's root. more are flags of mkimage disk, the last one of a name
// counts: another agent, another kernel.
func (p *publisher) pack(arch, version string, more ...string) packed {
	p.t.Helper()
	raw, err := os.ReadFile(virt.Image(p.t, arch, "parts"))
	if err != nil {
		p.t.Fatal(err)
	}
	out := p.path("packed-" + version)
	args := slices.Concat([]string{"disk"}, strings.Split(strings.TrimSuffix(string(raw), "\n"), "\n"),
		[]string{"-console", "-root", p.root(), "-version", version, "-time", "1700000000", "-out", out}, more)
	if r := tool(p.t, 2*time.Minute, program("mkimage"), args...); r.code != 0 {
		p.t.Fatalf("mkimage: %s", r.errs)
	}
	return packed{filepath.Join(out, "disk.img"), filepath.Join(out, "slot.img")}
}

// haltingKernel is a folder like the kernel's of a board, with a kernel that U-Boot starts and that does nothing ever.
func haltingKernel(t *testing.T, arch string) string {
	t.Helper()
	raw, err := os.ReadFile(virt.Image(t, arch, "parts"))
	if err != nil {
		t.Fatal(err)
	}
	args := strings.Split(string(raw), "\n")
	kernel := args[slices.Index(args, "-kernel")+1]
	dir := t.TempDir()
	if err := os.Symlink(filepath.Join(kernel, "lib"), filepath.Join(dir, "lib")); err != nil {
		t.Fatal(err)
	}
	image := make([]byte, 8192)
	branch := map[string]uint32{"arm64": 0x14000000, "armv7": 0xeafffffe}[arch] // to itself
	for at := 0; at < len(image); at += 4 {
		binary.LittleEndian.PutUint32(image[at:], branch)
	}
	if arch == "arm64" { // Documentation/arm64/booting.rst
		clear(image[8:64])
		binary.LittleEndian.PutUint64(image[16:], uint64(len(image)))
		copy(image[56:], "ARM\x64")
	}
	if err := os.WriteFile(filepath.Join(dir, "Image"), image, 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}
