package sim

import (
	"image"
	"image/color"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ocellus/ocellus/codec/testcard"
	"github.com/ocellus/ocellus/hal"
)

// writeImage writes a PNG whose left half is black, in one step.
func writeImage(t *testing.T, path string, w, h int) {
	t.Helper()
	m := image.NewNRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			shade := byte(255)
			if x < w/2 {
				shade = 0
			}
			m.Set(x, y, color.NRGBA{shade, shade, shade, 255})
		}
	}
	f, err := os.Create(path + ".new")
	if err != nil {
		t.Fatal(err)
	}
	if err := png.Encode(f, m); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// TestHold: an image comes before the lens and goes again, and the card's barcode stays in view.
func TestHold(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "held.png")
	cam, err := NewCamera(Options{Hold: path})
	if err != nil {
		t.Fatal(err)
	}
	const w, h = 640, 480
	capture, err := cam.Start(t.Context(), hal.Mode{Format: hal.YU12, Width: w, Height: h, Rate: hal.FPS(30)})
	if err != nil {
		t.Fatal(err)
	}
	defer capture.Close()
	halves := func() (left, right byte) {
		f, err := capture.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := testcard.Read(f.Data[:w*h], w, h, w); err != nil {
			t.Errorf("barcode: %v", err)
		}
		row := f.Data[h/3*w:]
		return row[w/2-30], row[w/2+30]
	}
	nothing, _ := halves()
	for _, size := range [][2]int{{300, 300}, {40, 30}, {500, 100}} {
		writeImage(t, path, size[0], size[1])
		if left, right := halves(); left != 16 || right != 235 {
			t.Errorf("%v: got %d and %d, want 16 and 235", size, left, right)
		}
	}
	if err := os.WriteFile(path, []byte("no image at all"), 0o600); err != nil {
		t.Fatal(err)
	}
	if left, _ := halves(); left == 16 {
		t.Error("what is no image is shown")
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if left, right := halves(); left != nothing || right == 235 {
		t.Errorf("taken away: got %d and %d", left, right)
	}
}

// TestGlare: a screen that glares is one white spot, until the exposure is dark enough; Close gives the choice back.
func TestGlare(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "held.png")
	writeImage(t, path, 300, 300)
	cam, err := NewCamera(Options{Hold: path})
	if err != nil {
		t.Fatal(err)
	}
	cam.Faults().Glare(7000)
	const w, h = 640, 480
	mode := hal.Mode{Format: hal.YU12, Width: w, Height: h, Rate: hal.FPS(30)}
	for round := range 2 {
		capture, err := cam.Start(t.Context(), mode)
		if err != nil {
			t.Fatal(err)
		}
		last := 256
		for _, ev := range []int{0, -2000, -4000} {
			if ev != 0 {
				if err := capture.Control(hal.Exposure, ev); err != nil {
					t.Fatal(err)
				}
			}
			f, err := capture.Next(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			row := f.Data[h/3*w:]
			black, white := int(row[w/2-30]), int(row[w/2+30])
			if white != 235 || black >= last || (ev == 0) != (black == white) {
				t.Errorf("round %d, exposure %d: got %d and %d, last black %d", round, ev, black, white, last)
			}
			last = black
		}
		if err := capture.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestHoldRefuses(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "held.png")
	for name, content := range map[string]string{"no image": "text", "empty": ""} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := NewCamera(Options{Hold: path}); err == nil || !strings.Contains(err.Error(), "held image") {
			t.Errorf("%s: got %v", name, err)
		}
	}
	writeImage(t, path, maxHeldSide+1, 1)
	if _, err := NewCamera(Options{Hold: path}); err == nil {
		t.Error("a huge image: taken")
	}
}
