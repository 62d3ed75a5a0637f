package qrcode

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// measured is what a perfect camera would measure of a code.
func measured(c *Code) []float32 {
	soft := make([]float32, c.size*c.size)
	for i, d := range c.dark {
		soft[i] = -1
		if d {
			soft[i] = 1
		}
	}
	return soft
}

// full returns a text of the alphabet that fills a symbol of this version and level to the last character.
func full(version int, level Level, alphabet string) string {
	m := tightest(alphabet)
	n := 0
	for m.bits(version, n+1) <= 8*dataCodewords(version, level) {
		n++
	}
	return strings.Repeat(alphabet, n/len(alphabet)+1)[:n]
}

func TestEverySymbolReadsBack(t *testing.T) {
	t.Parallel()
	for version := 1; version <= MaxVersion; version++ {
		l := NewLayout(version)
		for level := L; level <= H; level++ {
			if version > 10 && int(level) != version%4 {
				continue
			}
			letters := []string{"0123456789", "OC1:%AZ $*+-./", "größer {als} alles"}[(version+int(level))%3]
			want := full(version, level, letters)
			c, err := Encode(want, level, 0)
			if err != nil || c.Version != version {
				t.Fatalf("%d-%v: got %+v, %v", version, level, c, err)
			}
			got, err := Read(l, measured(c))
			if err != nil || string(got.Text) != want || got.Level != level || got.Mask != c.Mask || got.Mended != 0 {
				t.Errorf("%d-%v: got %d bytes, %v mask %d, mended %d, %v", version, level, len(got.Text), got.Level,
					got.Mask, got.Mended, err)
			}
		}
	}
}

// TestCapacity: ISO/IEC 18004 table 7.
func TestCapacity(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		version                int
		level                  Level
		digits, capitals, byte int
	}{
		{1, L, 41, 25, 17}, {1, H, 17, 10, 7}, {2, M, 63, 38, 26}, {5, L, 255, 154, 106}, {6, L, 322, 195, 134},
		{7, Q, 207, 125, 86}, {10, L, 652, 395, 271}, {27, H, 1501, 910, 625}, {40, L, 7089, 4296, 2953},
		{40, H, 3057, 1852, 1273},
	} {
		got := [3]int{len(full(c.version, c.level, "0123456789")), len(full(c.version, c.level, "ABC")),
			len(full(c.version, c.level, "abc"))}
		if want := [3]int{c.digits, c.capitals, c.byte}; got != want {
			t.Errorf("%d-%v: got %v, want %v", c.version, c.level, got, want)
		}
	}
	if _, err := Encode(strings.Repeat("A", 4297), L, 0); !errors.Is(err, ErrTooLong) {
		t.Errorf("one too many: %v", err)
	}
	if c, err := Encode("A", L, 7); err != nil || c.Version != 7 {
		t.Errorf("least version: %v, %v", c, err)
	}
}

// TestZbar: a reader that we did not write reads what Encode wrote: every version, those up to 10 at every level.
func TestZbar(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("zbarimg"); err != nil {
		t.Skip("no zbarimg here (scripts/setup test)")
	}
	dir := t.TempDir()
	var files, want []string
	for version := 1; version <= MaxVersion; version++ {
		for level := L; level <= H; level++ {
			if version > 10 && int(level) != version%4 {
				continue
			}
			letters := []string{"0123456789", "OCELLUS:", "Wi-Fi "}[(version+int(level))%3]
			text := full(version, level, letters)
			c, err := Encode(text, level, 0)
			if err != nil {
				t.Fatal(err)
			}
			name := filepath.Join(dir, fmt.Sprintf("%02d%v.pgm", version, level))
			if err := os.WriteFile(name, picture(c, 3), 0o600); err != nil {
				t.Fatal(err)
			}
			files, want = append(files, name), append(want, text)
		}
	}
	args := append([]string{"--quiet", "--raw", "-Sdisable", "-Sqrcode.enable"}, files...)
	out, err := exec.CommandContext(t.Context(), "zbarimg", args...).Output()
	if err != nil {
		t.Fatalf("zbarimg: %v", err)
	}
	got := strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")
	for i := range want {
		if i >= len(got) || got[i] != want[i] {
			t.Fatalf("%s: zbar reads something else", filepath.Base(files[i]))
		}
	}
}

// picture is a PGM of the code.
func picture(c *Code, scale int) []byte {
	side := (c.Size() + 2*QuietZone) * scale
	var b bytes.Buffer
	fmt.Fprintf(&b, "P5 %d %d 255\n", side, side)
	for y := range side {
		for x := range side {
			v := byte(255)
			if c.Dark(x/scale-QuietZone, y/scale-QuietZone) {
				v = 0
			}
			b.WriteByte(v)
		}
	}
	return b.Bytes()
}

// TestMends: as many wrong codewords as a level promises, and up to twice as many unsure ones.
func TestMends(t *testing.T) {
	t.Parallel()
	const text = "OC1:THIS IS A TEXT THAT FILLS SOME OF THE CODEWORDS"
	for level := L; level <= H; level++ {
		c, err := Encode(text, level, 0)
		if err != nil {
			t.Fatal(err)
		}
		l := NewLayout(c.Version)
		check, count := blocks(c.Version, level)
		for _, k := range []struct {
			name   string
			damage int
			unsure bool
			ok     bool
		}{
			{"errors", check / 2, false, true},
			{"errors beyond", check/2 + 1, false, false},
			{"erasures", check - 2, true, true},
			{"erasures beyond", check + 2, true, false},
		} {
			soft := measured(c)
			for i := range k.damage * count { // neighbours in the order of codewords belong to different blocks
				for bit := range 8 {
					at := l.data[8*i+bit]
					soft[at] = -soft[at]
					if soft[at] *= 2; k.unsure { // the worst errors are sure
						soft[at] *= 0.05
					}
				}
			}
			got, err := Read(l, soft)
			if ok := err == nil && string(got.Text) == text; ok != k.ok {
				t.Errorf("%v, %s (%d of %d): got %q, %v", level, k.name, k.damage, check, got.Text, err)
			}
			if err != nil && !errors.Is(err, ErrDamaged) {
				t.Errorf("%v, %s: %v", level, k.name, err)
			}
		}
	}
}

// TestNoFalseText: of random symbols none is read.
func TestNoFalseText(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 4))
	for _, version := range []int{1, 2, 3, 5, 6} {
		l := NewLayout(version)
		soft := make([]float32, l.size*l.size)
		wrong := 0
		for range 300 {
			for i := range soft {
				soft[i] = float32(rng.NormFloat64())
			}
			if got, err := Read(l, soft); err == nil && len(got.Text) > 0 {
				wrong++
			}
		}
		if wrong > 0 {
			t.Errorf("version %d: %d of 300 random symbols read", version, wrong)
		}
	}
}

func FuzzRead(f *testing.F) {
	c, err := Encode("WIFI:S:a;;", M, 0)
	if err != nil {
		f.Fatal(err)
	}
	seed := make([]byte, len(c.dark))
	for i, d := range c.dark {
		if seed[i] = 28; d {
			seed[i] = 228
		}
	}
	f.Add(uint8(c.Version), seed)
	f.Fuzz(func(t *testing.T, version uint8, b []byte) {
		l := NewLayout(int(version))
		soft := make([]float32, l.size*l.size)
		for i := range min(len(b), len(soft)) {
			soft[i] = float32(b[i]) - 128
		}
		if s, err := Read(l, soft); err == nil && len(s.Text) > MaxText {
			t.Fatalf("%d bytes of text", len(s.Text))
		}
	})
}
