package lab

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestConsole: a person at a real terminal edits lines, completes words, reads a screen at a time and follows the log,
// at the width that the terminal has and at another one; everything is locked behind him.
func TestConsole(t *testing.T) {
	t.Parallel()
	c := newCable(t)
	a := startAgent(t, agentOptions{args: []string{"--serial", c.camera}})
	s := newScreen(t, 80, 24, program("camctl"), "console", "--home", a.home, c.port)
	s.has("Unlocked for owner")
	s.sees("ocellus#")
	s.types("versoin")
	s.keys("Left", "Left", "BSpace", "Left", "o", "Left", "Left", "i") // any way to put it right
	s.keys("C-u", "C-k")
	s.types("vers")
	s.keys("Tab", "Enter")
	s.has("release ")
	s.sees("ocellus#")
	s.types("config get str")
	s.keys("BSpace", "BSpace", "BSpace")
	s.types("größe 网络")
	s.sees("ocellus# config get größe 网络")
	s.keys("BSpace", "C-w", "C-w")
	s.sees("ocellus# config get")
	s.keys("C-c")
	s.keys("Up")
	s.sees("ocellus# version")
	s.keys("C-u")
	s.types("re")
	s.keys("Tab", "Tab")
	s.has("reboot  reset")
	s.keys("C-c")
	s.types("call status")
	s.keys("Enter")
	s.sees("-- more: space, Enter, q --")
	s.keys("q")
	s.sees("ocellus#")
	s.consoleWidth()
	s.consoleFollows(a)
	for _, second := range [][]string{{"console", c.port}, {"call", c.port, "status"}} { // the first one goes on
		r := tool(t, time.Minute, program("camctl"), append(second, "--home", a.home)...)
		if r.code == 0 || !strings.Contains(r.errs, "another program has it open") {
			t.Errorf("a second camctl %s: %d %s%s", second[0], r.code, r.out, r.errs)
		}
	}
	s.types("version")
	s.keys("Enter")
	s.sees("ocellus#")
	s.keys("C-]")
	s.has("ended: 0")
	s.stranger(c)
}

// consoleWidth makes the terminal small: a long line stays in its row, and the pages get shorter.
func (s *screen) consoleWidth() {
	s.t.Helper()
	s.keys("C-l")
	s.tmux("resize-window", "-x", "40", "-y", "12")
	s.types("config set control.ca 0123456789abcdefghijklmnopqrstuvwxyz")
	until(s.t, 20*time.Second, "the end of the line is seen in one row", func() bool {
		return strings.HasPrefix(s.row(), "ocellus# ") && strings.HasSuffix(s.row(), "xyz")
	})
	s.keys("Home")
	s.sees("ocellus# config set control.ca 01234567")
	s.keys("C-c", "C-l")
	s.types("help")
	s.keys("Enter")
	until(s.t, 20*time.Second, "a page of 12 rows", func() bool {
		return s.row() == "-- more: space, Enter, q --" && strings.Count(strings.TrimRight(s.shown(), "\n"), "\n") == 11
	})
	s.keys("q")
	s.tmux("resize-window", "-x", "80", "-y", "24")
	s.keys("C-l")
	s.sees("ocellus#")
}

// consoleFollows lets the log run, and stops it.
func (s *screen) consoleFollows(a *agent) {
	s.t.Helper()
	s.types("logs -f info access")
	s.keys("Enter")
	n := 0
	until(s.t, 20*time.Second, "the log is followed", func() bool { // the first word may come before somebody listens
		n++
		tool(s.t, time.Minute, program("camctl"), "call", "--home", a.home, "camera", "viewer.add", fmt.Sprintf("name=guest%d", n))
		return strings.Contains(s.shown(), "viewer added")
	})
	s.keys("C-c")
	s.sees("ocellus#")
}

