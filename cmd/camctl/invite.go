package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/ocellus/ocellus/codec/label"
	"github.com/ocellus/ocellus/codec/qrcode"
	"github.com/ocellus/ocellus/codec/qrtext"
)

// A code of version 8 is the largest that a cheap lens reads at once; what is longer comes in parts, one by one.
const (
	largestCode = 226 // characters, at level L
	partFor     = 700 * time.Millisecond
)

// showCode shows the code for the camera's lens until ctx ends.
func (c *pairCommand) showCode(ctx context.Context, s streams, l label.Label, setup qrtext.Setup,
	_ chan<- string,
) error {
	text, err := qrtext.Seal(rand.Reader, l, setup)
	if err != nil {
		return err
	}
	parts, err := qrtext.Split(text, largestCode)
	if err != nil {
		return err
	}
	fmt.Fprintln(s.err, "hold this code before the camera's lens, 20 to 40 cm away; it goes on by itself:")
	t := time.NewTicker(partFor)
	defer t.Stop()
	for n := 0; ; n++ {
		code, err := qrcode.Encode(parts[n%len(parts)], qrcode.L, 0)
		if err != nil {
			return err
		}
		if c.PNG != "" {
			if err := writePNG(c.PNG, code); err != nil {
				return err
			}
		}
		if n > 0 {
			fmt.Fprintf(s.err, "\x1b[%dA", (code.Size()+2*qrcode.QuietZone+1)/2) // over the last one
		}
		if err := drawCode(s.err, code); err != nil || len(parts) == 1 {
			return err
		}
		select {
		case <-t.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// drawCode draws a code with two modules a character, black on white whatever the terminal's colours are.
func drawCode(out io.Writer, code *qrcode.Code) error {
	var b strings.Builder
	const q = qrcode.QuietZone
	for y := -q; y < code.Size()+q; y += 2 {
		b.WriteString("\x1b[30;107m")
		for x := -q; x < code.Size()+q; x++ {
			b.WriteRune(halves(code.Dark(x, y), code.Dark(x, y+1)))
		}
		b.WriteString("\x1b[0m\n")
	}
	_, err := io.WriteString(out, b.String())
	return err
}

// halves is the character of which the upper or lower half is dark.
func halves(upper, lower bool) rune {
	switch {
	case upper && lower:
		return '█'
	case upper:
		return '▀'
	case lower:
		return '▄'
	}
	return ' '
}

// writePNG replaces a file by the picture of a code, in one step.
func writePNG(path string, code *qrcode.Code) error {
	const scale, q = 10, qrcode.QuietZone
	side := (code.Size() + 2*q) * scale
	m := image.NewPaletted(image.Rect(0, 0, side, side), color.Palette{color.White, color.Black})
	for y := range side {
		for x := range side {
			if code.Dark(x/scale-q, y/scale-q) {
				m.SetColorIndex(x, y, 1)
			}
		}
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".code-*.png") // readable for its owner alone: a password is in it
	if err != nil {
		return err
	}
	err = errors.Join(png.Encode(f, m), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		err = errors.Join(err, os.Remove(f.Name()))
	}
	return err
}
