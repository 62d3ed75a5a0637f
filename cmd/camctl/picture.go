package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/ocellus/ocellus/codec/testcard"
)

// pictureCommand is for whoever brings the camera to a new board: it measures from glass to glass with any decoder
// that writes raw pictures.
//
//	ffmpeg -i rtsp://... -f rawvideo -pix_fmt gray - | camctl picture 1280 720
type pictureCommand struct {
	Width  int `arg:"" help:"Width of the pictures in pixels."`
	Height int `arg:"" help:"Height of the pictures in pixels."`
}

// picture is the line of one picture. Age is only meaningful where camera and reader share a clock.
type picture struct {
	N        int       `json:"n"` // counted from 0 as they were read
	Frame    uint32    `json:"frame"`
	Captured time.Time `json:"captured"`
	Age      float64   `json:"age_ms"`
	Error    string    `json:"error,omitempty"`
}

// pictureSummary is the last line.
type pictureSummary struct {
	Pictures   int      `json:"pictures"`
	Unreadable int      `json:"unreadable"`
	Lost       int      `json:"lost"`     // frame numbers that were left out
	Repeated   int      `json:"repeated"` // the same frame number again, or one that goes back
	AgeP50     *float64 `json:"age_p50_ms,omitempty"`
	AgeP99     *float64 `json:"age_p99_ms,omitempty"`
}

// Run reads pictures of the test card, one byte of luma a pixel, until the end of the input.
func (c pictureCommand) Run(s streams) error {
	const most = 1 << 14
	if c.Width <= 0 || c.Height <= 0 || c.Width > most || c.Height > most {
		return &fault{exitUsage, fmt.Errorf("a picture of %dx%d: sides are 1 to %d pixels", c.Width, c.Height, most)}
	}
	in := bufio.NewReaderSize(s.in, 1<<16)
	lines := json.NewEncoder(s.out)
	luma := make([]byte, c.Width*c.Height)
	var r pictureReader
	for {
		_, err := io.ReadFull(in, luma)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("read picture %d: %w (is it %dx%d, one byte a pixel?)", r.sum.Pictures, err, c.Width, c.Height)
		}
		if err := lines.Encode(r.read(luma, c.Width, c.Height, time.Now())); err != nil {
			return err
		}
	}
	if err := lines.Encode(map[string]pictureSummary{"summary": r.summary()}); err != nil {
		return err
	}
	if len(r.ages) == 0 {
		return &fault{exitUnreadable, fmt.Errorf("none of %d pictures shows the test card's clock", r.sum.Pictures)}
	}
	return nil
}

type pictureReader struct {
	sum  pictureSummary
	last uint32
	ages []time.Duration
}

func (r *pictureReader) read(luma []byte, w, h int, now time.Time) picture {
	p := picture{N: r.sum.Pictures}
	r.sum.Pictures++
	s, err := testcard.Read(luma, w, h, w)
	if err != nil {
		r.sum.Unreadable++
		p.Error = "no barcode"
		return p
	}
	age := now.Sub(s.Time())
	if len(r.ages) > 0 {
		if step := int32(s.Frame - r.last); step <= 0 {
			r.sum.Repeated++
		} else {
			r.sum.Lost += int(step) - 1
		}
	}
	r.last = s.Frame
	if len(r.ages) < maxSamples {
		r.ages = append(r.ages, age)
	}
	p.Frame, p.Captured, p.Age = s.Frame, s.Time().UTC(), *millis(age)
	return p
}

func (r *pictureReader) summary() pictureSummary {
	s := r.sum
	if len(r.ages) > 0 {
		s.AgeP50, s.AgeP99 = millis(quantile(r.ages, 0.5)), millis(quantile(r.ages, 0.99))
	}
	return s
}
