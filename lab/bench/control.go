package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/ocellus/ocellus/lab/bench/clip"
	"github.com/ocellus/ocellus/lab/bench/load"
)

// What one source may ask in the long run (docs/control.md), and how many of them a bench has.
const (
	perSource = 20 // commands a second
	sources   = 10
)

// trip is what camctl call --times tells.
type trip struct {
	Times int     `json:"times"`
	P50   float64 `json:"p50_ms"`
	P99   float64 `json:"p99_ms"`
	Worst float64 `json:"worst_ms"`
}

// control measures what commands take while somebody watches, what ten people at once cost the picture, and what being
// connected costs in memory.
func (r *rig) control(ctx context.Context) error {
	fmt.Println("control: commands over the embedded broker (TLS), the test card 720p25 watched meanwhile")
	fmt.Println("| sources | commands | p50 ms | p99 ms | worst | bar | pictures |\n|---|---|---|---|---|---|---|")
	for _, c := range []struct {
		people int
		bar    string
	}{{1, "p99 <= 15"}, {sources, "200/s, no picture lost"}} {
		for range r.reps {
			if err := r.commands(ctx, c.people, c.bar); err != nil {
				return err
			}
		}
	}
	fmt.Println()
	return r.controlMemory(ctx)
}

// commands lets people ask as often as the camera lets them, while one reader counts pictures.
func (r *rig) commands(ctx context.Context, people int, bar string) error {
	p, err := r.startAgent(ctx, agentOptions{embedded: "127.0.0.1:0"})
	if err != nil {
		return err
	}
	defer p.stop()
	homes, err := r.people(ctx, p, people)
	if err != nil {
		return err
	}
	seconds := int(r.window/time.Second) + 2 // the reader's window lies within
	trips, faults := make([]trip, people), make([]error, people)
	var asking sync.WaitGroup
	for i, home := range homes {
		asking.Go(func() { trips[i], faults[i] = r.ask(ctx, p, home, seconds*perSource) })
	}
	result, err := load.Run(ctx, load.Config{URL: p.url, Readers: 1, PID: p.pid(), Ticks: clip.Ticks,
		Settle: time.Second, Window: r.window})
	asking.Wait()
	if err := errors.Join(append(faults, err)...); err != nil {
		return err
	}
	all := trip{}
	for _, t := range trips { // of many people the worst one's
		all.Times += t.Times
		all.P50, all.P99, all.Worst = max(all.P50, t.P50), max(all.P99, t.P99), max(all.Worst, t.Worst)
	}
	pictures := fmt.Sprintf("%d, all", result.Units)
	if why := result.Void(); why != "" {
		pictures = why
	}
	fmt.Printf("| %d | %d in %d s | %.1f | %.1f | %.1f | %s | %s |\n", people, all.Times, seconds, all.P50, all.P99,
		all.Worst, bar, pictures)
	return nil
}

// ask is one person who asks for an IDR, again and again.
func (r *rig) ask(ctx context.Context, p *process, home string, times int) (t trip, err error) {
	var ports struct{ MQTT string }
	raw, err := os.ReadFile(filepath.Join(p.state, "ports.json"))
	if err == nil {
		err = json.Unmarshal(raw, &ports)
	}
	if err != nil {
		return t, err
	}
	out, err := r.camctl(ctx, home, "call", "camera", "idr", "--broker", "mqtts://"+ports.MQTT, "--ca",
		filepath.Join(p.state, "broker.pem"), "--times", fmt.Sprint(times), "--pace", fmt.Sprint(time.Second/perSource))
	if err == nil {
		err = json.Unmarshal(out, &t)
	}
	return t, err
}

// camctl runs it for somebody.
func (r *rig) camctl(ctx context.Context, home string, words ...string) ([]byte, error) {
	words = append(words, "--home", home)
	out, err := exec.CommandContext(ctx, filepath.Join(filepath.Dir(r.agent), "camctl"), words...).Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		err = fmt.Errorf("%w: %s", err, exit.Stderr)
	}
	if err != nil {
		return nil, fmt.Errorf("camctl %s: %w", words[0], err)
	}
	return out, nil
}

