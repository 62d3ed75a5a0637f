package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/ocellus/ocellus/lab/bench/clip"
)

// The servers, by name.
const (
	floor     = "floor"
	gortsplib = "gortsplib"
	gst       = "gst"
	agent     = "agent"
)

// build makes the peers' programs.
func (r *rig) build(ctx context.Context) error {
	for name, source := range map[string]string{floor: "./lab/bench/floor", gortsplib: "./lab/bench/gortsplib"} {
		err := tool(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", filepath.Join(r.dir, name), source)
		if err != nil {
			return err
		}
	}
	flags, err := exec.CommandContext(ctx, "pkg-config", "--cflags", "--libs",
		"gstreamer-rtsp-server-1.0", "gstreamer-app-1.0").Output()
	if err != nil {
		return fmt.Errorf("gst-rtsp-server is not installed (make setup-test): %w", err)
	}
	args := []string{"-O2", "-DUUID_BYTES=" + clip.StampUUIDBytes(), "lab/bench/gst/server.c", "-o", filepath.Join(r.dir, gst)}
	return tool(ctx, "cc", append(args, strings.Fields(string(flags))...)...)
}

func tool(ctx context.Context, name string, args ...string) error {
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, bytes.TrimSpace(out))
	}
	return nil
}

// process is a running server.
type process struct {
	cmd   *exec.Cmd
	url   string
	state string // of an agent
	log   *bytes.Buffer
}

func (p *process) pid() int { return p.cmd.Process.Pid }

// stop ends the server and waits for it.
func (p *process) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	timer := time.AfterFunc(3*time.Second, func() { _ = p.cmd.Process.Kill() })
	defer timer.Stop()
	_ = p.cmd.Wait()
}

// start runs a server on the clip until its URL is known.
func (r *rig) start(ctx context.Context, name string, stamp bool) (*process, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	listen := fmt.Sprintf("127.0.0.1:%d", port)
	program := filepath.Join(r.dir, name)
	switch name {
	case floor:
		return launch(ctx, program, "-file", r.clip, "-listen", listen)
	case gortsplib:
		udp, err := freePair()
		if err != nil {
			return nil, err
		}
		return launch(ctx, program, "-file", r.clip, "-listen", listen, "-udp", strconv.Itoa(udp),
			"-stamp="+strconv.FormatBool(stamp))
	case gst:
		flag := "0"
		if stamp {
			flag = "1"
		}
		return launch(ctx, program, r.clip, strconv.Itoa(port), flag)
	}
	return r.startAgent(ctx, agentOptions{file: r.clip, stamp: stamp})
}

// launch starts a program that prints its URL on a line of its own.
func launch(ctx context.Context, program string, args ...string) (*process, error) {
	cmd := exec.CommandContext(ctx, program, args...)
	p := &process{cmd: cmd, log: &bytes.Buffer{}}
	cmd.Stderr = p.log
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if p.url = findURL(lines.Text()); p.url != "" {
			break
		}
	}
	if p.url == "" {
		p.stop()
		return nil, fmt.Errorf("%s printed no URL: %s", program, bytes.TrimSpace(p.log.Bytes()))
	}
	go func() { // the pipe must not fill up; ends with the process
		for lines.Scan() { //nolint:revive // drains
		}
	}()
	return p, nil
}

// findURL finds the stream's URL in a line of output.
func findURL(line string) string {
	for word := range strings.FieldsSeq(line) {
		if strings.HasPrefix(word, "rtsp://") || strings.HasPrefix(word, "floor://") {
			return word
		}
	}
	return ""
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// freePair finds an even UDP port that is free together with the next one.
func freePair() (int, error) {
	for range 100 {
		c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			return 0, err
		}
		port := c.LocalAddr().(*net.UDPAddr).Port
		next, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port + 1})
		c.Close()
		if err != nil {
			continue
		}
		next.Close()
		if port%2 == 0 {
			return port, nil
		}
	}
	return 0, errors.New("no free pair of UDP ports")
}

// ready waits until a server's port accepts.
func ready(ctx context.Context, host string) error {
	for ctx.Err() == nil {
		c, err := net.DialTimeout("tcp", host, time.Second)
		if err == nil {
			return c.Close()
		}
		if !errors.Is(err, syscall.ECONNREFUSED) {
			return err
		}
		select {
		case <-time.After(100 * time.Microsecond):
		case <-ctx.Done():
		}
	}
	return ctx.Err()
}
