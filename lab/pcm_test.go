package lab

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestPCMCoder compiles the coder of the lab's kernel module (lab/module/ocellus-h264) as a program, and has ffmpeg
// decode what it makes: with bits enough it is the very same samples, paintZeros that need emulation prevention among them.
func TestPCMCoder(t *testing.T) {
	t.Parallel()
	need(t, "ffmpeg", "gcc")
	dir := t.TempDir()
	coder := filepath.Join(dir, "coder")
	r := tool(t, time.Minute, "gcc", "-O1", "-Wall", "-Werror", "-o", coder, "module/ocellus-h264/host.c")
	if r.code != 0 {
		t.Fatal(r.errs)
	}
	const all = "1000000"
	for _, c := range []struct {
		name          string
		width, height int
		layout        string
		gop, budget   string
		paint         func(picture []byte, n int)
		lossless      bool
	}{
		{"noise", 64, 48, "yu12", "4", all, paintNoise, true},
		{"zeros", 64, 48, "yu12", "3", all, paintZeros, true},
		{"cropped", 50, 34, "yu12", "4", all, paintNoise, true},
		{"interleaved", 34, 50, "nv12", "4", all, paintNoise, true},
		{"still", 64, 48, "yu12", "10", all, func([]byte, int) {}, true},
		{"patches", 320, 180, "yu12", "10", all, paintPatch, true},
		{"every picture an IDR", 64, 48, "yu12", "1", all, paintNoise, true},
		{"long GOP", 32, 32, "yu12", "300", all, paintPatch, true}, // frame_num comes round
		{"few bits", 64, 48, "yu12", "8", "800", paintNoise, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			pictures := 12
			if c.gop == "300" {
				pictures = 290
			}
			var raw bytes.Buffer
			picture := make([]byte, c.width*c.height*3/2)
			for n := range pictures {
				c.paint(picture, n)
				raw.Write(picture)
			}
			got := throughCoder(t, coder, raw.Bytes(), c.width, c.height, c.layout, c.gop, c.budget)
			if len(got) != raw.Len() {
				t.Fatalf("%d bytes of pictures went in, %d came out", raw.Len(), len(got))
			}
			if same := bytes.Equal(got, raw.Bytes()); same != c.lossless {
				t.Errorf("the same samples: %v, want %v", same, c.lossless)
			}
		})
	}
}

// throughCoder codes raw pictures and decodes them again, in the layout in which they came.
func throughCoder(t *testing.T, coder string, raw []byte, width, height int, layout, gop, budget string) []byte {
	t.Helper()
	base := filepath.Join(t.TempDir(), "pictures")
	if err := os.WriteFile(base, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	script := fmt.Sprintf(`"$0" %d %d %s %s %s <"$1" >"$1.h264"`, width, height, layout, gop, budget)
	if r := tool(t, time.Minute, "sh", "-c", script, coder, base); r.code != 0 {
		t.Fatalf("coder: exit code %d: %s", r.code, r.errs)
	}
	format := map[string]string{"yu12": "yuv420p", "nv12": "nv12"}[layout]
	r := tool(t, time.Minute, "ffmpeg", "-v", "error", "-i", base+".h264", "-pix_fmt", format, "-vsync", "passthrough",
		"-f", "rawvideo", "-")
	if r.errs != "" {
		t.Errorf("ffmpeg: %s", r.errs)
	}
	return []byte(r.out)
}

func paintNoise(picture []byte, n int) {
	dice := rand.NewPCG(uint64(n), 1)
	for i := range picture {
		picture[i] = byte(dice.Uint64())
	}
}

// paintZeros has runs of 00 to 03 of all lengths.
func paintZeros(picture []byte, n int) {
	dice := rand.NewPCG(uint64(n), 2)
	for i := range picture {
		picture[i] = byte(dice.Uint64() & dice.Uint64() & 3)
	}
}

// paintPatch changes a little.
func paintPatch(picture []byte, n int) {
	at := n * 331 % (len(picture) - 40)
	for i := range 40 {
		picture[at+i] = byte(n + i)
	}
}
