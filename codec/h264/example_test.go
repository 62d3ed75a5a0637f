package h264_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/ocellus/ocellus/codec/h264"
)

// stream is a parameter set pair and an IDR slice.
var stream = []byte("\x00\x00\x00\x01\x67\x42\xc0\x1e\xd9\x03\xc5\x68\x40\x00\x00\x03\x00\x40\x00\x00\x0c\x03\xc5\x8b\x92" +
	"\x00\x00\x00\x01\x68\xcb\x83\xcb\x20\x00\x00\x01\x65\x88\x84\x0a\xbc")

func ExampleSplitAnnexB() {
	for _, u := range h264.SplitAnnexB(nil, stream) {
		fmt.Println(h264.TypeOf(u), len(u))
	}
	// Output:
	// SPS 21
	// PPS 5
	// IDR slice 5
}

func ExampleParseSPS() {
	p := h264.FindParams(h264.SplitAnnexB(nil, stream))
	s, err := h264.ParseSPS(p.SPS)
	if err != nil {
		fmt.Println(err)
		return
	}
	num, den := s.FrameRate()
	fmt.Printf("%s %dx%d at %d/%d, profile-level-id=%s\n", s.ProfileName(), s.Width, s.Height, num, den, p.ProfileLevelID())
	fmt.Println("sprop-parameter-sets=" + p.SpropParameterSets())
	// Output:
	// Constrained Baseline 240x160 at 24/1, profile-level-id=42c01e
	// sprop-parameter-sets=Z0LAHtkDxWhAAAADAEAAAAwDxYuS,aMuDyyA=
}

func ExampleReader() {
	r := h264.NewReader(bytes.NewReader(stream))
	for {
		nalus, err := r.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(len(nalus), "NAL units, IDR:", h264.HasIDR(nalus))
	}
	// Output: 3 NAL units, IDR: true
}

func ExamplePool() {
	var pool h264.Pool
	au := pool.Copy(h264.SplitAnnexB(nil, stream)...)
	reader := au.Retain() // one more holder, on another goroutine
	au.Release()
	fmt.Println(reader.Size(), "bytes")
	reader.Release()
	// Output: 31 bytes
}
