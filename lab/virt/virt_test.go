package virt

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ocellus/ocellus/lab/hand/wire"
)

// TestDiesWithTheTest: the emulator does not outlive a test binary that is killed.
func TestDiesWithTheTest(t *testing.T) {
	t.Parallel()
	const child = "OCELLUS_VIRT_CHILD"
	if os.Getenv(child) != "" {
		m := &machine{cmd: exec.Command("sleep", "300"), ended: make(chan struct{})}
		m.cmd.SysProcAttr = withUs()
		if err := m.start(); err != nil {
			t.Fatal(err)
		}
		fmt.Printf("pid %d\n", m.cmd.Process.Pid)
		<-m.ended
	}
	cmd := exec.Command(os.Args[0], "-test.run", "^TestDiesWithTheTest$")
	cmd.Env = append(os.Environ(), child+"=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var pid int
	for lines := bufio.NewScanner(out); pid == 0 && lines.Scan(); {
		_, _ = fmt.Sscanf(lines.Text(), "pid %d", &pid)
	}
	emulator, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		t.Fatalf("process %d does not run: %v", pid, err)
	}
	defer unix.Close(emulator)
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	ends := []unix.PollFd{{Fd: int32(emulator), Events: unix.POLLIN}} // readable when the process has ended, pidfd_open(2)
	if n, err := unix.Poll(ends, 10_000); n != 1 {
		t.Fatalf("process %d still runs: %v", pid, err)
	}
}

func TestConsole(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := openConsole(t, t.TempDir(), "")
		begin := time.Now()
		ours, theirs := net.Pipe()
		var reader sync.WaitGroup
		reader.Go(func() { c.read(ours) })
		said := func(text string) {
			if _, err := theirs.Write([]byte(text)); err != nil {
				t.Error(err)
			}
			synctest.Wait()
		}
		said("one\r\n\r\ntwo\r\nth")
		time.Sleep(3 * time.Second)
		said("ree\n")
		never := make(chan struct{})
		for _, want := range []string{"two", "three"} {
			if got, err := c.expect(regexp.MustCompile("^t"), time.Second, never); got != want || err != nil {
				t.Errorf("got %q, %v; want %q", got, err, want)
			}
		}
		if _, err := c.expect(regexp.MustCompile("^t"), time.Second, never); err == nil {
			t.Error("a line is expected twice")
		}
		if after, ok := c.since(regexp.MustCompile("three"), begin); !ok || after != 3*time.Second {
			t.Errorf("got %v, %v", after, ok)
		}
		if _, ok := c.since(regexp.MustCompile("two"), begin.Add(time.Second)); ok {
			t.Error("a line of an earlier machine counts")
		}
		_ = theirs.Close()
		reader.Wait()
		if raw, err := os.ReadFile(c.name); err != nil || string(raw) != "one\r\n\r\ntwo\r\nthree\n" {
			t.Errorf("the log holds %q, %v", raw, err)
		}
		ended := make(chan struct{})
		close(ended)
		if _, err := c.expect(regexp.MustCompile("^t"), time.Hour, ended); !errors.Is(err, errEnded) {
			t.Errorf("got %v, want %v", err, errEnded)
		}
		_ = c.file.Close()
	})
}

// TestHand speaks for the board: answers in another order, a line that a reset cut short, a new boot.
func TestHand(t *testing.T) {
	t.Parallel()
	ours, theirs := net.Pipe()
	h := newHand(ours)
	var reader sync.WaitGroup
	reader.Go(h.read)
	defer reader.Wait()
	defer ours.Close()
	never := make(chan struct{})
	said := func(text string) {
		if _, err := theirs.Write([]byte(text)); err != nil {
			t.Error(err)
		}
	}
	said("\n" + `{"hello":"first"}` + "\n")
	if n, err := h.await(0, time.Minute, never); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	asked := bufio.NewScanner(theirs)
	results := make(chan string, 2)
	ask := func(name string) {
		a, err := h.ask(wire.Request{Read: &wire.Read{Name: name}}, time.Minute, never)
		results <- fmt.Sprintf("%s: %s %v", name, a.Data, err)
	}
	next := func() (q wire.Request) {
		if !asked.Scan() || json.Unmarshal(asked.Bytes(), &q) != nil {
			t.Fatal("no request")
		}
		return q
	}
	go ask("a")
	a := next()
	go ask("b")
	b := next()
	said(fmt.Sprintf(`{"id":%d,"data":"Qg=="}`+"\n", b.ID))
	if got := <-results; got != "b: B <nil>" {
		t.Errorf("got %s", got)
	}
	said(fmt.Sprintf(`{"id":%d,"da`, a.ID)) // the board is reset
	said("\n" + `{"hello":"second"}` + "\n")
	if got := <-results; !strings.HasPrefix(got, "a:  "+errBoardNew.Error()) {
		t.Errorf("got %s", got)
	}
	said(`{"hello":"second"}` + "\n") // init started it again: no new boot
	go ask("c")
	said(fmt.Sprintf(`{"id":%d,"fault":"no such file"}`+"\n", next().ID))
	if got := <-results; got != "c:  no such file" {
		t.Errorf("got %s", got)
	}
	if n, err := h.await(1, time.Minute, never); n != 2 || err != nil {
		t.Error(n, err)
	}
}

func TestCopySparse(t *testing.T) {
	t.Parallel()
	from, to := filepath.Join(t.TempDir(), "from"), filepath.Join(t.TempDir(), "to")
	content := append(append(make([]byte, 1<<20), "data"...), make([]byte, 100_000)...)
	if err := os.WriteFile(from, content, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := copySparse(from, to); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(to); err != nil || !bytes.Equal(got, content) {
		t.Errorf("%d bytes, want %d: %v", len(got), len(content), err)
	}
	info, err := os.Stat(to)
	if err != nil {
		t.Fatal(err)
	}
	if took := info.Sys().(*syscall.Stat_t).Blocks * 512; took > 200_000 {
		t.Errorf("the copy takes %d bytes", took)
	}
}

func TestLabDiskRefuses(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"../x", "/x", ""} {
		l := Lab{Files: map[string]string{name: os.Args[0]}}
		if err := buildLab(t.Context(), t.TempDir(), filepath.Join(t.TempDir(), "lab.img"), t.TempDir(), l); err == nil {
			t.Errorf("%q is taken", name)
		}
	}
}

// TestComplaints: a test may allow what it brings about, and vivid's late thread is no complaint, once each time.
func TestComplaints(t *testing.T) {
	t.Parallel()
	const late = "[5.55] schedule_timeout: wrong timeout value fffffffffffffffe\n[5.55] Call trace:\n"
	for _, c := range []struct {
		log, allowed string
		want         []string
	}{
		{"agent runs\n", "none", nil},
		{"[1.0] Oops: 17\n", "none", []string{"[1.0] Oops: 17"}},
		{"[1.0] Oops: 17\n[2.0] BUG: soft lockup\n", "Oops", []string{"[2.0] BUG: soft lockup"}},
		{late + late, "none", nil},
		{late + "[6.0] Call trace:\n", "none", []string{"[6.0] Call trace:"}},
		{"[5.55] schedule_timeout: wrong timeout value fe\n[5.56] Oops: 17\n", "none", []string{"[5.56] Oops: 17"}},
	} {
		if got := complaints(c.log, []*regexp.Regexp{regexp.MustCompile(c.allowed)}); !slices.Equal(got, c.want) {
			t.Errorf("%q: got %q, want %q", c.log, got, c.want)
		}
	}
}
