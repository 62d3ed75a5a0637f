package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/ocellus/ocellus/lab/bench/clip"
	"github.com/ocellus/ocellus/lab/bench/load"
)

// The two ends of the slope.
const few, many = 10, 200

// The bars (docs/performance.md): the agent's cost against the others'.
var bars = []struct { //nolint:gochecknoglobals // a table of constants
	transport, peer string
	most            float64
}{
	{"tcp", floor, 1.25}, {"udp", floor, 1.25}, {"tcp", gortsplib, 0.32}, {"udp", gortsplib, 0.36},
}

// slope is one measurement of one server over one transport.
type slope struct {
	cpu  float64 // ms of CPU each second for one more reader
	rss  float64 // KiB for one more reader
	few  int     // KiB with ten readers
	cell [2]float64
	void string
}

// fanOut measures what one more reader costs, all servers one after the other in each repetition.
func (r *rig) fanOut(ctx context.Context) error {
	servers := []string{floor, gortsplib, agent}
	if !r.quick {
		servers = []string{floor, gst, gortsplib, agent}
	}
	found := map[string][]slope{} // "tcp agent": one a repetition
	fmt.Printf("fan-out: %d -> %d readers, windows of %v, %d repetition(s)\n", few, many, r.window, r.reps)
	fmt.Println("| transport | server | CPU ms/s, N=10 | N=200 | per added reader | RSS MiB, N=10 | KiB per added reader | void |")
	fmt.Println("|---|---|---|---|---|---|---|---|")
	for range r.reps {
		for _, transport := range []string{"tcp", "udp"} {
			for _, server := range servers {
				s, err := r.slope(ctx, server, transport == "udp")
				if err != nil {
					return fmt.Errorf("%s %s: %w", server, transport, err)
				}
				found[transport+" "+server] = append(found[transport+" "+server], s)
				fmt.Printf("| %s | %s | %.1f | %.1f | %.3f | %.1f | %.1f | %s |\n", transport, server, s.cell[0], s.cell[1],
					s.cpu, float64(s.few)/1024, s.rss, s.void)
			}
		}
	}
	judge(found)
	return nil
}

func (r *rig) slope(ctx context.Context, server string, udp bool) (slope, error) {
	p, err := r.start(ctx, server, false)
	if err != nil {
		return slope{}, err
	}
	defer p.stop()
	var s slope
	var rss [2]int
	for i, readers := range []int{few, many} {
		result, err := load.Run(ctx, load.Config{
			URL: p.url, Readers: readers, UDP: udp, PID: p.pid(), Ticks: clip.Ticks,
			Settle: 1500 * time.Millisecond, Window: r.window,
		})
		if err != nil {
			return slope{}, fmt.Errorf("%d readers: %w", readers, err)
		}
		s.cell[i] = float64(result.CPU) / float64(result.Window) * 1000
		rss[i] = result.RSS
		if why := result.Void(); why != "" {
			s.void += fmt.Sprintf("N=%d: %s ", readers, why)
		}
	}
	s.cpu = (s.cell[1] - s.cell[0]) / (many - few)
	s.rss = float64(rss[1]-rss[0]) / (many - few)
	s.few = rss[0]
	return s, nil
}

// judge prints the ratios, repetition by repetition and their median, beside the bars.
func judge(found map[string][]slope) {
	fmt.Println("\n| ratio | each repetition | median | bar | |")
	fmt.Println("|---|---|---|---|---|")
	for _, bar := range bars {
		var ratios []float64
		each := ""
		for i, mine := range found[bar.transport+" "+agent] {
			peer := found[bar.transport+" "+bar.peer][i]
			if mine.void != "" || peer.void != "" {
				each += "void "
				continue
			}
			ratios = append(ratios, mine.cpu/peer.cpu)
			each += fmt.Sprintf("%.3f ", mine.cpu/peer.cpu)
		}
		verdict, m := "no figure", 0.0
		if len(ratios) > 0 {
			m = median(ratios)
			verdict = "MISSED"
			if m <= bar.most {
				verdict = "met"
			}
		}
		fmt.Printf("| %s agent/%s | %s| %.3f | <= %.2f | %s |\n", bar.transport, bar.peer, each, m, bar.most, verdict)
	}
	fmt.Println()
}

func median[T float64 | time.Duration](values []T) T {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

func percentile(values []time.Duration, p float64) time.Duration {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	return sorted[min(int(float64(len(sorted))*p), len(sorted)-1)]
}
