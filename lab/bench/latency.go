package main

import (
	"context"
	"fmt"
	"time"

	"github.com/ocellus/ocellus/lab/bench/clip"
	"github.com/ocellus/ocellus/lab/bench/load"
)

// latency measures from the stamp that an access unit carries to its last packet at the client, over TCP with 50
// readers. Every server stamps with the time of day just before the access unit goes into its stream; client and
// servers share the machine and so the clock.
func (r *rig) latency(ctx context.Context) error {
	const readers = 50
	window := 2 * r.window
	if r.quick {
		window = r.window
	}
	fmt.Printf("latency: access unit in -> last packet at the client, TCP, %d readers, windows of %v\n", readers, window)
	fmt.Println("| server | p50 ms | p99 ms | max ms | stamps | void |")
	fmt.Println("|---|---|---|---|---|---|")
	p50, p99 := map[string][]time.Duration{}, map[string][]time.Duration{}
	servers := []string{gortsplib, gst, agent}
	for range r.reps {
		for _, server := range servers {
			result, err := r.stamped(ctx, server, readers, window)
			if err != nil {
				return fmt.Errorf("%s: %w", server, err)
			}
			a, b := percentile(result.Latency, 0.5), percentile(result.Latency, 0.99)
			p50[server], p99[server] = append(p50[server], a), append(p99[server], b)
			fmt.Printf("| %s | %.2f | %.2f | %.2f | %d | %s |\n", server, ms(a), ms(b), ms(percentile(result.Latency, 1)),
				len(result.Latency), result.Void())
		}
	}
	fmt.Println("\n| server | p50 ms, median | p99 ms, median | p50 best | p99 best |")
	fmt.Println("|---|---|---|---|---|")
	for _, server := range servers {
		fmt.Printf("| %s | %.2f | %.2f | %.2f | %.2f |\n", server, ms(median(p50[server])), ms(median(p99[server])),
			ms(percentile(p50[server], 0)), ms(percentile(p99[server], 0)))
	}
	fmt.Println()
	return nil
}

func (r *rig) stamped(ctx context.Context, server string, readers int, window time.Duration) (load.Result, error) {
	p, err := r.start(ctx, server, true)
	if err != nil {
		return load.Result{}, err
	}
	defer p.stop()
	return load.Run(ctx, load.Config{
		URL: p.url, Readers: readers, PID: p.pid(), Ticks: clip.Ticks, Settle: 1500 * time.Millisecond, Window: window,
	})
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
