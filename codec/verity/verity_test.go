package verity

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// data is n blocks of noise, the same on every machine.
func data(n int) []byte {
	r, b := rand.New(rand.NewPCG(1, uint64(n))), make([]byte, n*BlockSize)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

// seal returns data with superblock and tree behind it. It writes in odd pieces.
func seal(t *testing.T, b, salt []byte) ([]byte, Hash) {
	t.Helper()
	tree, err := New(salt)
	if err != nil {
		t.Fatal(err)
	}
	for rest := b; len(rest) > 0; {
		n := min(len(rest), 70001)
		if _, err := tree.Write(rest[:n]); err != nil {
			t.Fatal(err)
		}
		rest = rest[n:]
	}
	behind, root, err := tree.Finish()
	if err != nil {
		t.Fatal(err)
	}
	if got, want := int64(len(behind)), BlockSize+TreeSize(uint64(len(b)/BlockSize)); got != want {
		t.Errorf("%d bytes behind the data, want %d", got, want)
	}
	return append(b, behind...), root
}

func TestVeritysetupAcceptsTheTree(t *testing.T) {
	t.Parallel()
	tool, err := exec.LookPath("veritysetup")
	if err != nil {
		if tool, err = exec.LookPath("/usr/sbin/veritysetup"); err != nil {
			t.Skip("veritysetup is not here (package cryptsetup-bin)")
		}
	}
	salt := sha256.Sum256([]byte("salt"))
	for _, c := range []struct {
		blocks int
		salt   []byte
	}{{2, nil}, {127, salt[:]}, {128, nil}, {129, salt[:]}, {1000, salt[:]}, {128*128 + 1, salt[:]}} {
		t.Run(fmt.Sprint(c.blocks), func(t *testing.T) {
			t.Parallel()
			b, root := seal(t, data(c.blocks), c.salt)
			verify := func() error {
				name := filepath.Join(t.TempDir(), "image")
				if err := os.WriteFile(name, b, 0o600); err != nil {
					t.Fatal(err)
				}
				said, err := exec.CommandContext(t.Context(), tool, "verify", name, name, root.String(),
					fmt.Sprintf("--hash-offset=%d", c.blocks*BlockSize)).CombinedOutput()
				if err != nil {
					err = fmt.Errorf("%w: %s", err, said)
				}
				return err
			}
			if err := verify(); err != nil {
				t.Error(err)
			}
			b[len(b)/3] ^= 1
			if verify() == nil {
				t.Error("veritysetup finds nothing wrong with a flipped bit")
			}
		})
	}
}

func TestSuperblock(t *testing.T) {
	t.Parallel()
	b, root := seal(t, data(3), []byte{0xab, 0xcd})
	s, err := ParseSuperblock(b[3*BlockSize:])
	if err != nil || s.DataBlocks != 3 {
		t.Fatalf("got %+v, %v", s, err)
	}
	if got, want := s.Params("254:0", root), "1 254:0 254:0 4096 4096 3 4 sha256 "+root.String()+" abcd"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if _, err := ParseSuperblock(b[:BlockSize]); !errors.Is(err, ErrSuperblock) {
		t.Errorf("data: %v", err)
	}
	if again, err := ParseHash(root.String()); again != root || err != nil {
		t.Errorf("%v, %v", again, err)
	}
	if _, err := ParseHash(strings.Repeat("0", 63)); err == nil {
		t.Error("a short hash is taken")
	}
}

func TestRefuses(t *testing.T) {
	t.Parallel()
	if _, err := New(make([]byte, 257)); err == nil {
		t.Error("a salt of 257 bytes is taken")
	}
	tree, err := New(nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := tree.Finish(); err == nil {
		t.Error("no data is taken")
	}
	_, _ = tree.Write(make([]byte, 100))
	if _, _, err := tree.Finish(); err == nil {
		t.Error("a part of a block is taken")
	}
}
