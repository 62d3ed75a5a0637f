package main

import (
	"errors"
	"fmt"
	"image"
	"image/png"
	"io/fs"
	"math"
	"math/rand/v2"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// How the image is held: askew, as a hand holds it, and not so large that it fills the picture.
const (
	heldShare = 0.72              // of the picture's height
	heldTurn  = 7 * math.Pi / 180 // clockwise
	wall      = 96                // luma behind it
	noise     = 5                 // of a sensor in a room, in steps of luma
	grains    = 4                 // pictures of the same scene, each with another noise
	dark      = 16                // limited range (BT.601): of black
	bright    = 235               // of white
	colour    = 128               // Cb and Cr of grey
)

// hold plays a camera that delivers raw pictures in YUYV until it is killed or the device refuses. It says when the
// image comes into view.
func hold(device, file string, width, height uint32, interval time.Duration) error {
	out, err := open(device, fourCCYUYV, width, height)
	if err != nil {
		return err
	}
	defer out.Close()
	fmt.Printf("feed: raw pictures of %dx%d into %s\n", width, height, device)
	s := scene{width: int(width), height: int(height)}
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for n := 0; ; n++ {
		news, err := s.look(file)
		if err != nil {
			return err
		}
		if _, err := out.Write(s.pictures[n%grains]); err != nil {
			return err
		}
		if news && s.held {
			fmt.Printf("feed: in view at %s, %.3f s after power-on\n", time.Now().UTC().Format(time.RFC3339Nano), uptime())
		}
		<-tick.C
	}
}

// uptime is in seconds since the kernel's start, as in /proc/uptime.
func uptime() float64 {
	var ts unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts) // fails only for a clock that does not exist
	return time.Duration(ts.Nano()).Seconds()
}

// scene is what the camera sees.
type scene struct {
	width, height int
	pictures      [grains][]byte // YUYV
	held          bool
	seen          time.Time // of the file's last change
}

// look draws the pictures anew if what is held has changed.
func (s *scene) look(file string) (news bool, err error) {
	info, err := os.Stat(file)
	gone := errors.Is(err, fs.ErrNotExist)
	switch {
	case err != nil && !gone:
		return false, err
	case gone && !s.held && s.pictures[0] != nil, !gone && info.ModTime().Equal(s.seen):
		return false, nil
	case gone:
		s.held, s.seen = false, time.Time{}
		s.draw(nil)
		return true, nil
	}
	m, err := readPNG(file)
	if errors.Is(err, fs.ErrNotExist) { // taken away in this instant
		return false, nil
	}
	if err != nil {
		return false, err
	}
	s.held, s.seen = true, info.ModTime()
	s.draw(m)
	return true, nil
}

func readPNG(file string) (image.Image, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return png.Decode(f)
}

// draw draws a wall, and before it the image, if there is one.
func (s *scene) draw(m image.Image) {
	luma := make([]byte, s.width*s.height)
	for i := range luma {
		luma[i] = wall
	}
	if m != nil {
		s.place(luma, m)
	}
	grain := rand.New(rand.NewPCG(1, 2))
	for n := range s.pictures {
		p := make([]byte, 2*len(luma))
		for i, y := range luma {
			p[2*i], p[2*i+1] = byte(int(y)+grain.IntN(2*noise+1)-noise), colour
		}
		s.pictures[n] = p
	}
}

// place draws an image turned and scaled into the middle: each pixel from the four that are nearest.
func (s *scene) place(luma []byte, m image.Image) {
	b := m.Bounds()
	scale := float64(b.Dy()) / (heldShare * float64(s.height))
	sin, cos := math.Sincos(heldTurn)
	for y := range s.height {
		for x := range s.width {
			dx, dy := float64(x)-float64(s.width)/2, float64(y)-float64(s.height)/2
			u := scale*(cos*dx+sin*dy) + float64(b.Dx())/2 - 0.5
			v := scale*(cos*dy-sin*dx) + float64(b.Dy())/2 - 0.5
			if u >= 0 && v >= 0 && u < float64(b.Dx()-1) && v < float64(b.Dy()-1) {
				luma[y*s.width+x] = byte(dark + (bright-dark)*blend(m, u, v)/math.MaxUint16)
			}
		}
	}
}

// blend is the brightness between four pixels, 0 to MaxUint16.
func blend(m image.Image, u, v float64) float64 {
	x, y := int(u), int(v)
	at := func(dx, dy int) float64 {
		green := m.At(m.Bounds().Min.X+x+dx, m.Bounds().Min.Y+y+dy)
		_, g, _, _ := green.RGBA() // it is black and white
		return float64(g)
	}
	fx, fy := u-float64(x), v-float64(y)
	return (at(0, 0)*(1-fx)+at(1, 0)*fx)*(1-fy) + (at(0, 1)*(1-fx)+at(1, 1)*fx)*fy
}
