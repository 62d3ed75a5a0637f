package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ocellus/ocellus/access"
)

// The local socket: STATE/agent.sock, one question a connection, a line of JSON each way.
//
//	> {"command":"viewer.add","args":{"name":"anna"}}
//	< {"code":"ok","result":{"name":"anna","password":"..."}}
//	< {"code":"exists","text":"add viewer anna: viewer exists already"}
//
// Behind the question may come what the command works on: a bundle with an update.
//
// Who connects is asked of the kernel (SO_PEERCRED, unix(7)): root and the agent's own user are the camera's owner,
// everybody else is refused.
const (
	socketName   = "agent.sock"
	maxRequest   = 64 << 10
	maxResponse  = 32 << 20 // a JPEG picture, in base64
	maxLocal     = 16       // connections at once; further ones wait in the kernel's queue
	localPatient = 5 * time.Second
)

type request struct {
	Command string          `json:"command"`
	Args    json.RawMessage `json:"args,omitempty"`
}

type response struct {
	Code   string          `json:"code"`
	Text   string          `json:"text,omitempty"`
	Result json.RawMessage `json:"result,omitempty"`
}

// door answers on the local socket.
type door struct {
	log   *slog.Logger
	in    *net.UnixListener
	table []command
	uid   uint32 // whose word counts, beside root's
}

// openDoor listens in the state directory, whose lock the caller holds: a socket that is there already is a dead one.
func openDoor(state string, table []command, log *slog.Logger) (*door, error) {
	path := filepath.Join(state, socketName)
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("local socket: %w", err)
	}
	short, done := shorten(state)
	defer done()
	in, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(short, socketName), Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("local socket: %w", err)
	}
	in.SetUnlinkOnClose(false)
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("local socket: %w", err), in.Close())
	}
	return &door{log.With("part", "socket"), in, table, uint32(os.Geteuid())}, nil
}

// shorten gives a directory a name that fits into a socket address (108 bytes, unix(7)) whatever its path is.
func shorten(dir string) (string, func()) {
	nothing := func() {}
	if len(dir)+len(socketName)+1 < 100 {
		return dir, nothing
	}
	f, err := os.Open(dir)
	if err != nil {
		return dir, nothing
	}
	return "/proc/self/fd/" + strconv.Itoa(int(f.Fd())), func() { _ = f.Close() }
}

// Run answers until ctx ends.
func (d *door) Run(ctx context.Context) error {
	var open sync.WaitGroup
	defer open.Wait()
	stop := context.AfterFunc(ctx, func() { _ = d.in.Close() })
	defer stop()
	room := make(chan struct{}, maxLocal) // a slot for each connection; full: Accept waits
	for {
		room <- struct{}{}
		conn, err := d.in.AcceptUnix()
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("local socket: %w", err)
		}
		open.Go(func() {
			defer func() { <-room }()
			d.serve(ctx, conn)
		})
	}
}

// serve answers one question.
func (d *door) serve(ctx context.Context, conn *net.UnixConn) {
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	defer conn.Close()
	_ = conn.SetReadDeadline(time.Now().Add(localPatient))
	who, err := d.peer(conn)
	var result any
	if err == nil {
		result, err = d.answer(ctx, who, conn)
	}
	_ = conn.SetWriteDeadline(time.Now().Add(localPatient))
	if _, err := conn.Write(append(encodeResponse(result, err), '\n')); err != nil {
		d.log.Debug("local answer not delivered", "err", err)
	}
}

func (d *door) answer(ctx context.Context, who access.Identity, conn net.Conn) (any, error) {
	in := bufio.NewReaderSize(conn, maxRequest+1)
	req, err := readRequest(in)
	if err != nil {
		return nil, err
	}
	result, err := do(withBody(ctx, body{conn, in}), d.table, who, req.Command, req.Args)
	d.log.Info("local command", "command", clip(req.Command), "who", who.Name, "code", codeOf(err))
	return result, err
}

