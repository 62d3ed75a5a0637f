package link

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/ocellus/ocellus/access"
	"github.com/ocellus/ocellus/console/link/wire"
)

const (
	// room is what is taken of a file before it is used, in bytes.
	room = 32 << 10
	// patience is how long a file that stopped coming is waited for: somebody plugs the cable in again.
	patience = 2 * time.Minute
)

// errStopped: nobody went on sending the file.
var errStopped = errors.New("the file stopped coming")

// upload is a file that comes, perhaps in several conversations. It is read in order, by who uses it, and never stored.
type upload struct {
	wire.File

	// Of the goroutine of Run alone.
	talk   *talk  // that brings it; it may have ended
	number uint16 // of its Put
	result []byte // how it ended; nil: it has not
	ended  time.Time

	mu     sync.Mutex // guards the rest
	came   *sync.Cond
	buffer []byte // came and was not read
	at     int64  // offset of the next byte to come
	fault  error  // why no more comes
	more   func() // tells that there is room; called without the lock
	told   int64  // up to there it was granted
}

// forgotten is when what is left of a file that has ended goes: its result waits for whoever sent it.
func (u *upload) forgotten() time.Time {
	if u.result == nil {
		return time.Time{}
	}
	return u.ended.Add(patience)
}

// Read implements io.Reader, in order; it waits for what has not come.
func (u *upload) Read(p []byte) (int, error) {
	u.mu.Lock()
	late := time.AfterFunc(patience, func() { u.stop(errStopped) })
	for len(u.buffer) == 0 && u.fault == nil && u.at < u.Size {
		u.came.Wait()
	}
	late.Stop()
	n := copy(p, u.buffer)
	u.buffer = append(u.buffer[:0], u.buffer[n:]...)
	var err error
	if n == 0 && len(p) > 0 {
		if err = u.fault; err == nil {
			err = io.EOF
		}
	}
	low := u.low()
	u.mu.Unlock()
	if low {
		u.more()
	}
	return n, err
}

// low reports whether more may be granted. Called with the lock.
func (u *upload) low() bool {
	return u.told < u.Size && u.told-u.at+int64(len(u.buffer)) <= room/2
}

// Skip leaves n bytes out: those that have not come are never sent. What is left out behind the end is an
// io.ErrUnexpectedEOF.
func (u *upload) Skip(n int64) error {
	u.mu.Lock()
	have := min(n, int64(len(u.buffer)))
	u.buffer = append(u.buffer[:0], u.buffer[have:]...)
	n -= have
	err := u.fault
	if n > u.Size-u.at {
		n, err = u.Size-u.at, io.ErrUnexpectedEOF
	}
	u.at += n
	low := u.low()
	u.mu.Unlock()
	if low {
		u.more()
	}
	return err
}

// Hears tells who uses the file that its sender hears the answer while he still sends: on a slow line, what is refused
// is refused at once.
func (u *upload) Hears() {}

// stop lets nothing more come.
func (u *upload) stop(why error) {
	u.mu.Lock()
	if u.fault == nil {
		u.fault = why
	}
	u.mu.Unlock()
	u.came.Broadcast()
}

// add takes bytes that came. Those that came before are dropped; so is what nobody granted.
func (u *upload) add(p wire.Part) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if skip := u.at - p.At; skip >= 0 && skip < int64(len(p.Bytes)) && p.At+int64(len(p.Bytes)) <= u.told {
		u.buffer = append(u.buffer, p.Bytes[skip:]...)
		u.at = p.At + int64(len(p.Bytes))
		u.came.Broadcast()
	}
}

// grant is what may come next.
func (u *upload) grant() wire.Grant {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.told = max(u.told, min(u.at+room-int64(len(u.buffer)), u.Size))
	return wire.Grant{From: u.at, To: u.told}
}

// put begins a file, or goes on with the one that broke off.
func (d *desk) put(t *talk, m wire.Message) {
	who, ok := d.known(t, m)
	if !ok {
		return
	}
	f, err := wire.ParseFile(m.Body)
	u := d.upload
	switch {
	case err != nil:
		d.refuse(t, m.Number, codeBad, clip(err.Error()))
		return
	case d.Take == nil:
		d.refuse(t, m.Number, codeNone, "this camera takes no files")
		return
	case !who.May(access.Update):
		d.refuse(t, m.Number, codeDenied, fmt.Sprintf("role %q may not %s", who.Role, access.Update))
		return
	case u != nil && u.File != f && u.result == nil && u.talk == d.talk:
		d.refuse(t, m.Number, codeBusy, "another file comes already")
		return
	case u != nil && u.File != f:
		u.stop(fmt.Errorf("%w: another one came", errStopped))
		fallthrough
	case u == nil:
		u = d.begin(f, who)
	}
	u.talk, u.number = t, m.Number
	if u.result != nil { // all of it came, and the line broke off before the answer
		d.finish(u)
		return
	}
	d.grantTo(u)
}

// begin gives a new file to who uses it.
func (d *desk) begin(f wire.File, who access.Identity) *upload {
	u := &upload{File: f}
	u.came = sync.NewCond(&u.mu)
	u.more = func() { d.call(d.ctx, func() { d.grantTo(u) }) }
	d.upload = u
	before := d.using
	done := make(chan struct{})
	d.using = done
	d.jobs.Go(func() {
		defer close(done)
		if before != nil { // the file of before is still being let go
			<-before
		}
		stop := context.AfterFunc(d.ctx, func() { u.stop(errStopped) })
		result := d.Take(d.ctx, who, u, f.Now)
		stop()
		u.stop(errStopped)
		d.call(d.ctx, func() {
			u.result, u.ended = result, time.Now()
			if u == d.upload {
				d.finish(u)
			}
		})
	})
	return u
}

// finish says how a file ended, to whoever is there to hear it. Who is not may ask again for a while.
func (d *desk) finish(u *upload) {
	if u.talk != d.talk {
		return
	}
	d.send(u.talk, wire.Message{Kind: wire.Result, Number: u.number, Body: u.result})
}

// grantTo says what of a file may come.
func (d *desk) grantTo(u *upload) {
	if u.talk == d.talk && u.result == nil {
		d.send(u.talk, wire.Message{Kind: wire.Credit, Number: u.number, Body: u.grant().Marshal()})
	}
}

// part takes a piece of the file that comes.
func (d *desk) part(t *talk, m wire.Message) {
	p, err := wire.ParsePart(m.Body)
	if err == nil && d.upload != nil && d.upload.talk == t && d.upload.number == m.Number {
		d.upload.add(p)
	}
}