// stranger is somebody with another terminal program and no key.
func (s *screen) stranger(c *cable) {
	s.t.Helper()
	need(s.t, "socat")
	other := newScreen(s.t, 80, 24, "socat", "-,rawer,escape=0x1d", c.port+",rawer")
	other.keys("Enter")
	other.sees("ocellus>")
	other.types("rebo")
	other.keys("Tab")
	other.types("ot")
	other.keys("Enter")
	other.has("reboot is for whoever has unlocked the console")
	other.types("status")
	other.keys("Enter")
	other.has("healthy, has an owner, up")
	other.types("unlock")
	other.keys("Enter")
	other.has("challenge ")
}

// console types lines at a camera's console as camctl does for a program, and returns what it said.
func (c *cable) console(home string, lines ...string) ran {
	c.t.Helper()
	cmd := exec.CommandContext(c.t.Context(), program("camctl"), "console", "--home", home, c.port)
	cmd.Stdin = strings.NewReader(strings.Join(lines, "\n") + "\n")
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	_ = cmd.Run() // the exit code says it
	return ran{out: out.String(), errs: errs.String(), code: cmd.ProcessState.ExitCode()}
}

// TestConsoleThief: another program had the port open before and takes what comes. camctl says that nobody answers, and
// ends: a read whose bytes are gone keeps it no longer.
func TestConsoleThief(t *testing.T) {
	t.Parallel()
	master, port := newPTY(t)
	defer master.Close()
	thief, err := os.OpenFile(port, os.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer thief.Close()
	go func() { // it ends with the file
		b := make([]byte, 1)
		for _, err := thief.Read(b); err == nil; _, err = thief.Read(b) {
		}
	}()
	go func() { // so does this
		for _, err := master.Write([]byte("x")); err == nil; _, err = master.Write([]byte("x")) {
		}
	}()
	r := tool(t, time.Minute, program("camctl"), "console", "--home", t.TempDir(), "--locked", port)
	if r.code != 3 || !strings.Contains(r.errs, "no camera answers on this line") {
		t.Errorf("beside a thief: %d %s%s", r.code, r.out, r.errs)
	}
}

// TestConsoleFactory: the factory's key opens a camera that never had an owner, and is dead from the first claim on,
// after a reset too, which the owner orders at the console.
func TestConsoleFactory(t *testing.T) {
	t.Parallel()
	c := newCable(t)
	factory, state := t.TempDir(), t.TempDir()
	made := tool(t, time.Minute, program("camctl"), "owner", "make", "--home", factory)
	key := filepath.Join(factory, "factory.pub")
	if err := os.WriteFile(key, []byte(made.out), 0o600); err != nil || made.code != 0 {
		t.Fatal(err, made.errs)
	}
	a := startAgent(t, agentOptions{state: state, alone: true, args: []string{"--serial", c.camera, "--factory", key}})
	if r := c.console(factory, "config get log", "call snapshot", "unlock"); r.code != 0 ||
		!strings.Contains(r.errs, "Unlocked for factory") || !strings.Contains(r.out, "log: INFO") ||
		!strings.Contains(r.out, `role "factory" may not watch`) {
		t.Fatalf("the factory at a new camera: %+v", r)
	}
	a.pair(t)
	if r := c.console(a.home, "config set log debug", "config get log", "status"); r.code != 0 ||
		!strings.Contains(r.out, "log: DEBUG") || !strings.Contains(r.out, "watch: rtsp://NAME:PASSWORD@") {
		t.Fatalf("the owner: %+v", r)
	}
	closed := func(when string) {
		t.Helper()
		if r := c.console(factory, "config get log"); !strings.Contains(r.errs, "locked: ") ||
			!strings.Contains(r.out, "config is for whoever has unlocked") {
			t.Errorf("the factory's key %s: %+v", when, r)
		}
	}
	closed("at a camera with an owner")
	if r := c.console(a.home, "reset", "n", "reset", "y", "another name"); strings.Contains(r.errs, "has forgotten") ||
		!strings.Contains(r.errs, "nothing was done") {
		t.Fatalf("a reset that nobody confirmed: %+v", r)
	}
	if r := c.console(a.home, "reset", "y", "camera"); !strings.Contains(r.errs, "has forgotten you") {
		t.Fatalf("reset: %+v", r)
	}
	if r := tool(t, time.Minute, program("camctl"), "erased", "--home", a.home); !strings.Contains(r.out, "camera") {
		t.Errorf("no receipt is kept: %s%s", r.out, r.errs)
	}
	until(t, 20*time.Second, "the camera starts as from its box", func() bool {
		return strings.Contains(c.console(t.TempDir(), "status").out, "has no owner yet")
	})
	closed("at a camera that was reset")
}

// TestConsoleRestart: an update, the way back and a restart, ordered by words at the console.
func TestConsoleRestart(t *testing.T) {
	t.Parallel()
	p, c := newPublisher(t), newCable(t)
	a := startAgent(t, agentOptions{state: p.camera(), args: []string{"--serial", c.camera},
		config: section{"update": section{"repository": p.url}}})
	p.publish("sim", p.simSlot(p.path("slot"), "1.1.0"), "1.1.0", "--min-floor", "1.0.0")
	order := func(restarts string, lines ...string) {
		t.Helper()
		if r := c.console(a.home, lines...); !strings.Contains(r.out, restarts) {
			t.Fatalf("%s: %+v", lines, r)
		}
	}
	order("1.1.0", "update check", "update install")
	a.becomes(t, "1.1.0", "confirmed 1.1.0")
	order("The camera restarts with the system of before.", "rollback", "y")
	a.becomes(t, "1.0.0", "confirmed 1.0.0")
	starts := strings.Count(a.log.String(), `msg="agent runs"`)
	order("The camera restarts.", "reboot", "n", "reboot", "y")
	until(t, 20*time.Second, "it has restarted, once", func() bool {
		return strings.Count(a.log.String(), `msg="agent runs"`) == starts+1
	})
}

// TestConsoleReset: who has no key and has just switched the camera on, which has no button, makes it as from its box.
func TestConsoleReset(t *testing.T) {
	t.Parallel()
	c := newCable(t)
	o := agentOptions{state: t.TempDir(), args: []string{"--serial", c.camera}}
	startAgent(t, o).stop(t)
	o.alone = true
	startAgent(t, o)
	stranger := t.TempDir()
	if r := c.console(stranger, "reset", "y"); !strings.Contains(r.out, "starts as from its box") {
		t.Fatalf("reset: %+v", r)
	}
	until(t, 20*time.Second, "the camera starts as from its box", func() bool {
		return strings.Contains(c.console(stranger, "status").out, "has no owner yet")
	})
}

// TestConsoleNetwork: whoever stands at a camera that nobody owns brings it into a network, by words that he types; of one
// with an owner only the owner does, who sees there what else he may.
func TestConsoleNetwork(t *testing.T) {
	t.Parallel()
	c := newCable(t)
	a := startAgent(t, agentOptions{alone: true, hold: filepath.Join(t.TempDir(), "none.png"),
		args: []string{"--serial", c.camera}})
	said := func(home string, words []string, lines ...string) {
		t.Helper()
		r := c.console(home, lines...)
		if says(t, r.out, words...); r.code != 0 || strings.Contains(r.out, simPassword) {
			t.Errorf("%d %s%s", r.code, r.out, r.errs)
		}
	}
	join := "network join " + simNetwork
	said(t.TempDir(), []string{`"` + simNetwork + `"`, "wrong password", `provisioned, network "` + simNetwork + `", address`},
		"network scan", join, "not the password", join, simPassword)
	a.pair(t)
	said(t.TempDir(), []string{`role "bystander" may not`}, "network scan")
	said(a.home, []string{`provisioned, network "` + simNetwork + `"`, "no such network", "name main", "board sim", "pass",
		"built without an update root key", "slot: a"},
		"network", "network join Nowhere", "12345678", "streams", "probe", "selftest", "rollback", "y", "update status")
}

// TestConsoleFlood: whatever comes over the line, at full speed, the stream drops no picture; afterwards the console
// is as it was.
func TestConsoleFlood(t *testing.T) {
	need(t, "ffprobe")
	c := newCable(t)
	a := startAgent(t, agentOptions{args: []string{"--serial", c.camera}})
	junk := make([]byte, 1<<16)
	_, _ = rand.Read(junk)
	for name, flood := range map[string][]byte{
		"binary":   junk,
		"one line": bytes.Repeat([]byte("x"), len(junk)),
		"lines":    bytes.Repeat([]byte("status\r\nnonsense\r\n"), len(junk)/18),
		"unlock":   bytes.Repeat([]byte("unlock\runlock AAAA\r"), len(junk)/19),
	} {
		t.Run(name, func(t *testing.T) {
			flooded := make(chan struct{})
			go func() {
				defer close(flooded)
				f, err := os.OpenFile(c.port, os.O_RDWR, 0)
				if err != nil {
					t.Error(err)
					return
				}
				defer f.Close()
				go func() { _, _ = bytes.NewBuffer(nil).ReadFrom(f) }() // what the camera answers goes nowhere
				for until := time.Now().Add(2 * time.Second); time.Now().Before(until); {
					if _, err := f.Write(flood); err != nil {
						t.Error(err)
						return
					}
				}
			}()
			s, r := watch(t, 2*time.Second, a.url("main"))
			<-flooded
			if r.code != 0 || !s.whole() {
				t.Errorf("the stream is not whole: %+v %s", s, r.errs)
			}
			// Whoever comes before it is through with the flood finds old prompts, is not heard, and gives up after 40 s.
			until(t, 3*time.Minute, "the console is as it was", func() bool {
				<-time.After(4 * time.Second)
				r := c.console(a.home, "status")
				return r.code == 0 && strings.Contains(r.out, "healthy, has an owner")
			})
		})
	}
}

// TestConsoleInstaller: whom the owner let in does what he was granted, and nothing once it was taken back.
func TestConsoleInstaller(t *testing.T) {
	t.Parallel()
	c := newCable(t)
	a := startAgent(t, agentOptions{args: []string{"--serial", c.camera}})
	home := t.TempDir()
	camctl := func(args ...string) string {
		t.Helper()
		r := tool(t, time.Minute, program("camctl"), args...)
		if r.code != 0 {
			t.Fatalf("camctl %s: %d %s%s", strings.Join(args, " "), r.code, r.out, r.errs)
		}
		return strings.TrimSpace(r.out)
	}
	key := camctl("owner", "make", "--home", home)
	invitation := camctl("grant", "--home", a.home, "camera", key, "--to", "fitter", "--role", "installer",
		"--scope", "inspect")
	camctl("accept", "--home", home, "--name", "shop", invitation)
	camctl("call", "--home", home, "shop", "status")
	if r := c.console(home, "config get log", "config set log debug", "rollback", "y"); r.code != 0 ||
		!strings.Contains(r.errs, "Unlocked for fitter, role installer") || !strings.Contains(r.out, "log: INFO") ||
		strings.Count(r.out, `role "installer" may not`) != 2 {
		t.Errorf("the installer: %+v", r)
	}
	camctl("revoke", "--home", a.home, "camera", "fitter")
	if r := c.console(home, "config get log"); !strings.Contains(r.errs, "this key opens nothing here") {
		t.Errorf("after the grant was taken back: %+v", r)
	}
}

// TestConsoleMemory: what the console costs, on against off, when the agent has come to rest.
func TestConsoleMemory(t *testing.T) {
	c := newCable(t)
	used := func(on bool) int {
		a := startAgent(t, agentOptions{alone: true, args: []string{"--serial", c.camera},
			config: section{"console": section{"enabled": on}}})
		if on {
			c.console(t.TempDir(), "help", "status")
		}
		bytes := 0
		until(t, 10*time.Second, "its memory grows no more", func() bool {
			before := bytes
			<-time.After(200 * time.Millisecond)
			bytes = int(a.metric(t, "process_resident_memory_bytes"))
			return bytes <= before
		})
		a.stop(t)
		return bytes
	}
	var off, on []int
	for range 5 {
		off, on = append(off, used(false)), append(on, used(true))
	}
	slices.Sort(off)
	slices.Sort(on)
	t.Logf("resident, off and on, five times each: %v %v", off, on)
	if more := on[2] - off[2]; more > 1<<20 {
		t.Errorf("the console takes %d bytes", more)
	}
}
