// Package mp4 reads the H.264 samples of a progressive MP4 or QuickTime file (ISO/IEC 14496-12, 14496-15): as much as
// playing a recorded clip needs, and no more. The first video track with an avc1 or avc3 sample entry is the one.
//
// Edit lists are ignored. Fragmented files (moof) are refused with the command that makes a progressive one. Every
// table is bounded by the file's size and read in place; nothing is expanded in memory.
//
// Why not a library: github.com/Eyevinn/mp4ff v0.47.0, the smallest that does this, adds 524,288 bytes to a static
// stripped armv7 binary (CGO_ENABLED=0 GOARCH=arm GOARM=7, 5,832,866 to 6,357,154), and 300 KB was the limit. It is
// what the tests compare with.
package mp4

import (
	"errors"
	"fmt"
	"io"
	"math"
	"time"

	"github.com/ocellus/ocellus/codec/h264"
)

// Errors that callers may branch on.
var (
	// ErrInvalid: the file is not what ISO/IEC 14496-12 asks for.
	ErrInvalid = errors.New("invalid")
	// ErrFragmented: the samples are in movie fragments.
	ErrFragmented = errors.New("fragmented MP4: make a progressive one with: ffmpeg -i in.mp4 -c copy out.mp4")
	// ErrNoVideo: no track holds H.264.
	ErrNoVideo = errors.New("no H.264 video track")
)

const (
	maxMovie   = 16 << 20 // bytes of moov: 40 hours of video
	maxSamples = 1 << 22
	maxLength  = 1000 * time.Hour
)

// Is reports whether a file that begins with head (8 bytes at least) looks like an MP4 or QuickTime file.
func Is(head []byte) bool {
	if len(head) < 8 {
		return false
	}
	switch string(head[4:8]) {
	case "ftyp", "moov", "mdat", "wide", "free", "skip", "styp":
		return true
	}
	return false
}

// OpenClip opens a file of size bytes. Its samples come in decoding order; the parameter sets of the sample entry are
// put in front of every IDR access unit that has none of its own.
func OpenClip(r io.ReaderAt, size int64) (h264.Clip, error) {
	moov, err := readMovie(r, size)
	if err != nil {
		return nil, fmt.Errorf("open MP4: %w", err)
	}
	t, err := findTrack(moov)
	if err != nil {
		return nil, fmt.Errorf("open MP4: %w", err)
	}
	c := &clip{r: r, size: size, track: t, shift: t.tables.maxOffset()}
	if err := c.describe(); err != nil {
		return nil, fmt.Errorf("open MP4: %w", err)
	}
	return c, c.Rewind()
}

type clip struct {
	r     io.ReaderAt
	size  int64
	track track
	info  h264.ClipInfo
	shift int64 // the largest composition offset: so much earlier than DTS was a picture without reordering captured
	at    cursor
	buf   []byte
	nalus [][]byte
}

func (c *clip) Info() h264.ClipInfo { return c.info }

func (c *clip) Rewind() error {
	c.at = cursor{}
	return nil
}

func (c *clip) Next() (h264.Sample, error) {
	s, err := c.track.tables.next(&c.at)
	if err != nil {
		return h264.Sample{}, err
	}
	n := c.at.sample - 1
	if s.size > h264.MaxAccessUnit || s.offset > uint64(c.size) || uint64(s.size) > uint64(c.size)-s.offset {
		return h264.Sample{}, fmt.Errorf("read sample %d: %w: %d bytes at %d of %d",
			n, ErrInvalid, s.size, s.offset, c.size)
	}
	if cap(c.buf) < int(s.size) {
		c.buf = make([]byte, s.size+s.size/4)
	}
	b := c.buf[:s.size]
	if got, err := c.r.ReadAt(b, int64(s.offset)); got < len(b) {
		return h264.Sample{}, fmt.Errorf("read sample %d: %w", n, err)
	}
	if err := c.split(b); err != nil {
		return h264.Sample{}, fmt.Errorf("read sample %d: %w", n, err)
	}
	return h264.Sample{
		NALUs: c.nalus, DTS: c.time(s.dts), PTS: c.time(s.dts + s.shown - c.shift), IDR: h264.HasIDR(c.nalus),
	}, nil
}

// split sets nalus to the sample's NAL units, with the parameter sets in front of an IDR that has none.
func (c *clip) split(b []byte) error {
	entry := &c.track.entry
	c.nalus = append(c.nalus[:0], entry.params...)
	nalus, err := h264.SplitLengthPrefixed(c.nalus, b, entry.lengthSize)
	c.nalus = nalus
	own := nalus[len(entry.params):]
	if err == nil && len(own) > h264.MaxNALUs {
		err = h264.ErrTooLarge
	}
	if p := h264.FindParams(own); !h264.HasIDR(own) || p.Complete() {
		c.nalus = own
	} else if h264.TypeOf(own[0]) == h264.NALAUD { // nothing goes before a delimiter
		aud := own[0]
		copy(nalus[1:], entry.params)
		nalus[0] = aud
	}
	return err
}

// time turns ticks of the track into time.
func (c *clip) time(ticks int64) time.Duration {
	scale := int64(c.track.timescale)
	return time.Duration(ticks/scale)*time.Second + time.Duration(ticks%scale*int64(time.Second)/scale)
}

func (c *clip) describe() error {
	for _, u := range c.track.entry.params {
		switch p := &c.info.Params; {
		case h264.TypeOf(u) == h264.NALSPS && p.SPS == nil:
			p.SPS = u
		case h264.TypeOf(u) == h264.NALPPS && p.PPS == nil:
			p.PPS = u
		}
	}
	if !c.info.Params.Complete() {
		return fmt.Errorf("%w: sample entry without parameter sets", ErrInvalid)
	}
	sps, err := h264.ParseSPS(c.info.Params.SPS)
	if err != nil {
		return err
	}
	samples, ticks := c.track.tables.length()
	if samples == 0 {
		return ErrFragmented // a movie without samples of its own
	}
	if samples > maxSamples || ticks/uint64(c.track.timescale) > uint64(maxLength/time.Second) {
		return fmt.Errorf("%w: %d samples, %d ticks of 1/%d s", ErrInvalid, samples, ticks, c.track.timescale)
	}
	if c.shift > int64(c.track.timescale)*60 || c.shift < 0 {
		return fmt.Errorf("%w: composition offset of %d ticks", ErrInvalid, c.shift)
	}
	i := &c.info
	i.Width, i.Height = sps.Width, sps.Height
	i.RateNum, i.RateDen = rate(samples, uint64(c.track.timescale), ticks)
	i.Interval = time.Second * time.Duration(i.RateDen) / time.Duration(i.RateNum)
	return nil
}

// rate returns samples*scale/ticks as a fraction in lowest terms: 25/1 where it is not a picture rate at all.
func rate(samples, scale, ticks uint64) (num, den uint32) {
	n, d := samples*scale, ticks
	a, b := n, d
	for b != 0 {
		a, b = b, a%b
	}
	if a == 0 || n == 0 || d == 0 {
		return 25, 1
	}
	n, d = n/a, d/a
	for n > math.MaxUint32 || d > math.MaxUint32 {
		n, d = n/2, max(d/2, 1)
	}
	return uint32(max(n, 1)), uint32(d)
}
