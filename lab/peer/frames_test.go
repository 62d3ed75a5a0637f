package main

import (
	"bytes"
	"testing"
)

func FuzzAdd(f *testing.F) {
	radiotap := []byte{0, 0, 8, 0, 0, 0, 0, 0}
	f.Add(append(bytes.Clone(radiotap), 0x80, 0))
	f.Add(append(bytes.Clone(radiotap), 0x88, 0x41))
	f.Add([]byte{0, 0, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		var c count
		c.add(b)
		if c.Frames > 1 || c.Beacons+c.Data > c.Frames || c.Protected > c.Data {
			t.Errorf("%x: %+v", b, c)
		}
	})
}

func TestAdd(t *testing.T) {
	t.Parallel()
	radiotap := []byte{0, 0, 9, 0, 0, 0, 0, 0, 0}
	for name, c := range map[string]struct {
		frame []byte
		want  count
	}{
		"beacon":         {append(bytes.Clone(radiotap), 0x80, 0), count{Frames: 1, Beacons: 1}},
		"probe request":  {append(bytes.Clone(radiotap), 0x40, 0), count{Frames: 1}},
		"data":           {append(bytes.Clone(radiotap), 0x08, 0x02), count{Frames: 1, Data: 1}},
		"encrypted QoS":  {append(bytes.Clone(radiotap), 0x88, 0x41), count{Frames: 1, Data: 1, Protected: 1}},
		"power save":     {append(bytes.Clone(radiotap), 0x48, 0x11), count{Frames: 1}},
		"no control":     {append(bytes.Clone(radiotap), 0x80), count{}},
		"no radiotap":    {[]byte{1, 0, 9, 0, 0, 0, 0, 0, 0, 0x80, 0}, count{}},
		"header too big": {[]byte{0, 0, 99, 0, 0, 0, 0, 0, 0, 0x80, 0}, count{}},
		"empty":          {nil, count{}},
	} {
		var got count
		got.add(c.frame)
		if got != c.want {
			t.Errorf("%s: got %+v, want %+v", name, got, c.want)
		}
	}
}
