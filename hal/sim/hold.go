package sim

import (
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io/fs"
	"os"
	"sync"
	"time"
)

// Bounds of an image that is held before the lens.
const (
	maxHeldSize = 4 << 20 // bytes of the file
	maxHeldSide = 4096    // pixels
)

// held is an image that somebody holds before the lens: a PNG file, looked at again whenever it changes. While there is
// no such file, nothing is held.
type held struct {
	path string

	mu     sync.Mutex // guards the rest
	seen   time.Time  // of the file's last change
	size   int64
	luma   *image.Gray // nil for none
	scaled *image.Gray // to the height of the last picture
}

// look reads the image if it changed. A file that is no image, or half of one, is held as nothing.
func (h *held) look() error {
	info, err := os.Stat(h.path)
	if errors.Is(err, fs.ErrNotExist) {
		h.luma, h.scaled, h.seen = nil, nil, time.Time{}
		return nil
	}
	if err != nil || info.ModTime().Equal(h.seen) && info.Size() == h.size {
		return err
	}
	h.seen, h.size, h.luma, h.scaled = info.ModTime(), info.Size(), nil, nil
	h.luma, err = readHeld(h.path)
	return err
}

func readHeld(path string) (*image.Gray, error) {
	file, err := os.Open(path) //nolint:gosec // the path is the person's own choice
	if err != nil {
		return nil, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	c, err := png.DecodeConfig(file)
	if err == nil && (info.Size() > maxHeldSize || c.Width > maxHeldSide || c.Height > maxHeldSide) {
		err = fmt.Errorf("%d bytes, %dx%d, want at most %d and %d a side", info.Size(), c.Width, c.Height, maxHeldSize,
			maxHeldSide)
	}
	if err == nil {
		_, err = file.Seek(0, 0)
	}
	var picture image.Image
	if err == nil {
		picture, err = png.Decode(file)
	}
	if err != nil {
		return nil, fmt.Errorf("held image %s: %w", path, err)
	}
	b := picture.Bounds()
	gray := image.NewGray(image.Rect(0, 0, b.Dx(), b.Dy()))
	for y := range b.Dy() {
		for x := range b.Dx() {
			gray.SetGray(x, y, color.GrayModel.Convert(picture.At(b.Min.X+x, b.Min.Y+y)).(color.Gray))
		}
	}
	return gray, nil
}

// heldShare is how much of a picture's height a held image takes, in 36ths: all above the card's barcode.
const heldShare = 30

// draw draws what is held over an I420 picture of w by h pixels, in limited range and without colour, lit as a screen
// with a glare is.
func (h *held) draw(data []byte, w, height, glare int, factor float64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := h.look(); err != nil || h.luma == nil {
		return
	}
	tall := height * heldShare / 36 &^ 1
	wide := min(w, tall*h.luma.Rect.Dx()/h.luma.Rect.Dy()) &^ 1
	if h.scaled == nil || h.scaled.Rect.Dy() != tall || h.scaled.Rect.Dx() != wide {
		h.scaled = scaled(h.luma, wide, tall)
	}
	left := (w - wide) / 2 &^ 1
	for y := range tall {
		row := data[y*w+left:][:wide]
		copy(row, h.scaled.Pix[y*wide:(y+1)*wide])
		if glare != 0 {
			for x, v := range row {
				row[x] = byte(limitedBlack + glow + int(v-limitedBlack)*(limitedWhite-limitedBlack-glow)/(limitedWhite-limitedBlack))
			}
		}
		expose(row, factor*lighter(glare))
	}
	for plane := range 2 {
		chroma := data[w*height+plane*(w/2)*(height/2):]
		for y := range tall / 2 {
			row := chroma[y*(w/2)+left/2:][:wide/2]
			for x := range row {
				row[x] = 128
			}
		}
	}
}

// scaled scales an image, each pixel from the one that is nearest, to limited range.
func scaled(from *image.Gray, w, h int) *image.Gray {
	to := image.NewGray(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			v := from.Pix[y*from.Rect.Dy()/h*from.Stride+x*from.Rect.Dx()/w]
			to.Pix[y*w+x] = byte(16 + int(v)*219/255)
		}
	}
	return to
}
