package powercut

import (
	"bytes"
	"context"
	"fmt"

	"github.com/ocellus/ocellus/internal/rawstore"
	"github.com/ocellus/ocellus/lab/disklog"
)

// areaJudge looks at persist or keys.
type areaJudge struct {
	layout layout
	name   string
	story  *disklog.History
}

// look loads the area as the board does and looks for every value in its raw bytes.
func (j *areaJudge) look(_ context.Context, d *disklog.Disk) (*look, error) {
	raw := make([]byte, j.layout[j.name].Size)
	if _, err := j.layout.section(d, j.name).ReadAt(raw, 0); err != nil {
		return nil, err
	}
	k := &look{found: map[string]string{j.name: Absent}, raw: map[string][]string{j.name: nil}}
	for _, v := range j.story.Versions() {
		if v.Value != Absent && bytes.Contains(raw, []byte(v.Value)) {
			k.raw[j.name] = append(k.raw[j.name], v.Value)
		}
	}
	area, err := rawstore.NewArea(j.name, memory(raw), func() (func(), error) { return func() {}, nil })
	if err != nil {
		return nil, err
	}
	data, err := area.Load()
	switch {
	case err != nil:
		k.faults = append(k.faults, err.Error())
	case data != nil:
		k.found[j.name] = string(data)
	}
	if err := takesNext(area); err != nil {
		k.faults = append(k.faults, fmt.Sprintf("%s: not open for the next value: %v", j.name, err))
	}
	return k, nil
}

// takesNext stores something over what the cut left.
func takesNext(area *rawstore.Area) error {
	next := []byte("stored after the cut")
	if err := area.Store(next); err != nil {
		return err
	}
	got, err := area.Load()
	if err == nil && !bytes.Equal(got, next) {
		err = fmt.Errorf("got %q back", got)
	}
	return err
}

// memory is a partition whose power is not cut any more. It implements rawstore.Disk.
type memory []byte

func (m memory) ReadAt(p []byte, offset int64) (int, error) { return copy(p, m[offset:]), nil }

func (m memory) WriteAt(p []byte, offset int64) (int, error) { return copy(m[offset:], p), nil }

func (m memory) Sync() error { return nil }

func (m memory) Size() int64 { return int64(len(m)) }

var _ rawstore.Disk = memory(nil)
