package rtsp

import (
	"errors"
	"net"
	"slices"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	// stallLimit is how long a reader's connection may take nothing at all.
	stallLimit = 10 * time.Second
	// drainChunk is what a draining goroutine writes under one deadline.
	drainChunk = 64 << 10
	// maxReplies bounds the replies and reports that may wait: a client that asks and never reads is cut off.
	maxReplies = 64 << 10
)

var (
	errStalled = errors.New("takes nothing")
	errReplies = errors.New("asks and does not read")
)

// writer is the sending half of a connection. Media from the fan-out and replies from the connection's goroutine go
// through it, so that neither tears the other apart. It never blocks its callers: what the kernel does not take waits
// in a bounded queue that a goroutine drains, and that goroutine lives only while there is something to drain.
type writer struct {
	conn    net.Conn
	fd      int // -1: not a socket of ours (TLS), everything goes through the queue
	stall   time.Duration
	drainFn func() // w.drain, made once, so that starting it costs no memory
	wg      *sync.WaitGroup

	// mu guards what follows. It is also the turn to write to the socket: the attempt under it never blocks.
	// Nobody but fail closes the connection, and that under it too: while failure is nil fd is this connection's.
	mu       sync.Mutex
	current  item // being written by the draining goroutine
	queue    []item
	media    int // bytes of media in current and queue
	replies  int // the same of the rest
	grace    int // bytes that a replay may have above the limit, until the queue is empty
	draining bool
	failure  error // the writer is closed
}

// item is something that waits: a delivery, or a reply (nil delivery).
type item struct {
	d    *delivery
	data []byte
}

// newWriter makes the writer of a connection that fails when nothing is taken for stall. The goroutines that it starts
// are counted in wg.
func newWriter(conn net.Conn, wg *sync.WaitGroup, stall time.Duration) *writer {
	w := &writer{conn: conn, wg: wg, stall: stall, fd: -1}
	w.drainFn = w.drain
	if tcp, ok := conn.(*net.TCPConn); ok {
		if raw, err := tcp.SyscallConn(); err == nil {
			_ = raw.Control(func(fd uintptr) { w.fd = int(fd) }) // fails on a closed connection only
		}
	}
	return w
}

// try writes what the kernel takes at once. The caller holds the lock, and nothing waits. It goes past the runtime's
// poller and scheduler, which cost a tenth of the system call: this one does not block.
func (w *writer) try(data []byte) (int, error) {
	for len(data) > 0 {
		n, _, errno := unix.RawSyscall(unix.SYS_WRITE, uintptr(w.fd), uintptr(unsafe.Pointer(&data[0])), uintptr(len(data)))
		switch errno {
		case 0:
			return int(n), nil
		case unix.EINTR:
			continue
		case unix.EAGAIN:
			return 0, nil
		}
		return 0, errno
	}
	return 0, nil
}

// deliver sends the packets of a delivery, now or as soon as the connection takes them. False: too much waits already;
// all media that was not begun is dropped, and the reader can use nothing before the next IDR.
func (w *writer) deliver(d *delivery, data []byte) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.failure != nil {
		return true
	}
	if w.draining && w.media+len(data) > d.limit+w.grace {
		w.dropMedia()
		return false
	}
	n, ok := w.direct(data)
	if !ok || n == len(data) {
		return true
	}
	w.media += len(data) - n
	w.enqueue(item{d.retain(), data[n:]}, n > 0)
	return true
}

// reply sends data that is not media. The writer keeps it until it is written.
func (w *writer) reply(data []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.failure != nil {
		return
	}
	n, ok := w.direct(data)
	if !ok || n == len(data) {
		return
	}
	w.replies += len(data) - n
	w.enqueue(item{nil, data[n:]}, n > 0)
	if w.replies > maxReplies {
		w.fail(errReplies)
	}
}

// direct writes at once if nothing waits. The caller holds the lock.
func (w *writer) direct(data []byte) (n int, ok bool) {
	if w.draining || w.fd < 0 {
		return 0, true
	}
	n, err := w.try(data)
	if err != nil {
		w.fail(err)
		return n, false
	}
	return n, true
}