// people are the owner and those whom he lets in, each with a home of his own; they can ask once it returns.
func (r *rig) people(ctx context.Context, p *process, n int) ([]string, error) {
	door, err := doorOf(ctx, p.state)
	if err != nil {
		return nil, err
	}
	owner := filepath.Join(r.dir, "owner")
	if _, err := r.camctl(ctx, owner, "pair", "--camera", door, "--name", "camera"); err != nil {
		return nil, err // that is how camctl learns its new port
	}
	homes := []string{owner}
	for i := range n - 1 {
		home := filepath.Join(p.state, fmt.Sprint("person-", i))
		key, err := r.camctl(ctx, home, "owner", "make")
		if err != nil {
			return nil, err
		}
		invitation, err := r.camctl(ctx, owner, "grant", "camera", strings.TrimSpace(string(key)), "--to", filepath.Base(home))
		if err == nil {
			_, err = r.camctl(ctx, home, "accept", strings.TrimSpace(string(invitation)), "--name", "camera")
		}
		if err != nil {
			return nil, err
		}
		homes = append(homes, home)
	}
	return homes, r.connected(ctx)
}

// connected waits until the camera has its broker.
func (r *rig) connected(ctx context.Context) error {
	for range 60 {
		out, err := r.camctl(ctx, filepath.Join(r.dir, "owner"), "call", "camera", "control.status")
		var s struct{ Session struct{ Connected bool } }
		if err == nil {
			err = json.Unmarshal(out, &s)
		}
		if err != nil || s.Session.Connected {
			return err
		}
		select {
		case <-time.After(500 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return errors.New("the camera does not find its broker")
}

// controlMemory compares agents without a broker and with one, which is a program of its own.
func (r *rig) controlMemory(ctx context.Context) error {
	const rounds = 5
	port, err := freePort()
	if err != nil {
		return err
	}
	config := filepath.Join(r.dir, "mosquitto.conf")
	text := fmt.Sprintf("listener %d 127.0.0.1\nallow_anonymous true\nuser root\n", port)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return err
	}
	broker := &process{cmd: exec.CommandContext(ctx, "mosquitto", "-c", config)}
	if err := broker.cmd.Start(); err != nil {
		return err
	}
	defer broker.stop()
	var off, on []float64
	for range rounds {
		for _, o := range []agentOptions{{}, {broker: fmt.Sprintf("mqtt://127.0.0.1:%d", port)}} {
			mib, err := r.rest(ctx, o)
			if err != nil {
				return err
			}
			if o.broker == "" {
				off = append(off, mib)
			} else {
				on = append(on, mib)
			}
		}
	}
	fmt.Printf("memory of control, RSS MiB, median of %d: off %.1f, with a broker %.1f, adds %.2f (bar 3 MB)\n\n", rounds,
		median(off), median(on), median(on)-median(off))
	return nil
}

// rest is the memory of an agent that nobody watches, in MiB; of one with a broker after some commands.
func (r *rig) rest(ctx context.Context, o agentOptions) (float64, error) {
	p, err := r.startAgent(ctx, o)
	if err != nil {
		return 0, err
	}
	defer p.stop()
	if o.broker != "" {
		if _, err := r.people(ctx, p, 1); err != nil {
			return 0, err
		}
		_, err := r.camctl(ctx, filepath.Join(r.dir, "owner"), "call", "camera", "status", "--broker", o.broker,
			"--times", "50")
		if err != nil {
			return 0, err
		}
	}
	select {
	case <-time.After(3 * time.Second):
	case <-ctx.Done():
	}
	kib, _, err := load.Memory(p.pid())
	return float64(kib) / 1024, err
}
