package main

import "testing"

func TestSequence(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name                             string
		numbers                          []uint16
		lost, gaps, duplicates, reorders int
	}{
		{name: "in order", numbers: []uint16{1, 2, 3, 4}},
		{name: "around the end", numbers: []uint16{65534, 65535, 0, 1}},
		{name: "one gap of two", numbers: []uint16{1, 4, 5}, lost: 2, gaps: 1},
		{name: "a late packet was never lost", numbers: []uint16{1, 3, 2, 4}, gaps: 1, reorders: 1},
		{name: "twice the newest", numbers: []uint16{1, 2, 2, 3}, duplicates: 1},
		{name: "twice an older one", numbers: []uint16{1, 2, 3, 1, 4}, duplicates: 1},
		{name: "a late packet twice", numbers: []uint16{1, 3, 2, 2}, gaps: 1, reorders: 1, duplicates: 1},
		{name: "gap around the end", numbers: []uint16{65535, 2}, lost: 2, gaps: 1},
		{name: "old numbers are not duplicates a lap later", numbers: lap(), lost: 0},
		{name: "sender began anew", numbers: []uint16{30000, 30001, 5, 6}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var s sequence
			for _, n := range tt.numbers {
				s.add(n)
			}
			if s.packets != len(tt.numbers) {
				t.Errorf("packets = %d, want %d", s.packets, len(tt.numbers))
			}
			got := [4]int{s.lost, s.gaps, s.duplicates, s.reordered}
			if want := [4]int{tt.lost, tt.gaps, tt.duplicates, tt.reorders}; got != want {
				t.Errorf("lost, gaps, duplicates, reordered = %v, want %v", got, want)
			}
		})
	}
}

func lap() []uint16 {
	var numbers []uint16
	for n := range 3 * recent {
		numbers = append(numbers, uint16(n))
	}
	return numbers
}
