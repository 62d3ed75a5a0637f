package fit

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// prose is n bytes that compress somewhat, the same on every machine.
func prose(n int) []byte {
	r, b := rand.New(rand.NewPCG(7, uint64(n))), make([]byte, n)
	for i := range b {
		b[i] = byte(r.ExpFloat64() * 8)
		if i > 5000 && i%300 < 200 {
			b[i] = b[i-i%300-r.IntN(3)*300]
		}
	}
	return b
}

func sample() Image {
	return Image{
		Arch: "arm64", Time: 1700000000,
		Kernel: Part{Data: prose(100_001), Compression: "gzip", Load: 0x40400000, Entry: 0x40400000},
		Initrd: Part{Data: prose(5003)},
		Slot:   Slot{"qemu-virt-arm64", "v1.2.3", Settings, "squashfs settings", ""},
	}
}

func build(t testing.TB, i Image) []byte {
	t.Helper()
	b, err := Build(i)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestParseReadsWhatBuildWrote(t *testing.T) {
	t.Parallel()
	want := sample()
	want.CRC32 = true
	b := build(t, want)
	if !bytes.Equal(b, build(t, want)) {
		t.Error("two builds differ")
	}
	size, padded, err := Size(b[:8])
	if err != nil || size != int64(len(b)) || padded%Align != 0 || padded < size {
		t.Errorf("size %d padded to %d, %v, want %d", size, padded, err, len(b))
	}
	got, err := Parse(append(b, make([]byte, 100)...))
	if err != nil {
		t.Fatal(err)
	}
	want.Initrd.Compression = "none"
	if got.Arch != want.Arch || got.Time != want.Time || got.Slot != want.Slot || !got.CRC32 || len(got.DeviceTree.Data) > 0 {
		t.Errorf("got %+v", got.Slot)
	}
	for _, p := range []struct{ got, want Part }{{got.Kernel, want.Kernel}, {got.Initrd, want.Initrd}} {
		if !bytes.Equal(p.got.Data, p.want.Data) || p.got.Compression != p.want.Compression ||
			p.got.Load != p.want.Load || p.got.Entry != p.want.Entry {
			t.Errorf("part of %d bytes, %s at %x, want %d, %s, %x", len(p.got.Data), p.got.Compression, p.got.Load,
				len(p.want.Data), p.want.Compression, p.want.Load)
		}
	}
	b[len(b)/2] ^= 1
	if _, err := Parse(b); !errors.Is(err, ErrFIT) {
		t.Errorf("a flipped bit: %v", err)
	}
}

func TestBuildRefuses(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*Image){
		"no kernel": func(i *Image) { i.Kernel.Data = nil },
		"no board":  func(i *Image) { i.Slot.Compatible = "" },
		"too large": func(i *Image) { i.Initrd.Data = make([]byte, MaxSize) },
	} {
		i := sample()
		change(&i)
		if _, err := Build(i); !errors.Is(err, ErrFIT) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestDumpimage lets U-Boot's own tool read a FIT and take its parts out.
func TestDumpimage(t *testing.T) {
	t.Parallel()
	tool, err := exec.LookPath("dumpimage")
	if err != nil {
		t.Skip("dumpimage is not here (package u-boot-tools)")
	}
	dir := t.TempDir()
	name, want := filepath.Join(dir, "fit"), sample()
	want.CRC32 = true
	if err := os.WriteFile(name, build(t, want), 0o600); err != nil {
		t.Fatal(err)
	}
	said, err := exec.CommandContext(t.Context(), tool, "-l", name).CombinedOutput()
	sum := sha256.Sum256(want.Kernel.Data)
	if err != nil || !strings.Contains(string(said), "Default Configuration: 'slot'") ||
		!strings.Contains(string(said), hex.EncodeToString(sum[:])) ||
		!strings.Contains(string(said), fmt.Sprintf("%08x", crc32.ChecksumIEEE(want.Kernel.Data))) ||
		!strings.Contains(string(said), "gzip compressed") || !strings.Contains(string(said), "AArch64") {
		t.Errorf("dumpimage -l: %v\n%s", err, said)
	}
	for position, data := range map[string][]byte{"0": want.Kernel.Data, "1": want.Initrd.Data} {
		out := filepath.Join(dir, position)
		extract := exec.CommandContext(t.Context(), tool, "-T", "flat_dt", "-p", position, "-o", out, name)
		if said, err := extract.CombinedOutput(); err != nil {
			t.Fatalf("dumpimage: %v\n%s", err, said)
		}
		if got, err := os.ReadFile(out); err != nil || !bytes.Equal(got, data) {
			t.Errorf("part %s: %d bytes, %v, want %d", position, len(got), err, len(data))
		}
	}
}

func TestCompressorIsTheSameEverywhere(t *testing.T) {
	t.Parallel()
	data := prose(400_005)
	compress := func(piece int) []byte {
		var out bytes.Buffer
		w, err := NewCompressor(&out)
		if err != nil {
			t.Fatal(err)
		}
		for rest := data; len(rest) > 0; rest = rest[min(piece, len(rest)):] {
			if _, err := w.Write(rest[:min(piece, len(rest))]); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		return out.Bytes()
	}
	whole := compress(len(data))
	for _, piece := range []int{1001, 128 << 10} {
		if !bytes.Equal(compress(piece), whole) {
			t.Errorf("pieces of %d give other bytes", piece)
		}
	}
	sum := sha256.Sum256(whole)
	// A new sum here means that no delta update from an older release applies: ADR 0007.
	if got, want := hex.EncodeToString(sum[:]), golden; got != want {
		t.Errorf("payload %s, want %s", got, want)
	}
	r, err := NewExpander(bytes.NewReader(whole))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, data) {
		t.Errorf("expanded to %d bytes, %v", len(got), err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
}

const golden = "c4cb02fa4d6a8a567d6e402bc632814bc24b0de025453025521af7844929e7b4"

func FuzzParse(f *testing.F) {
	i := sample()
	i.Kernel.Data, i.Initrd.Data = i.Kernel.Data[:100], i.Initrd.Data[:50]
	b := build(f, i)
	f.Add(b)
	f.Add(b[:60])
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, err := Parse(b); err != nil && !errors.Is(err, ErrFIT) {
			t.Errorf("untyped: %v", err)
		}
	})
}