// enqueue lets an item wait; one that was begun comes next. The caller holds the lock.
func (w *writer) enqueue(it item, begun bool) {
	if begun && !w.draining {
		w.current = it
	} else {
		w.queue = append(w.queue, it)
	}
	if !w.draining {
		w.draining = true
		w.wg.Add(1)
		go w.drainFn()
	}
}

// next takes the next item; false: nothing waits any more, and the draining goroutine ends.
func (w *writer) next() (item, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.failure == nil && w.current.data == nil && len(w.queue) > 0 {
		w.current = w.queue[0]
		w.queue = slices.Delete(w.queue, 0, 1)
	}
	if w.failure != nil || w.current.data == nil {
		w.endDrain()
		return item{}, false
	}
	return w.current, true
}

// endDrain goes back to direct writes. The caller holds the lock.
func (w *writer) endDrain() {
	_ = w.conn.SetWriteDeadline(time.Time{}) // fails on a closed connection only
	w.drop(w.current)
	w.current = item{}
	w.grace, w.draining = 0, false
	if w.fd >= 0 {
		w.queue = nil // a backlog is rare: its memory is not kept
	} else {
		w.queue = w.queue[:0]
	}
}

func (w *writer) drain() {
	defer w.wg.Done()
	for {
		it, ok := w.next()
		if !ok {
			return
		}
		err := w.write(it.data)
		w.mu.Lock()
		w.drop(w.current)
		w.current = item{}
		if err != nil {
			w.fail(err)
		}
		w.mu.Unlock()
	}
}

// write writes data in chunks, each under its own deadline, so that a slow reader is not a dead one.
func (w *writer) write(data []byte) error {
	for len(data) > 0 {
		if err := w.conn.SetWriteDeadline(time.Now().Add(w.stall)); err != nil {
			return err
		}
		n, err := w.conn.Write(data[:min(len(data), drainChunk)])
		if errors.Is(err, syscall.ETIMEDOUT) || isTimeout(err) {
			return errStalled
		}
		if err != nil {
			return err
		}
		data = data[n:]
	}
	return nil
}

func isTimeout(err error) bool {
	var t net.Error
	return errors.As(err, &t) && t.Timeout()
}

// drop forgets an item. The caller holds the lock.
func (w *writer) drop(it item) {
	if it.d != nil {
		w.media -= len(it.data)
		it.d.release()
	} else {
		w.replies -= len(it.data)
	}
}

// dropMedia forgets the media that was not begun. The caller holds the lock.
func (w *writer) dropMedia() {
	kept := w.queue[:0]
	for _, it := range w.queue {
		if it.d != nil {
			w.drop(it)
		} else {
			kept = append(kept, it)
		}
	}
	clear(w.queue[len(kept):])
	w.queue = kept
}

// discard forgets the media that was not begun: after PAUSE and TEARDOWN nothing comes.
func (w *writer) discard() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.dropMedia()
}

// allow lets a replay of that many bytes wait on top of the limit.
func (w *writer) allow(grace int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.grace = grace
}

// idle reports whether nothing waits.
func (w *writer) idle() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return !w.draining
}

// fail closes the connection under everybody who uses it. The caller holds the lock.
func (w *writer) fail(err error) {
	if w.failure != nil {
		return
	}
	w.failure = err
	for _, it := range w.queue {
		w.drop(it)
	}
	clear(w.queue)
	w.queue = nil
	closeHard(w.conn)
}

// close ends the writer and its connection, and returns why it had ended before, if it had.
func (w *writer) close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	err := w.failure
	w.fail(net.ErrClosed)
	return err
}

// closeHard closes without the farewell of TLS, which could wait for a peer that does not read.
func closeHard(conn net.Conn) {
	if c, ok := conn.(interface{ NetConn() net.Conn }); ok {
		conn = c.NetConn()
	}
	_ = conn.Close() // nothing is left to be told
}
