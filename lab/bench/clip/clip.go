// Package clip makes and reads the clip that every server of the benchmark plays: 1280x720 at 25 pictures a second and
// 2 Mbit/s, H.264 main profile, no B-frames, one slice a picture, an IDR of about 40 kB every 50 pictures, no SEI.
//
// It is the benchmark's own small reader of Annex B (ITU-T H.264, annex B), so that the servers beside the agent are
// built without a line of the agent.
package clip

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"time"
)

// The clip's timing: pictures a second, and the same in the RTP clock of 90 kHz.
const (
	Rate  = 25
	Ticks = 90000 / Rate
	Frame = time.Second / Rate
	GOP   = 50
)

// Unit is one access unit: its NAL units in decoding order, without start codes.
type Unit struct {
	NALUs [][]byte
	IDR   bool
}

// Size returns the bytes of all NAL units together.
func (u Unit) Size() int {
	n := 0
	for _, nalu := range u.NALUs {
		n += len(nalu)
	}
	return n
}

// Make encodes the clip with ffmpeg into an Annex B file.
func Make(ctx context.Context, path string, length time.Duration) error {
	cmd := exec.CommandContext(ctx, "ffmpeg", "-nostdin", "-v", "error", "-y",
		"-f", "lavfi", "-i", fmt.Sprintf("testsrc2=size=1280x720:rate=%d,noise=alls=12:allf=t", Rate),
		"-t", fmt.Sprintf("%.2f", length.Seconds()), "-pix_fmt", "yuv420p",
		"-c:v", "libx264", "-preset", "veryfast", "-profile:v", "main", "-bf", "0", "-refs", "1",
		"-g", fmt.Sprint(GOP), "-keyint_min", fmt.Sprint(GOP), "-sc_threshold", "0",
		"-b:v", "2M", "-maxrate", "2M", "-bufsize", "560k",
		"-x264-params", "slices=1:sliced-threads=0:rc-lookahead=10:mbtree=0:aq-mode=0:ipratio=1.2",
		"-bsf:v", "filter_units=remove_types=6|9", "-f", "h264", path)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("make clip %s: %w: %s", path, err, bytes.TrimSpace(out))
	}
	return nil
}

// Read cuts an Annex B file into access units. It knows only what Make writes: one slice a picture, parameter sets in
// front of their IDR.
func Read(path string) ([]Unit, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read clip: %w", err)
	}
	var units []Unit
	var unit Unit
	for _, nalu := range split(data) {
		kind := nalu[0] & 31
		unit.NALUs = append(unit.NALUs, nalu)
		if kind == 1 || kind == 5 {
			unit.IDR = kind == 5
			units = append(units, unit)
			unit = Unit{}
		}
	}
	if len(units) == 0 || !units[0].IDR {
		return nil, fmt.Errorf("read clip %s: no access units, or the first is no IDR", path)
	}
	return units, nil
}

func split(data []byte) [][]byte {
	var nalus [][]byte
	start := -1
	for i := 0; i+3 <= len(data); {
		at := bytes.Index(data[i:], []byte{0, 0, 1})
		if at < 0 {
			break
		}
		if start >= 0 {
			nalus = append(nalus, bytes.TrimRight(data[start:i+at], "\x00"))
		}
		start = i + at + 3
		i = start
	}
	if start >= 0 && start < len(data) {
		nalus = append(nalus, data[start:])
	}
	return nalus
}
