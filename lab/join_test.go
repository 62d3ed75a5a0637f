package lab

import (
	"fmt"
	"sync"
	"testing"
	"time"
)

// TestFirstPicture joins 40 times 97 ms apart, so that every phase of the GOP is met: each reader has a decodable
// picture within 200 ms. Not parallel: it measures time.
func TestFirstPicture(t *testing.T) {
	const joins, apart, most = 40, 97 * time.Millisecond, 200.0
	a := startAgent(t, agentOptions{})
	for _, stream := range []string{"main", "sub"} {
		t.Run(stream, func(t *testing.T) {
			watch(t, time.Second, a.url(stream), "--transport", "tcp") // the camera runs
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
			worst, late := 0.0, ""
			for i, s := range results {
				switch {
				case s.FirstPicture == nil:
					t.Errorf("join %d: no decodable picture; %+v", i, s)
					continue
				case *s.FirstPicture > most:
					late += fmt.Sprintf(" %d:%.0f", i, *s.FirstPicture)
				}
				worst = max(worst, *s.FirstPicture)
				if !s.whole() || !s.InBand {
					t.Errorf("join %d: %+v", i, s)
				}
			}
			if late != "" {
				t.Errorf("joins later than %.0f ms:%s", most, late)
			}
			t.Logf("the slowest of %d joins had its picture after %.0f ms", joins, worst)
		})
	}
}
