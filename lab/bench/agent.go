package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/ocellus/ocellus/lab/bench/clip"
	"github.com/ocellus/ocellus/lab/bench/load"
)

// agentOptions say how the agent is run for a measurement.
type agentOptions struct {
	file  string // the clip, or "" for sim's own test card
	stamp bool
	state string // a state directory to use again, or "" for a new one
	// Where the broker in the process listens, and which other one the agent has; "" for none.
	embedded, broker string
}

// pair makes the state of a camera that has an owner, with camctl, as make run does.
func (r *rig) pair(ctx context.Context) error {
	r.owned = filepath.Join(r.dir, "owned")
	if err := os.Mkdir(r.owned, 0o700); err != nil {
		return err
	}
	port, err := freePort()
	if err != nil {
		return err
	}
	args, err := r.agentArgs(agentOptions{state: r.owned}, port)
	if err != nil {
		return err
	}
	p := &process{cmd: exec.CommandContext(ctx, r.agent, args...)}
	if err := p.cmd.Start(); err != nil {
		return err
	}
	defer p.stop()
	door, err := doorOf(ctx, r.owned)
	if err != nil {
		return err
	}
	label, err := exec.CommandContext(ctx, r.agent, "label", "--board", "sim", "--state", r.owned).Output()
	if err != nil {
		return fmt.Errorf("agent label: %w", err)
	}
	camctl := exec.CommandContext(ctx, filepath.Join(filepath.Dir(r.agent), "camctl"), "pair", "--home",
		filepath.Join(r.dir, "owner"), "--camera", door, "--label", "-")
	camctl.Stdin = bytes.NewReader(label)
	out, err := camctl.Output()
	if err != nil {
		return fmt.Errorf("camctl pair: %w", err)
	}
	u, err := url.Parse(findURL(string(out)))
	if err != nil {
		return err
	}
	r.viewer = u.User
	return nil
}

// doorOf waits for ports.json and returns where the LAN door is.
func doorOf(ctx context.Context, state string) (string, error) {
	for ctx.Err() == nil {
		var ports struct{ Web string }
		raw, err := os.ReadFile(filepath.Join(state, "ports.json"))
		if err == nil && json.Unmarshal(raw, &ports) == nil && ports.Web != "" {
			return ports.Web, nil
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
		}
	}
	return "", ctx.Err()
}

