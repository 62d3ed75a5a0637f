package lab

import (
	"fmt"
	"sync"
	"testing"
	"time"
)

// TestFirstPicture joins 40 times 97 ms apart, so that every phase of the GOP is met: each reader has a decodable
// picture within 200 ms. Not parallel: it measures time. A round in which the machine was too busy to draw or encode
// every picture says nothing about joining and is gone through again.
func TestFirstPicture(t *testing.T) {
	a := startAgent(t, agentOptions{})
	for _, stream := range []string{"main", "sub"} {
		t.Run(stream, func(t *testing.T) {
			watch(t, time.Second, a.url(stream), "--transport", "tcp") // the camera runs
			late := ""
			for range 4 {
				before := a.lost(t, stream)
				if late = joinAll(t, a, stream); late == "" {
					return
				}
				lost := a.lost(t, stream) - before
				t.Logf("later than 200 ms:%s; the camera lost %d pictures", late, lost)
				if lost == 0 {
					break
				}
			}
			t.Errorf("joins later than 200 ms:%s", late)
		})
	}
}

// joinAll joins and returns which readers had to wait.
func joinAll(t *testing.T, a *agent, stream string) (late string) {
	t.Helper()
	const joins, apart, most = 40, 97 * time.Millisecond, 200.0
	var wait sync.WaitGroup
	results := make([]summary, joins)
	tick := time.NewTicker(apart)
	defer tick.Stop()
	for i := range joins {
		<-tick.C
		transport := []string{"tcp", "udp"}[i%2]
		wait.Go(func() {
			results[i], _ = watch(t, 600*time.Millisecond, a.url(stream), "--transport", transport)
		})
	}
	wait.Wait()
	worst := 0.0
	for i, s := range results {
		if s.FirstPicture == nil || !s.whole() || !s.InBand {
			t.Errorf("join %d: %+v", i, s)
			continue
		}
		if *s.FirstPicture > most {
			late += fmt.Sprintf(" %d:%.0f", i, *s.FirstPicture)
		}
		worst = max(worst, *s.FirstPicture)
	}
	t.Logf("the slowest of %d joins had its picture after %.0f ms", joins, worst)
	return late
}