// readRequest reads one line (or all, up to the end) of at most maxRequest bytes. What follows stays in from.
func readRequest(from *bufio.Reader) (request, error) {
	var req request
	line, err := from.ReadSlice('\n')
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, bufio.ErrBufferFull) {
		return req, fmt.Errorf("%w: %w", errBadRequest, err)
	}
	if len(line) > maxRequest {
		return req, fmt.Errorf("%w: more than %d bytes", errBadRequest, maxRequest)
	}
	if err := strictJSON(line, &req); err != nil {
		return req, fmt.Errorf("%w: %w", errBadRequest, err)
	}
	return req, nil
}

func encodeResponse(result any, err error) []byte {
	r := response{Code: codeOf(err)}
	if err != nil {
		r.Text = err.Error()
	} else if r.Result, err = json.Marshal(result); err != nil {
		r = response{Code: codeFailed, Text: err.Error()}
	}
	raw, err := json.Marshal(r)
	if err != nil {
		return []byte(`{"code":"failed"}`)
	}
	return raw
}

// peer asks the kernel who is on the other end.
func (d *door) peer(conn *net.UnixConn) (access.Identity, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return access.Identity{}, err
	}
	var cred *unix.Ucred
	var credErr error
	err = raw.Control(func(fd uintptr) {
		cred, credErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	})
	if err := errors.Join(err, credErr); err != nil {
		return access.Identity{}, fmt.Errorf("local socket: peer: %w", err)
	}
	if cred.Uid != 0 && cred.Uid != d.uid {
		d.log.Warn("local socket: stranger refused", "uid", cred.Uid)
		return access.Identity{}, fmt.Errorf("user %d: %w", cred.Uid, access.ErrDenied)
	}
	return access.Identity{Name: fmt.Sprintf("uid %d", cred.Uid), Role: access.Owner}, nil
}

// errNotRunning: there is no agent behind the socket.
var errNotRunning = errors.New("no agent is running")

// errGone: the agent ended, and with it the question.
var errGone = errors.New("the agent ended before it answered")

// call asks the running agent and decodes its answer into result.
func call(ctx context.Context, state, name string, args, result any) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	return converse(ctx, state, name, args, nil, result)
}

// converse is call without a limit, and with something behind the question; behind may be nil.
func converse(ctx context.Context, state, name string, args any, behind io.Reader, result any) error {
	short, done := shorten(state)
	defer done()
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", filepath.Join(short, socketName))
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ECONNREFUSED) {
		return fmt.Errorf("%w with the state in %s; start it, or name its directory with --state", errNotRunning, state)
	}
	if errors.Is(err, os.ErrPermission) {
		return fmt.Errorf("%w: only root and the agent's own user may ask it", err)
	}
	if err != nil {
		return err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	raw, err := json.Marshal(args)
	if err != nil {
		return err
	}
	question, err := json.Marshal(request{name, raw})
	if err != nil {
		return err
	}
	if _, err := conn.Write(append(question, '\n')); err != nil {
		return err
	}
	if behind != nil {
		defer send(conn.(*net.UnixConn), behind)()
	}
	answer, err := io.ReadAll(io.LimitReader(conn, maxResponse))
	if err != nil {
		return err
	}
	return decodeResponse(answer, result)
}

// send sends what stands behind a question while its answer is waited for. An agent that refuses reads no more; it says
// why in its answer. The returned function waits for the end of it.
func send(conn *net.UnixConn, behind io.Reader) (wait func()) {
	var sending sync.WaitGroup
	sending.Go(func() {
		if _, err := io.Copy(conn, behind); err == nil {
			_ = conn.CloseWrite()
		}
	})
	return func() {
		_ = conn.Close()
		sending.Wait()
	}
}

func decodeResponse(raw []byte, result any) error {
	var r response
	if len(raw) == 0 {
		return errGone
	}
	if err := json.Unmarshal(raw, &r); err != nil {
		return fmt.Errorf("the agent's answer: %w", err)
	}
	if r.Code != codeOK {
		return &answerError{r.Code, r.Text}
	}
	return json.Unmarshal(r.Result, result)
}

// answerError is what the running agent refused, with its code.
type answerError struct{ code, text string }

func (e *answerError) Error() string { return e.text }
