package lab

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// agent is a running agent on the simulated board.
type agent struct {
	state string
	home  string // where camctl keeps the owner's key
	ports struct{ RTSP, RTSPS, Web, MQTT, Status string }
	user  *url.Userinfo
	cmd   *exec.Cmd
	log   *output
	ended chan error // one send when the process has ended; never blocks
}

// section is a part of config.yaml.
type section = map[string]any

// agentOptions say how an agent is started; the zero value is sim's test card with ports that are free.
type agentOptions struct {
	alone  bool   // it gets no owner
	state  string // a state directory to use again; its config.yaml is replaced
	file   string
	config section
	apart  bool // configuration and owner's key are not in the state directory
	// hold is an image before the lens. Nobody becomes the owner of such a camera by himself.
	hold string
	air  string   // a capture that its radio hears
	args []string // more of the command line
}

// output collects what a process writes.
type output struct {
	mu  sync.Mutex // guards buf
	buf bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// startAgent runs an agent and becomes its owner; it is stopped when the test ends.
func startAgent(t *testing.T, o agentOptions) *agent {
	t.Helper()
	a := &agent{state: o.state, log: &output{}, ended: make(chan error, 1)}
	if a.state == "" {
		a.state = t.TempDir()
	}
	args := []string{"run", "--board", "sim", "--state", a.state}
	dir := a.state
	if o.apart {
		dir = t.TempDir()
		args = append(args, "--config", filepath.Join(dir, "config.yaml"))
	}
	a.home = filepath.Join(dir, "owner")
	writeConfig(t, dir, o.config)
	if o.file != "" {
		args = append(args, "--file", o.file)
	}
	if o.hold != "" {
		args = append(args, "--hold", o.hold)
	}
	if o.air != "" {
		args = append(args, "--air", o.air)
	}
	a.cmd = exec.Command(program("agent"), append(args, o.args...)...)
	a.cmd.Stderr = a.log
	out, err := a.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := a.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(out)
	told := make(chan error, 1)
	go func() {
		told <- untilUp(lines)
		_, _ = io.Copy(io.Discard, lines)
		a.ended <- a.cmd.Wait()
	}()
	t.Cleanup(func() { a.cleanUp(t) })
	select {
	case err = <-told:
	case <-time.After(20 * time.Second):
		err = errors.New("not up within 20 s")
	}
	if err != nil {
		t.Fatalf("agent: %v\n%s", err, a.log)
	}
	a.learnPorts(t)
	if !o.alone && o.hold == "" {
		a.pair(t)
	}
	return a
}

// pair becomes the owner, as make run does, and learns the credential that players use.
func (a *agent) pair(t *testing.T) {
	t.Helper()
	paired := tool(t, 20*time.Second, program("camctl"), "pair", "--home", a.home, "--camera", a.ports.Web, "--label",
		label(t, a))
	address, _, _ := strings.Cut(strings.TrimPrefix(paired.out, "watch: "), "\n")
	u, err := url.Parse(address)
	if paired.code != 0 || err != nil {
		t.Fatalf("pair: exit code %d: %s", paired.code, paired.errs)
	}
	a.user = u.User
}

// writeConfig writes config.yaml: free ports, and over them what the test wants. JSON is YAML.
func writeConfig(t *testing.T, state string, own section) {
	t.Helper()
	config := section{
		"schema":  1,
		"rtsp":    section{"address": "127.0.0.1:0", "tls_address": "127.0.0.1:0"},
		"web":     section{"address": "127.0.0.1:0"},
		"status":  section{"address": "127.0.0.1:0"},
		"control": section{"embedded": "127.0.0.1:0"},
	}
	merge(config, own)
	raw, err := json.MarshalIndent(config, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(state, "config.yaml"), raw, 0o600); err != nil {
		t.Fatal(err)
	}
}

func merge(into, from section) {
	for key, value := range from {
		below, ok := value.(section)
		if have, both := into[key].(section); ok && both {
			merge(have, below)
			continue
		}
		into[key] = value
	}
}

// untilUp reads the output up to the line that says what a person does next.
func untilUp(out *bufio.Reader) error {
	for {
		line, err := out.ReadString('\n')
		if strings.Contains(line, "camctl pair") || strings.Contains(line, "agent viewer add") {
			return nil
		}
		if err != nil {
			return errors.New("ended before it was up")
		}
	}
}

func (a *agent) learnPorts(t *testing.T) {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(a.state, "ports.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, &a.ports); err != nil {
		t.Fatal(err)
	}
}

// url is the address of a stream with the first viewer's credential.
func (a *agent) url(stream string) string {
	return (&url.URL{Scheme: "rtsp", User: a.user, Host: a.ports.RTSP, Path: "/" + stream}).String()
}

func (a *agent) urlTLS(stream string) string {
	return (&url.URL{Scheme: "rtsps", User: a.user, Host: a.ports.RTSPS, Path: "/" + stream}).String()
}

func (a *agent) urlAs(name, password, stream string) string {
	return (&url.URL{
		Scheme: "rtsp", User: url.UserPassword(name, password), Host: a.ports.RTSP, Path: "/" + stream,
	}).String()
}

// stop ends the agent as a service manager does and returns how long it took.
func (a *agent) stop(t *testing.T) time.Duration {
	t.Helper()
	begin := time.Now()
	if err := a.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-a.ended:
		a.ended <- err
		if err != nil {
			t.Errorf("agent ended with %v", err)
		}
	case <-time.After(10 * time.Second):
		t.Error("agent did not end within 10 s of SIGTERM")
	}
	return time.Since(begin)
}

