// Bench measures the agent side by side with its peers and with the kernel's own floor, in one run on one machine:
//
//	go run ./lab/bench -quick        about two minutes
//	go run ./lab/bench               about a quarter of an hour: more repetitions, longer windows, gst in the fan-out too
//	go run ./lab/bench -soak 10m     the agent's memory under ten readers, each half minute
//
// Fan-out: CPU that one more reader costs each second, from 10 to 200 readers of one 720p25 2 Mbit/s stream. Every
// reader's access units and sequence numbers are counted; one that is lost voids the cell. Latency: from the stamp put
// on an access unit as it goes in to its last packet at the client. Start-up: from exec to the open RTSP port and to
// the first RTP packet. CPU figures are the process's own CPU time, so they bear other load on the machine; latencies
// and start-up times do not: run them on a quiet one. docs/performance.md has the figures and the bars.
package main

import (
	"context"
	"flag"
	"fmt"
	"net/url"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/ocellus/ocellus/lab/bench/clip"
)

// options are the command line.
type options struct {
	quick  bool
	agent  string
	only   string
	reps   int
	window time.Duration
	soak   time.Duration
}

func main() {
	var o options
	flag.BoolVar(&o.quick, "quick", false, "one repetition, short windows: about two minutes")
	flag.StringVar(&o.agent, "agent", "bin/agent", "the built agent")
	flag.StringVar(&o.only, "only", "", "only these parts: fanout,latency,startup,memory,control")
	flag.IntVar(&o.reps, "reps", 0, "repetitions (3; 1 with -quick)")
	flag.DurationVar(&o.window, "window", 0, "length of a fan-out window (10s; 6s with -quick)")
	flag.DurationVar(&o.soak, "soak", 0, "only watch the agent's memory for this long")
	flag.Parse()
	o.defaults()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		stop()
		os.Exit(1) //nolint:gocritic // the context has nothing left to undo
	}
}

func (o *options) defaults() {
	reps, window := 3, 10*time.Second
	if o.quick {
		reps, window = 1, 6*time.Second
	}
	if o.reps == 0 {
		o.reps = reps
	}
	if o.window == 0 {
		o.window = window
	}
}

func (o options) wants(part string) bool {
	if o.soak > 0 {
		return false
	}
	return o.only == "" || strings.Contains(","+o.only+",", ","+part+",")
}

func run(ctx context.Context, o options) error {
	dir, err := os.MkdirTemp("", "ocellus-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	r, err := prepare(ctx, dir, o)
	if err != nil {
		return err
	}
	fmt.Printf("machine: %s, %d cores, load %s, %s\n", cpuModel(), runtime.NumCPU(), loadAverage(), runtime.Version())
	fmt.Printf("clip: %s\n\n", r.clipFacts)
	parts := []struct {
		name string
		do   func(context.Context) error
	}{
		{"fanout", r.fanOut}, {"latency", r.latency}, {"startup", r.startUp}, {"memory", r.memory},
		{"control", r.control},
	}
	for _, p := range parts {
		if !o.wants(p.name) {
			continue
		}
		if err := p.do(ctx); err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
	}
	if o.soak > 0 {
		return r.soak(ctx, o.soak)
	}
	return nil
}

// rig is what the measurements share.
type rig struct {
	options
	dir       string
	clip      string
	clipFacts string
	owned     string        // the state directory of a camera that has an owner
	viewer    *url.Userinfo // who may watch it
}

// prepare makes the clip and builds the peers.
func prepare(ctx context.Context, dir string, o options) (*rig, error) {
	agent, err := filepath.Abs(o.agent)
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(agent); err != nil {
		return nil, fmt.Errorf("no agent to measure (make build, or -agent PATH): %w", err)
	}
	o.agent = agent
	r := &rig{options: o, dir: dir, clip: filepath.Join(dir, "clip.h264")}
	fmt.Println("preparing the clip and the peers ...")
	if err := clip.Make(ctx, r.clip, 20*time.Second); err != nil {
		return nil, err
	}
	units, err := clip.Read(r.clip)
	if err != nil {
		return nil, err
	}
	r.clipFacts = facts(units)
	if err := r.build(ctx); err != nil {
		return nil, err
	}
	return r, r.pair(ctx)
}

func facts(units []clip.Unit) string {
	idr, idrs, rest := 0, 0, 0
	for _, u := range units {
		if u.IDR {
			idr, idrs = idr+u.Size(), idrs+1
			continue
		}
		rest += u.Size()
	}
	bitrate := float64(idr+rest) * 8 * clip.Rate / float64(len(units))
	return fmt.Sprintf("1280x720@%d, %.2f Mbit/s, GOP %d, IDR %.1f kB, P %.1f kB (means)", clip.Rate, bitrate/1e6,
		clip.GOP, float64(idr)/float64(idrs)/1e3, float64(rest)/float64(len(units)-idrs)/1e3)
}

func cpuModel() string {
	info, _ := os.ReadFile("/proc/cpuinfo")
	_, model, _ := strings.Cut(string(info), "model name\t: ")
	model, _, _ = strings.Cut(model, "\n")
	return model
}

func loadAverage() string {
	load, _ := os.ReadFile("/proc/loadavg")
	first, _, _ := strings.Cut(string(load), " ")
	return first
}