// startAgent runs the built agent on the sim board until it has told its URL.
func (r *rig) startAgent(ctx context.Context, o agentOptions) (*process, error) {
	if o.state == "" {
		state, err := os.MkdirTemp(r.dir, "state-")
		if err == nil {
			err = copyState(state, r.owned)
		}
		if err != nil {
			return nil, err
		}
		o.state = state
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	args, err := r.agentArgs(o, port)
	if err != nil {
		return nil, err
	}
	p, err := launch(ctx, r.agent, args...)
	if err != nil {
		return nil, err
	}
	u, err := url.Parse(p.url)
	if err != nil {
		p.stop()
		return nil, err
	}
	u.User = r.viewer
	p.url, p.state = u.String(), o.state
	if err := ready(ctx, u.Host); err != nil {
		p.stop()
		return nil, err
	}
	return p, nil
}

// copyState copies the plain files of a state directory.
func copyState(to, from string) error {
	entries, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !e.Type().IsRegular() {
			continue
		}
		raw, err := os.ReadFile(filepath.Join(from, e.Name()))
		if err == nil {
			err = os.WriteFile(filepath.Join(to, e.Name()), raw, 0o600)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// agentArgs writes the configuration and makes the command line.
func (r *rig) agentArgs(o agentOptions, port int) ([]string, error) {
	stamp := map[bool]string{true: "on", false: "off"}[o.stamp]
	off := func(s string) string { return cmp.Or(s, "off") }
	config := fmt.Sprintf(agentConfig, port, stamp, off(o.embedded), off(o.broker))
	path := filepath.Join(o.state, "config.yaml")
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		return nil, err
	}
	args := []string{"run", "--board", "sim", "--state", o.state}
	if o.file != "" {
		args = append(args, "--file", o.file)
	}
	return args, nil
}

// agentConfig has the RTSP port and whether pictures carry the capture stamp; main and sub are the same pictures where
// the camera codes them.
const agentConfig = `schema: 1
rtsp:
  address: 127.0.0.1:%[1]d
  tls_address: "off"
  udp_port: 0
web:
  address: 127.0.0.1:0
status:
  address: "off"
control:
  embedded: "%[3]s"
  broker: "%[4]s"
streams:
  main:
    capture_sei: "%[2]s"
  sub:
    capture_sei: "%[2]s"
`

// startUp measures exec -> RTSP port open and exec -> first RTP packet of sim's test card.
func (r *rig) startUp(ctx context.Context) error {
	const rounds = 9
	var open, packet []time.Duration
	for range rounds {
		o, p, err := r.startOnce(ctx, r.owned)
		if err != nil {
			return err
		}
		open, packet = append(open, o), append(packet, p)
	}
	fmt.Printf("start-up, agent on sim, median of %d (min)\n", rounds)
	fmt.Println("| from exec to | ms | min | bar |\n|---|---|---|---|")
	fmt.Printf("| RTSP port open | %.1f | %.1f | <= 10 |\n", ms(median(open)), ms(percentile(open, 0)))
	fmt.Printf("| first RTP packet | %.1f | %.1f | <= 300 |\n\n", ms(median(packet)), ms(percentile(packet, 0)))
	return nil
}

// startOnce starts the agent on the state of a camera that has an owner and takes both times.
func (r *rig) startOnce(ctx context.Context, state string) (open, packet time.Duration, err error) {
	port, err := freePort()
	if err != nil {
		return 0, 0, err
	}
	args, err := r.agentArgs(agentOptions{state: state, stamp: true}, port)
	if err != nil {
		return 0, 0, err
	}
	cmd := exec.CommandContext(ctx, r.agent, args...)
	begin := time.Now()
	if err := cmd.Start(); err != nil {
		return 0, 0, err
	}
	p := &process{cmd: cmd}
	defer p.stop()
	host := fmt.Sprintf("127.0.0.1:%d", port)
	if err := ready(ctx, host); err != nil {
		return 0, 0, err
	}
	open = time.Since(begin)
	u := url.URL{Scheme: "rtsp", User: r.viewer, Host: host, Path: "/main"}
	if err := load.FirstPacket(u.String()); err != nil {
		return 0, 0, err
	}
	return open, time.Since(begin), nil
}

// memory measures the agent's memory: ten readers, one more reader, 200 readers that never read.
func (r *rig) memory(ctx context.Context) error {
	fmt.Println("memory, agent on the clip, TCP")
	fmt.Println("| readers | RSS MiB | peak MiB | bar |\n|---|---|---|---|")
	cells := []struct {
		readers int
		stalled bool
		bar     string
	}{{0, false, ""}, {10, false, "<= 14"}, {210, false, "+ <= 20 KiB a reader"}, {200, true, "holds"}}
	for _, c := range cells {
		p, err := r.startAgent(ctx, agentOptions{file: r.clip})
		if err != nil {
			return err
		}
		result, err := load.Run(ctx, load.Config{
			URL: p.url, Readers: c.readers, PID: p.pid(), Ticks: clip.Ticks, Stalled: c.stalled,
			Settle: 2 * time.Second, Window: r.window,
		})
		p.stop()
		if err != nil {
			return fmt.Errorf("%d readers: %w", c.readers, err)
		}
		name := fmt.Sprint(c.readers)
		if c.stalled {
			name += " that never read"
		}
		fmt.Printf("| %s | %.1f | %.1f | %s | %s\n", name, float64(result.RSS)/1024, float64(result.PeakRSS)/1024, c.bar,
			result.Void())
	}
	fmt.Println()
	return nil
}

// soak prints the agent's memory with ten readers every half minute.
func (r *rig) soak(ctx context.Context, length time.Duration) error {
	p, err := r.startAgent(ctx, agentOptions{file: r.clip})
	if err != nil {
		return err
	}
	defer p.stop()
	fmt.Println("| after | RSS MiB with 10 readers | CPU ms/s |\n|---|---|---|")
	step := min(30*time.Second, length)
	begin := time.Now()
	for time.Since(begin) < length {
		result, err := load.Run(ctx, load.Config{
			URL: p.url, Readers: few, PID: p.pid(), Ticks: clip.Ticks, Window: step,
		})
		if err != nil {
			return err
		}
		fmt.Printf("| %v | %.2f | %.1f | %s\n", time.Since(begin).Round(time.Second), float64(result.RSS)/1024,
			float64(result.CPU)/float64(result.Window)*1000, result.Void())
	}
	return nil
}
