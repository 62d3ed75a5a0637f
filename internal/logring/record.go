package logring

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"
)

// head is the first line of a record.
type head struct {
	Version int `json:"version"`
}

const recordVersion = 1

// encode spells a record.
func encode(lines []Line) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(head{recordVersion}) // a buffer takes everything
	for _, l := range lines {
		_ = e.Encode(l)
	}
	return b.Bytes()
}

// decode reads a record. Lines that can't be read are left out: one is no reason to lose the others.
func decode(raw []byte) ([]Line, error) {
	if len(raw) > maxStored {
		return nil, fmt.Errorf("read log: %d bytes: %w", len(raw), errSize)
	}
	first, rest, _ := bytes.Cut(raw, []byte("\n"))
	var h head
	if err := json.Unmarshal(first, &h); err != nil || h.Version < 1 {
		return nil, errors.New("read log: no record")
	}
	return decodeLines(rest), nil
}

func decodeLines(raw []byte) (lines []Line) {
	for one := range bytes.Lines(raw) {
		var l Line
		if json.Unmarshal(one, &l) == nil && l.Seq > 0 {
			lines = append(lines, l)
		}
	}
	return lines
}

func load(s Store, name string) ([]Line, error) {
	raw, err := s.Load(name)
	if err != nil {
		return nil, err
	}
	return decode(raw)
}

func nameOf(first uint64) string { return fmt.Sprintf("%016x", first) }

// Run writes lines to the store until ctx ends, and then once more.
func (r *Ring) Run(ctx context.Context) error {
	tick := time.NewTicker(UrgentEvery)
	defer tick.Stop()
	calm := time.Now()
	for {
		select {
		case <-ctx.Done():
			return r.Flush()
		case <-tick.C:
		}
		r.mu.Lock()
		due := r.urgent || time.Since(calm) >= CalmEvery
		r.mu.Unlock()
		if !due {
			continue
		}
		calm = time.Now()
		if err := r.Flush(); err != nil {
			return err
		}
	}
}

// Flush writes what is not in the store yet. A ring without a store has nothing to do.
func (r *Ring) Flush() error {
	r.writing.Lock()
	defer r.writing.Unlock()
	for {
		lines, full, s := r.unwritten()
		if len(lines) == 0 {
			return nil
		}
		if err := s.Store(nameOf(lines[0].Seq), encode(lines)); err != nil {
			return fmt.Errorf("write log: %w", err)
		}
		last := lines[len(lines)-1].Seq
		r.mu.Lock()
		r.dirty = max(r.dirty, last+1)
		if full {
			r.record = last + 1
		}
		done := r.dirty > r.seq
		r.urgent = r.urgent && !done
		r.mu.Unlock()
		if err := trim(s, lines[len(lines)-1].Time); err != nil {
			return err
		}
		if done {
			return r.empty()
		}
	}
}

// unwritten returns the lines of the record that is filled now, if one of them is not in the store; full: no more go
// into it. What left the memory before it was written is lost: the log was flooded.
func (r *Ring) unwritten() (lines []Line, full bool, s Store) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.store == nil || r.dirty > r.seq {
		return nil, false, nil
	}
	size := 0
	for _, l := range r.lines {
		if l.Seq < r.record {
			continue
		}
		if size += l.size; size > maxRecord && len(lines) > 0 {
			return lines, true, r.store
		}
		lines = append(lines, l.Line)
	}
	return lines, false, r.store
}

// trim removes the oldest records, by number and by age. Times that lie in the future of the newest line are of a clock
// that was wrong, and say nothing.
func trim(s Store, now time.Time) error {
	names, err := s.List()
	if err != nil {
		return fmt.Errorf("trim log: %w", err)
	}
	old := names[:max(0, len(names)-maxRecords)]
	if rest := names[len(old):]; len(rest) > 1 && tooOld(s, rest[0], now) {
		old = names[:len(old)+1]
	}
	for _, name := range slices.Clone(old) {
		if err := s.Remove(name); err != nil {
			return fmt.Errorf("trim log: %w", err)
		}
	}
	return nil
}

func tooOld(s Store, name string, now time.Time) bool {
	lines, err := load(s, name)
	return err != nil || len(lines) == 0 || now.Sub(lines[len(lines)-1].Time) > maxAge
}
