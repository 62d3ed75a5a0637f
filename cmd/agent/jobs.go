package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"io/fs"
	"log/slog"
	"sync"
	"time"

	"github.com/ocellus/ocellus/control"
	"github.com/ocellus/ocellus/internal/statefile"
	"github.com/ocellus/ocellus/ota"
)

// jobsName is the file of the job that is under way.
const jobsName = "jobs"

// jobs are the commands that end after a restart: reboot, ota.install and ota.rollback. Which one was begun is on the
// disk before it is; how it ended is an event, job.ended, of the same id as the command. There is one at a time.
//
//	none --begin: stored--> running --refused: told in the reply--> none
//	                           |  `--restart--> left --nothing is under way: job.ended--> none
type jobs struct {
	file *statefile.File[job]
	tell func(control.Class, string, any)
	log  *slog.Logger
	look chan struct{} // an update changed; capacity 1, a second change is the first

	mu   sync.Mutex // guards the rest, over its write too
	now  job        // its ID is empty: none
	left bool       // it is of an earlier process, or its reply was given
}

// job is what the file holds. Fields are only added.
type job struct {
	ID        string    `json:"id"` // of the command, hexadecimal; empty: there is none
	Operation string    `json:"operation"`
	Began     time.Time `json:"began"`
}

// jobEnded is the detail of the event job.ended. Its keys are wire format.
type jobEnded struct {
	Job       string     `json:"job"`
	Operation string     `json:"operation"`
	Code      string     `json:"code"` // ok, failed, interrupted
	Version   string     `json:"version,omitempty"`
	Reason    ota.Reason `json:"reason,omitempty"`
	Text      string     `json:"text,omitempty"`
}

// begin is that of the agent's jobs, where it has any.
func (a *agent) begin(ctx context.Context, operation string) (done func(err error)) {
	if a.control == nil {
		return func(error) {}
	}
	return a.control.jobs.begin(ctx, operation)
}

// jobsChanged hears of each change of an update, from the engine, which does not wait for a disk.
func (a *agent) jobsChanged(ota.Status) {
	if a.control == nil || a.control.jobs == nil {
		return
	}
	select {
	case a.control.jobs.look <- struct{}{}:
	default:
	}
}

// runJobs looks at each change whether a job has ended.
func (c *controls) runJobs(ctx context.Context) error {
	for {
		c.jobs.settle(c.a.updates.status())
		select {
		case <-ctx.Done():
			return nil
		case <-c.jobs.look:
		}
	}
}

// openJobs reads what was begun before the restart. One that can't be read is nobody's any more.
func openJobs(place statefile.Place, tell func(control.Class, string, any), log *slog.Logger) *jobs {
	j := &jobs{file: statefile.At[job](place, 1), tell: tell, log: log.With("part", "jobs"),
		look: make(chan struct{}, 1)}
	v, _, err := j.file.Load()
	switch {
	case err == nil:
		j.now, j.left = v, true
	case !errors.Is(err, fs.ErrNotExist):
		j.log.Warn("nobody knows what was begun before the restart", "err", err)
	}
	return j
}

// begin stores that something is begun; what is begun later takes its place. done ends it at once where it was refused,
// and leaves it to settle where not. A job that can't be stored is done all the same: it ends without an event.
func (j *jobs) begin(ctx context.Context, operation string) (done func(err error)) {
	if j == nil {
		return func(error) {}
	}
	v := job{ID: jobID(ctx), Operation: operation, Began: time.Now().UTC()}
	j.mu.Lock()
	defer j.mu.Unlock()
	if err := j.file.Store(v); err != nil {
		j.log.Warn("job not stored", "operation", operation, "err", err)
	}
	j.now, j.left = v, false
	return func(err error) {
		j.mu.Lock()
		defer j.mu.Unlock()
		switch {
		case j.now.ID != v.ID:
		case err != nil:
			j.forget()
		default:
			j.left = operation != "reboot" // that one ends in the next process alone
		}
	}
}

// jobID is the id of the command that is being done; one of its own where it came by a door without envelopes.
func jobID(ctx context.Context) string {
	id, ok := control.CommandID(ctx)
	if !ok {
		_, _ = rand.Read(id[:]) // never fails
	}
	return hex.EncodeToString(id[:])
}

// forget takes the job off the disk. The caller holds mu.
func (j *jobs) forget() {
	j.now = job{}
	if err := j.file.Store(j.now); err != nil {
		j.log.Warn("job not forgotten: it may be told again", "err", err)
	}
}

// settle tells how a job ended that outlived its process or its reply, once nothing is under way any more.
func (j *jobs) settle(s ota.Status) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.now.ID == "" || !j.left {
		return
	}
	ended, over := outcome(j.now, s)
	if !over {
		return
	}
	j.tell(control.Lifecycle, "job.ended", ended) // on the disk before the job is forgotten: twice at worst, never lost
	j.forget()
}

// outcome is how a job ended, by what the update engine says; over: it has.
func outcome(v job, s ota.Status) (ended jobEnded, over bool) {
	ended = jobEnded{Job: v.ID, Operation: v.Operation, Code: codeOK}
	if v.Operation == "reboot" {
		return ended, true
	}
	ended.Version, ended.Reason, ended.Text = s.Version, s.Reason, s.Detail
	switch s.State {
	case ota.Confirmed:
		return ended, true
	case ota.Failed:
		ended.Code = codeFailed
		return ended, true
	case ota.Idle: // a power cut in the middle, or somebody took it back
		ended.Code = control.CodeInterrupted
		return ended, true
	}
	return ended, false
}

// status is what the engine says; a board without one rests.
func (u *updates) status() ota.Status {
	if u == nil || u.engine == nil {
		return ota.Status{State: ota.Idle}
	}
	return u.engine.Status()
}

// watchInstall tells whoever asked how far an update is, until the function that it returns is called.
func (u *updates) watchInstall(ctx context.Context) (stop func()) {
	const pace = 2 * time.Second
	toldProgress(ctx, 0)
	inner, cancel := context.WithCancel(ctx)
	var watch sync.WaitGroup
	watch.Go(func() {
		tick := time.NewTicker(pace)
		defer tick.Stop()
		last := 0
		for {
			select {
			case <-inner.Done():
				return
			case <-tick.C:
			}
			if p := installed(u.engine.Status()); p > last {
				last = p
				toldProgress(ctx, p)
			}
		}
	})
	return func() { cancel(); watch.Wait() }
}

// installed is how far an update is, in percent of what comes before the restart: writing takes most of the time.
func installed(s ota.Status) int {
	const writing = 80
	switch {
	case s.State == ota.Writing && s.Phase == ota.PhaseWriting:
		return s.Percent * writing / 100
	case s.State == ota.Writing:
		return writing + s.Percent*(99-writing)/100
	case s.State == ota.Written, s.State == ota.Armed:
		return 99
	}
	return 0
}