// ends ends the agent by a signal.
func (a *agent) ends(t *testing.T, sig syscall.Signal) {
	t.Helper()
	if err := a.cmd.Process.Signal(sig); err != nil {
		t.Fatal(err)
	}
	a.ended <- <-a.ended
}

// cleanUp stops what still runs; each agent must go within two seconds, and none may have panicked.
func (a *agent) cleanUp(t *testing.T) {
	select {
	case err := <-a.ended:
		a.ended <- err
	default:
		if took := a.stop(t); took > 2*time.Second {
			t.Errorf("agent took %v to end", took)
		}
	}
	_ = a.cmd.Process.Kill()
	log := a.log.String()
	if strings.Contains(log, "panic:") || strings.Contains(log, "DATA RACE") {
		t.Errorf("agent panicked:\n%s", log)
	}
	if t.Failed() {
		t.Logf("agent's log:\n%s", tail(log, 2500))
	}
}

func tail(s string, n int) string {
	if len(s) > n {
		return "..." + s[len(s)-n:]
	}
	return s
}

// ran is what a finished program left.
type ran struct {
	out, errs string
	code      int
}

// tool runs a program within a time limit. It fails the test if the program can't be run, not if it reports an error.
func tool(t *testing.T, limit time.Duration, name string, args ...string) ran {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.WaitDelay = time.Second
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if ctx.Err() != nil {
		t.Fatalf("%s %s: not done within %v\n%s", filepath.Base(name), strings.Join(args, " "), limit, tail(errs.String(), 2000))
	}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return ran{out.String(), errs.String(), cmd.ProcessState.ExitCode()}
}

// need fails the test, or skips it where nothing may be installed, if a program is missing.
func need(t *testing.T, names ...string) {
	t.Helper()
	for _, name := range names {
		if _, err := exec.LookPath(name); err == nil {
			continue
		}
		if os.Getenv("NO_INSTALL") == "1" {
			t.Skipf("%s is not installed and NO_INSTALL=1 forbids to install it", name)
		}
		t.Fatalf("%s is not installed: make setup-test", name)
	}
}

// summary is what the tests need of camctl watch --json.
type summary struct {
	Transport     string   `json:"transport"`
	FirstPacket   *float64 `json:"first_packet_ms"`
	FirstPicture  *float64 `json:"first_picture_ms"`
	Width         int      `json:"width"`
	Height        int      `json:"height"`
	InBand        bool     `json:"parameter_sets_in_band"`
	Pictures      int      `json:"pictures"`
	FPS           float64  `json:"fps"`
	Lost          int      `json:"lost"`
	Gaps          int      `json:"gaps"`
	Duplicates    int      `json:"duplicates"`
	Damaged       int      `json:"damaged"`
	ForwardJumps  int      `json:"timestamp_jumps_forward"`
	BackwardJumps int      `json:"timestamp_jumps_backward"`
	GOP           int      `json:"gop_median"`
	Stamps        int      `json:"capture_stamps"`
	LatencyP50    *float64 `json:"latency_p50_ms"`
	NoLatency     string   `json:"no_latency_because"`
	Reports       int      `json:"sender_reports"`
	FirstReport   *float64 `json:"first_sender_report_ms"`
	StampOffset   *float64 `json:"sender_stamp_offset_ms"`
}

// whole reports whether nothing was missing.
func (s summary) whole() bool { return s.Lost+s.Gaps+s.Duplicates+s.Damaged == 0 && s.Pictures > 0 }

// watch runs camctl watch and returns its summary and exit code.
func watch(t *testing.T, length time.Duration, args ...string) (summary, ran) {
	t.Helper()
	args = append([]string{"watch", "--json", "--duration", length.String()}, args...)
	r := tool(t, length+20*time.Second, program("camctl"), args...)
	return parseSummary(t, r.out), r
}

func parseSummary(t *testing.T, out string) summary {
	t.Helper()
	var last struct{ Summary summary }
	for line := range strings.Lines(out) {
		if !strings.HasPrefix(line, `{"summary"`) {
			continue
		}
		if err := json.Unmarshal([]byte(line), &last); err != nil {
			t.Fatal(err)
		}
	}
	return last.Summary
}
