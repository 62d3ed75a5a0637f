package lab

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/ocellus/ocellus/lab/virt"
)

// TestImageIsReproducible builds a disk image twice, in folders of other names, for users of other habits, and wants
// the same bytes. A third build brings an update root key.
func TestImageIsReproducible(t *testing.T) {
	need(t, "unsquashfs")
	const limit = 5 * time.Minute
	board := "qemu-virt-" + virt.Arches(t)[0]
	dist, script := "dist/"+board+"/", "scripts/image "+board
	one, other := copyTree(t, t.TempDir()+"/a"), copyTree(t, t.TempDir()+"/another place, with a longer name")
	one.shareCache(t)
	other.shareCache(t)
	build := func(c tree, line string, env ...string) {
		t.Helper()
		if r := c.run(t, limit, line, env...); r.code != 0 {
			t.Fatalf("%s: code %d\n%s%s", line, r.code, tail(r.out, 2000), tail(r.errs, 2000))
		}
	}
	build(one, "umask 022; "+script, "TZ=UTC", "LC_ALL=C", "ROOT=")
	build(other, "umask 077; "+script, "TZ=Asia/Kathmandu", "LC_ALL=tr_TR.UTF-8", "LANG=tr_TR.UTF-8",
		"ROOT=", "TMPDIR="+t.TempDir())
	for _, name := range []string{"slot.img", "flash.img", "u-boot.bin", "emulator", "image.txt", "disk.img"} {
		a, b := readFile(t, one.path(dist+name)), readFile(t, other.path(dist+name))
		if !bytes.Equal(a, b) {
			t.Errorf("%s differs from build to build: %d and %d bytes", name, len(a), len(b))
		}
	}
	text := string(readFile(t, one.path(dist+"image.txt")))
	t.Logf("twice the same:\n%s", text)
	if !strings.Contains(text, "update root key: none") {
		t.Error("the report does not say that the image refuses updates")
	}

	const key = `{"a key": "of a test"}`
	if err := os.WriteFile(one.path("root.json"), []byte(key), 0o600); err != nil {
		t.Fatal(err)
	}
	build(one, script, "ROOT=root.json")
	if text := string(readFile(t, one.path(dist+"image.txt"))); !strings.Contains(text, "update root key: root.json") {
		t.Errorf("the report does not name the update root key:\n%s", text)
	}
	if got := fromSlot(t, one.path(dist+"slot.img"), "etc/ocellus/update-root.json"); got != key {
		t.Errorf("update root key in the slot: %q, want %q", got, key)
	}
}

func readFile(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// fromSlot takes a file out of a slot's file system, whose superblock begins with "hsqs" at a block of its own.
func fromSlot(t *testing.T, slot, name string) string {
	t.Helper()
	b := readFile(t, slot)
	for at := 0; at < len(b); at += 4096 {
		if !bytes.HasPrefix(b[at:], []byte("hsqs")) {
			continue
		}
		filesystem := t.TempDir() + "/filesystem"
		if err := os.WriteFile(filesystem, b[at:], 0o600); err != nil {
			t.Fatal(err)
		}
		r := tool(t, time.Minute, "unsquashfs", "-cat", filesystem, name)
		if r.code != 0 {
			t.Fatalf("unsquashfs: %s", r.errs)
		}
		return r.out
	}
	t.Fatalf("%s has no file system", slot)
	return ""
}
