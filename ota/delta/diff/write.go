package diff

import (
	"encoding/binary"
	"fmt"

	"github.com/klauspost/compress/zstd"

	"github.com/ocellus/ocellus/ota/delta/wire"
)

// write puts header and frames together.
func (m *maker) write() ([]byte, Report, error) {
	z, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedBestCompression), zstd.WithEncoderConcurrency(1),
		zstd.WithEncoderCRC(false), zstd.WithSingleSegment(true))
	if err != nil {
		return nil, Report{}, err
	}
	defer z.Close()
	m.cut()
	model := wire.NewModel(wire.NewAddresses(m.h.From, m.h.To, m.h.Ops))
	cursor := wire.NewCursor(m.h.Ops)
	var frames []byte
	y := uint32(0)
	for i := range m.h.Frames {
		f := &m.h.Frames[i]
		frame := m.frame(model, cursor, z, y, f.Expanded)
		f.Stored = uint32(len(frame))
		frames = append(frames, frame...)
		y += f.Expanded
	}
	header := m.h.Append(nil)
	if _, err := wire.Parse(header); err != nil {
		return nil, Report{}, fmt.Errorf("%w: %w", ErrImage, err)
	}
	stored := z.EncodeAll(header, nil)
	out := []byte(wire.Magic)
	out = binary.LittleEndian.AppendUint32(out, uint32(len(stored)))
	out = binary.LittleEndian.AppendUint32(out, uint32(len(header)))
	out = append(append(out, stored...), frames...)
	m.report.Size = len(out)
	return out, m.report, nil
}

// cut divides the expanded target into frames: where a piece begins, if it can be.
func (m *maker) cut() {
	var frame uint32
	flush := func() {
		if frame > 0 {
			m.h.Frames = append(m.h.Frames, wire.Frame{Expanded: frame})
		}
		frame = 0
	}
	for _, p := range m.h.Pieces {
		left := p.Expanded
		if frame+left > wire.MaxFrame {
			flush()
		}
		for ; left > wire.MaxFrame; left -= wire.MaxFrame {
			frame = wire.MaxFrame
			flush()
		}
		frame += left
	}
	flush()
}

// frame writes the frame of so many bytes from y on.
func (m *maker) frame(model *wire.Model, cursor *wire.Cursor, z *zstd.Encoder, y, size uint32) []byte {
	model.Reset()
	cursor.Frame(y, size)
	changes := wire.NewEncoder()
	var fresh []byte
	for s, ok := cursor.Step(); ok; s, ok = cursor.Step() {
		switch target := m.y[s.Y : s.Y+s.Size]; {
		case s.Fresh:
			fresh = append(fresh, target...)
		case s.Changed:
			model.Region(changes, m.x[s.X:s.X+s.Size], target, s.X, s.Y)
		}
	}
	stored := fresh
	if packed := z.EncodeAll(fresh, nil); len(packed) < len(fresh) {
		stored = packed
	}
	said := changes.Finish()
	m.report.Changes += len(said)
	out := binary.AppendUvarint(nil, uint64(len(fresh)))
	out = binary.AppendUvarint(out, uint64(len(stored)))
	return append(append(out, stored...), said...)
}
