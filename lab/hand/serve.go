package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/ocellus/ocellus/lab/hand/wire"
)

// portPatience is for the port, which comes some time after its driver was loaded.
const portPatience = 10 * time.Second

// server answers the lab.
type server struct {
	mu   sync.Mutex // one line at a time
	port io.Writer
}

// serve answers until the lab goes away; init starts it again then.
func serve() error {
	port, err := openPort()
	if err != nil {
		return err
	}
	defer port.Close()
	// The kernel's warnings show on the console from here on: there the lab looks for trouble.
	if err := os.WriteFile("/proc/sys/kernel/printk", []byte("5\n"), 0); err != nil {
		return err
	}
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return err
	}
	s := &server{port: port}
	if _, err := port.WriteString("\n"); err != nil { // ends the line of a hand before this one
		return err
	}
	s.answer(wire.Answer{Hello: strings.TrimSpace(string(boot))})
	lines := bufio.NewScanner(port)
	lines.Buffer(make([]byte, 64<<10), wire.MaxLine)
	for lines.Scan() {
		var q wire.Request
		if err := json.Unmarshal(lines.Bytes(), &q); err == nil {
			go s.do(q)
		}
	}
	return errors.Join(errors.New("the lab went away"), lines.Err())
}

// openPort waits for the port.
func openPort() (*os.File, error) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(portPatience); time.Now().Before(end); <-tick.C {
		names, err := filepath.Glob("/sys/class/virtio-ports/*/name")
		if err != nil {
			return nil, err
		}
		for _, file := range names {
			name, _ := os.ReadFile(file)
			if strings.TrimSpace(string(name)) != wire.Port {
				continue
			}
			return os.OpenFile(filepath.Join("/dev", filepath.Base(filepath.Dir(file))), os.O_RDWR, 0)
		}
	}
	return nil, fmt.Errorf("no virtio-serial port %s after %v", wire.Port, portPatience)
}

// answer writes one line. Where the lab is gone, reading ends serve.
func (s *server) answer(a wire.Answer) {
	line, err := json.Marshal(a)
	if err != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	_, _ = s.port.Write(append(line, '\n'))
}

// do answers one request.
func (s *server) do(q wire.Request) {
	var a wire.Answer
	var err error
	switch {
	case q.Run != nil:
		a, err = runProgram(q.Run)
	case q.Read != nil:
		a, err = readPiece(q.Read)
	case q.Write != nil:
		err = writePiece(q.Write)
	default:
		err = errors.New("nothing is asked for")
	}
	if a.ID = q.ID; err != nil {
		a.Fault = err.Error()
	}
	s.answer(a)
}

// runProgram runs a program to its end or its limit.
func runProgram(r *wire.Run) (wire.Answer, error) {
	if len(r.Argv) == 0 {
		return wire.Answer{}, errors.New("no program")
	}
	ctx, cancel := context.WithTimeout(context.Background(), r.Limit)
	defer cancel()
	var out, errs bounded
	cmd := exec.CommandContext(ctx, r.Argv[0], r.Argv[1:]...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	cmd.WaitDelay = time.Second
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if r.User != nil {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: r.User.UID, Gid: r.User.GID, Groups: r.User.Groups}
	}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	err := cmd.Run()
	a := wire.Answer{Data: out.Bytes(), Errs: errs.Bytes()}
	if ctx.Err() != nil {
		return a, fmt.Errorf("run %s: not done within %v", r.Argv[0], r.Limit)
	}
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		if a.Code = exit.ExitCode(); a.Code < 0 {
			a.Code = 128 + int(exit.Sys().(syscall.WaitStatus).Signal())
		}
	case errors.Is(err, exec.ErrWaitDelay): // a child that it left behind holds its output
	case errors.Is(err, fs.ErrPermission): // as a shell has it
		a.Code, a.Errs = 126, []byte(err.Error())
	case errors.Is(err, fs.ErrNotExist):
		a.Code, a.Errs = 127, []byte(err.Error())
	case err != nil:
		return a, err
	}
	return a, nil
}

// bounded keeps the first wire.MaxOut bytes.
type bounded struct{ bytes.Buffer }

func (b *bounded) Write(p []byte) (int, error) {
	_, _ = b.Buffer.Write(p[:min(len(p), wire.MaxOut-b.Len())])
	return len(p), nil
}

func readPiece(r *wire.Read) (wire.Answer, error) {
	f, err := os.Open(r.Name)
	if err != nil {
		return wire.Answer{}, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.NewSectionReader(f, r.Offset, wire.Chunk))
	return wire.Answer{Data: data, Last: len(data) < wire.Chunk}, err
}

func writePiece(w *wire.Write) error {
	flags := os.O_WRONLY | os.O_CREATE | os.O_TRUNC
	if w.Append {
		flags = os.O_WRONLY | os.O_APPEND
	}
	f, err := os.OpenFile(w.Name, flags, os.FileMode(w.Mode))
	if err != nil {
		return err
	}
	_, err = f.Write(w.Data)
	return errors.Join(err, f.Close())
}
