package virt

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/ocellus/ocellus/lab/hand/wire"
)

// User is whose rights a program in the board has.
type User = wire.User

// Agent is the agent's user, as the image has it, with the groups of cameras and of Wi-Fi.
func Agent() User { return User{UID: 1000, GID: 1000, Groups: []uint32{44, 1002}} }

// Ran is what a program in the board left.
type Ran struct {
	Out, Errs string
	Code      int // 128 and more: a signal ended it
}

// Run runs a program in the board as root, for a minute at most.
func (b *Board) Run(argv ...string) Ran {
	b.t.Helper()
	return b.run(wire.Run{Argv: argv, Limit: runLimit})
}

// RunFor is Run with another limit.
func (b *Board) RunFor(limit time.Duration, argv ...string) Ran {
	b.t.Helper()
	return b.run(wire.Run{Argv: argv, Limit: limit})
}

// RunAs is Run with a user's rights.
func (b *Board) RunAs(u User, argv ...string) Ran {
	b.t.Helper()
	return b.run(wire.Run{Argv: argv, User: &u, Limit: runLimit})
}

// RunAsFor is RunAs with another limit.
func (b *Board) RunAsFor(u User, limit time.Duration, argv ...string) Ran {
	b.t.Helper()
	return b.run(wire.Run{Argv: argv, User: &u, Limit: limit})
}

// Hand runs a verb of the hand (lab/hand/main.go) and returns what it prints. It fails the test where the verb does.
func (b *Board) Hand(words ...string) string {
	b.t.Helper()
	return b.good(append([]string{"/lab/hand"}, words...)...)
}

// Try runs a script in busybox's shell.
func (b *Board) Try(script string) Ran {
	b.t.Helper()
	return b.Run("/bin/busybox", "sh", "-c", script)
}

// Sh runs a script in busybox's shell and returns what it prints. It fails the test where the script does.
func (b *Board) Sh(script string) string {
	b.t.Helper()
	return b.good("/bin/busybox", "sh", "-c", script)
}

func (b *Board) good(argv ...string) string {
	b.t.Helper()
	r := b.Run(argv...)
	if r.Code != 0 {
		b.t.Fatalf("in the board: %s: exit code %d: %s%s", strings.Join(argv, " "), r.Code, r.Out, r.Errs)
	}
	return r.Out
}

func (b *Board) run(r wire.Run) Ran {
	b.t.Helper()
	a, err := b.machine.hand.ask(wire.Request{Run: &r}, r.Limit+handDelay, b.machine.ended)
	if err != nil {
		b.t.Fatalf("in the board: %s: %v\n%s%s", strings.Join(r.Argv, " "), err, a.Data, a.Errs)
	}
	return Ran{string(a.Data), string(a.Errs), a.Code}
}

// Put writes a file of the board.
func (b *Board) Put(name string, data []byte, mode fs.FileMode) {
	b.t.Helper()
	w := wire.Write{Name: name, Mode: uint32(mode.Perm())}
	for {
		n := min(len(data), wire.Chunk)
		w.Data, data = data[:n], data[n:]
		if _, err := b.machine.hand.ask(wire.Request{Write: &w}, runLimit, b.machine.ended); err != nil {
			b.t.Fatalf("in the board: write: %v", err)
		}
		if len(data) == 0 {
			return
		}
		w.Append = true
	}
}

// Get reads a file of the board.
func (b *Board) Get(name string) []byte {
	b.t.Helper()
	var data []byte
	for {
		a, err := b.machine.hand.ask(wire.Request{Read: &wire.Read{Name: name, Offset: int64(len(data))}}, runLimit,
			b.machine.ended)
		if err != nil {
			b.t.Fatalf("in the board: read: %v", err)
		}
		data = append(data, a.Data...)
		if a.Last {
			return data
		}
	}
}

// handDelay is what the hand may take beside the program that it runs.
const handDelay = 20 * time.Second

var errBoardNew = errors.New("the board has begun anew meanwhile")

// hand asks the hand in the board.
type hand struct {
	conn net.Conn

	mu      sync.Mutex // guards the rest
	next    uint64
	waiting map[uint64]chan wire.Answer // each has room for its one answer
	boots   int                         // how often a hand of a new boot said hello
	boot    string                      // the last boot's number
	news    chan struct{}               // closed at the next hello, and made anew
}

func newHand(conn net.Conn) *hand {
	return &hand{conn: conn, waiting: map[uint64]chan wire.Answer{}, news: make(chan struct{})}
}

// read takes answers until the machine ends.
func (h *hand) read() {
	lines := bufio.NewScanner(h.conn)
	lines.Buffer(make([]byte, 64<<10), wire.MaxLine)
	for lines.Scan() {
		var a wire.Answer
		if json.Unmarshal(lines.Bytes(), &a) == nil {
			h.take(a)
		}
	}
}

func (h *hand) take(a wire.Answer) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if a.Hello == "" {
		if asked := h.waiting[a.ID]; asked != nil {
			delete(h.waiting, a.ID)
			asked <- a
		}
		return
	}
	for id, asked := range h.waiting {
		delete(h.waiting, id)
		asked <- wire.Answer{Fault: errBoardNew.Error()}
	}
	if a.Hello != h.boot {
		h.boots++
		h.boot = a.Hello
	}
	close(h.news)
	h.news = make(chan struct{})
}

// ask sends a request and waits for its answer.
func (h *hand) ask(q wire.Request, limit time.Duration, ended <-chan struct{}) (wire.Answer, error) {
	answer := make(chan wire.Answer, 1)
	h.mu.Lock()
	h.next++
	q.ID = h.next
	h.waiting[q.ID] = answer
	h.mu.Unlock()
	defer func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(h.waiting, q.ID)
	}()
	line, err := json.Marshal(q)
	if err == nil {
		err = h.conn.SetWriteDeadline(time.Now().Add(limit))
	}
	if err == nil {
		_, err = h.conn.Write(append(line, '\n'))
	}
	if err != nil {
		return wire.Answer{}, err
	}
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case a := <-answer:
		if a.Fault != "" {
			return a, errors.New(a.Fault)
		}
		return a, nil
	case <-timer.C:
		return wire.Answer{}, fmt.Errorf("the hand does not answer within %v", limit)
	case <-ended:
		return wire.Answer{}, errEnded
	}
}

// count tells how many boots have said hello.
func (h *hand) count() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.boots
}

// await waits until more boots than these have said hello, and returns how many have.
func (h *hand) await(boots int, limit time.Duration, ended <-chan struct{}) (int, error) {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	for {
		h.mu.Lock()
		n, news := h.boots, h.news
		h.mu.Unlock()
		if n > boots {
			return n, nil
		}
		select {
		case <-news:
		case <-timer.C:
			return n, fmt.Errorf("the hand does not answer within %v", limit)
		case <-ended:
			return n, errEnded
		}
	}
}
