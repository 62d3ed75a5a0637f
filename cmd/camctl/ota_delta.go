package main

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/ocellus/ocellus/ota/delta"
	"github.com/ocellus/ocellus/ota/delta/diff"
	"github.com/ocellus/ocellus/ota/manifest"
)

// deltas makes a delta from each older image, and has it make the release as a camera would. One that is not worth its
// bytes is left out.
func (c *otaBuild) deltas(out io.Writer, r *manifest.Release) ([]part, error) {
	if len(c.From) == 0 {
		return nil, nil
	}
	target, err := os.ReadFile(c.Slot)
	if err != nil {
		return nil, err
	}
	var all []part
	for _, name := range c.From {
		source, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		d, report, err := diff.Make(source, target)
		if err == nil {
			err = proveDelta(source, d, target)
		}
		if err != nil {
			return nil, fmt.Errorf("delta from %s: %w", name, err)
		}
		share := 100 * float64(len(d)) / float64(len(target))
		if len(d) > len(target)/2 {
			_, _ = fmt.Fprintf(out, "from %s: %.0f %% of the image, left out: cameras take the whole image\n", name, share)
			continue
		}
		all = append(all, c.addDelta(r, source, d))
		if _, err := fmt.Fprintf(out, "from %s: %d bytes, %.2f %% of the image; %d of %d compressed parts kept, %d odd; "+
			"%d copies\n", name, len(d), share, report.Kept, report.Parts, report.Odd, report.Ops); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// addDelta notes a delta in the release.
func (c *otaBuild) addDelta(r *manifest.Release, source, d []byte) part {
	sum := sha256.Sum256(source)
	// A folder, since a bundle's names end after 100 bytes behind the last slash, of which the hash in front takes 65.
	name := fmt.Sprintf("%s/ocellus-%s/from-%x.delta", r.Compatible[0], r.Version, sum[:8])
	var segments []manifest.Sum
	for at := 0; at < len(d); at += manifest.Segment {
		segments = append(segments, sha256.Sum256(d[at:min(at+manifest.Segment, len(d))]))
	}
	r.Deltas = append(r.Deltas, manifest.Delta{Source: sum, SourceSize: int64(len(source)), Target: name,
		Segments: segments})
	return part{data: d, target: name}
}

// proveDelta makes the target out of a delta, segment after segment.
func proveDelta(source, d, target []byte) error {
	made := make([]byte, len(target))
	r, err := delta.Open(bytes.NewReader(source), bytes.NewReader(d), bytes.NewReader(made))
	if err != nil {
		return err
	}
	defer r.Close()
	for at := 0; at < len(target); at += manifest.Segment {
		end := min(at+manifest.Segment, len(target))
		if err := r.Segment(made[at:end], int64(at)); err != nil {
			return err
		}
		if !bytes.Equal(made[at:end], target[at:end]) {
			return fmt.Errorf("%w: at byte %d", delta.ErrTarget, at)
		}
	}
	return nil
}

type otaPatch struct {
	Out    string `short:"o" required:"" type:"path" help:"Where the image goes."`
	Source string `arg:"" type:"existingfile" help:"The image that the delta starts from."`
	Delta  string `arg:"" type:"existingfile" help:"The delta."`
}

// Run makes an image out of another one and a delta, as a camera does, and checks it by the hash in the delta.
func (c *otaPatch) Run(s streams) (err error) {
	source, err := os.Open(c.Source)
	if err != nil {
		return err
	}
	defer source.Close()
	d, err := os.Open(c.Delta)
	if err != nil {
		return err
	}
	defer d.Close()
	out, err := os.Create(c.Out)
	if err != nil {
		return err
	}
	defer func() {
		if err = errors.Join(err, out.Close()); err != nil {
			_ = os.Remove(c.Out) // half an image is none
		}
	}()
	r, err := delta.Open(source, d, out)
	if err != nil {
		return err
	}
	defer r.Close()
	if err := patchFile(r, source, out); err != nil {
		return fmt.Errorf("patch %s: %w", c.Source, err)
	}
	_, err = fmt.Fprintf(s.out, "%s: %d bytes, sha256 %x\n", c.Out, r.Target().Size, r.Target().Sum)
	return err
}

func patchFile(r *delta.Reader, source *os.File, out io.WriterAt) error {
	h := sha256.New()
	if _, err := io.Copy(h, source); err != nil {
		return err
	}
	if sum := [sha256.Size]byte(h.Sum(nil)); sum != r.Source().Sum {
		return fmt.Errorf("%w: its sha256 is %x, the delta starts from %x", delta.ErrTarget, sum, r.Source().Sum)
	}
	h.Reset()
	buf := make([]byte, manifest.Segment)
	for at := int64(0); at < int64(r.Target().Size); at += manifest.Segment {
		part := buf[:min(manifest.Segment, int64(r.Target().Size)-at)]
		if err := r.Segment(part, at); err != nil {
			return err
		}
		h.Write(part)
		if _, err := out.WriteAt(part, at); err != nil {
			return err
		}
	}
	if sum := [sha256.Size]byte(h.Sum(nil)); sum != r.Target().Sum {
		return fmt.Errorf("%w: sha256 is %x, want %x", delta.ErrTarget, sum, r.Target().Sum)
	}
	return nil
}
