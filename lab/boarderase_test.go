package lab

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/ocellus/ocellus/lab/carve"
	"github.com/ocellus/ocellus/lab/virt"
)

// TestBoardErase carves the whole disk of a board, every partition and what lies between them, while it has an owner and
// after he has unbound it: deleted files, old copies of files, the file system's journal, the areas.
func TestBoardErase(t *testing.T) {
	eachArch(t, func(t *testing.T, arch string) {
		b := virt.Boot(t, virt.Options{Arch: arch})
		answers(t, b)
		label := b.Label()
		o := settleIn(t, b)
		o.found(t, wholeDisk(t, b))
		if out := b.Camctl("unbind", "board", "--yes"); !strings.Contains(out, "destroyed the keys") {
			t.Errorf("camctl unbind: %s", out)
		}
		b.Expect(`reset: the camera is as it came from its box`, playLimit)
		b.Expect(unclaimed, playLimit)
		b.Sh("sync")
		o.gone(t, wholeDisk(t, b))
		if out := b.Camctl("erased"); !strings.Contains(out, "board (QEMU-VIRT, fingerprint ") {
			t.Errorf("camctl erased: %s", out)
		}
		if again := b.Label(); again != label {
			t.Error("the label changed")
		}
		plays(t, b) // to who becomes the owner by the same label
	})
}

// settleIn makes the camera an owner's, with all that he may have on it: rewritten, deleted and open files, too.
func settleIn(t *testing.T, b *virt.Board) belongings {
	t.Helper()
	b.URL("main")
	b.Camctl("grant", "board", strings.Repeat("07", 32), "--to", grantName, "--viewer", viewerName)
	encryptedDoor(t, b)
	b.Sh("sync")
	disk := wholeDisk(t, b)
	const folder = "/data/agent/"
	for i := range 3 { // old blocks of it stay behind
		sealed, err := carve.Seal(bytes.NewReader(disk), int64(len(disk)), "lab", homeNetwork(t))
		if err != nil {
			t.Fatal(err)
		}
		b.Put(fmt.Sprintf("%s.%d", folder, i), sealed, 0o600)
		b.Sh(fmt.Sprintf("sync; mv %s.%d %slab.sealed; sync", folder, i, folder))
	}
	b.Put(folder+"config.yaml", []byte(homeConfig), 0o644)
	b.Sh("chown 1000:1000 " + folder + "lab.sealed " + folder + "config.yaml; sync")
	return belongingsOf(t, b.Home(), "board")
}

// encryptedDoor has the certificate of RTSPS made.
func encryptedDoor(t *testing.T, b *virt.Board) {
	t.Helper()
	const rtsps = 8322
	anybody := &tls.Config{InsecureSkipVerify: true} //nolint:gosec // that it is made is all that is wanted
	until(t, 20*time.Second, "RTSPS answers", func() bool {
		c, err := tls.Dial("tcp", b.Addr(rtsps), anybody)
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	})
}

// wholeDisk is the disk as it is now, as somebody would read it who has pulled the plug.
func wholeDisk(t *testing.T, b *virt.Board) []byte {
	t.Helper()
	disk, err := os.ReadFile(b.Disk())
	if err != nil {
		t.Fatal(err)
	}
	return disk
}
