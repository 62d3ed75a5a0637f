package control

import (
	"testing"
	"time"
)

// TestSeldom: who says something wrong each second for a week gets the owner told at once, and then ever more rarely, so
// that what else happened stays in the queue; none is uncounted, and after a silence it begins anew.
func TestSeldom(t *testing.T) {
	t.Parallel()
	var s Seldom
	events, counted := 0, uint64(0)
	const week = 7 * 24 * 60 * 60
	for second := range week {
		times, tell := s.Take(noon.Add(time.Duration(second) * time.Second))
		if tell {
			events++
			counted += times
		}
		if second == 0 && !tell || second == 10 && !tell {
			t.Errorf("second %d: not told", second)
		}
	}
	if events < week/3600 || events > week/3600+12 {
		t.Errorf("%d events in a week", events)
	}
	if counted+s.times != week {
		t.Errorf("%d counted of %d", counted+s.times, week)
	}
	later := noon.Add(week*time.Second + 3*longestPause)
	if _, tell := s.Take(later); !tell {
		t.Error("not told after a silence")
	}
	if _, tell := s.Take(later.Add(firstPause)); !tell {
		t.Error("the pause of before holds")
	}
}
