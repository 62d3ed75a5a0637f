package main

import (
	"bytes"
	"context"
	"log/slog"
	"regexp"
	"strings"
	"sync"
	"time"
)

// Bounds of the journal.
const (
	maxLines = 400
	maxLine  = 400 // bytes
)

// journal keeps the last lines of the log in memory, for the owner who asks from afar. Secrets print as ***, so they
// are not in it; what people write into URLs is taken out.
type journal struct {
	mu    sync.Mutex // guards the rest
	lines []line
	ears  map[*ear]bool
}

// ear is somebody who hears each line as it comes.
type ear struct {
	level slog.Level
	part  string // empty: all
	tell  func(line string)
}

// follow tells each line that is at least of this level, and of this part where one is named, until ctx ends. tell must
// not block and not log.
func (j *journal) follow(ctx context.Context, level slog.Level, part string, tell func(line string)) error {
	e := &ear{level, part, tell}
	j.mu.Lock()
	if j.ears == nil {
		j.ears = map[*ear]bool{}
	}
	j.ears[e] = true
	j.mu.Unlock()
	<-ctx.Done()
	j.mu.Lock()
	defer j.mu.Unlock()
	delete(j.ears, e)
	return nil
}

// hear tells a line to who follows.
func (j *journal) hear(level slog.Level, text string) {
	for e := range j.ears {
		if level >= e.level && (e.part == "" || strings.Contains(text+" ", " part="+e.part+" ")) {
			e.tell(text)
		}
	}
}

// line is one of the log.
type line struct {
	Time time.Time `json:"time"`
	Text string    `json:"text"`
}

var userinfo = regexp.MustCompile(`//[^/@\s"]*:[^/@\s"]*@`)

func (j *journal) add(at time.Time, level slog.Level, text string) {
	text = userinfo.ReplaceAllString(text, "//***@")
	j.mu.Lock()
	defer j.mu.Unlock()
	text = text[:min(len(text), maxLine)]
	j.hear(level, text)
	j.lines = append(j.lines, line{at, text})
	if len(j.lines) > maxLines {
		j.lines = append([]line{}, j.lines[len(j.lines)-maxLines/2:]...)
	}
}

// since returns the lines that are not older.
func (j *journal) since(at time.Time) []line {
	j.mu.Lock()
	defer j.mu.Unlock()
	list := []line{}
	for _, l := range j.lines {
		if !l.Time.Before(at) {
			list = append(list, l)
		}
	}
	return list
}

// tee writes to the journal what a handler handles.
type tee struct {
	slog.Handler
	kept *teeJournal
}

// teeJournal is the second handler: text into a buffer, one line at a time.
type teeJournal struct {
	slog.Handler
	mu     *sync.Mutex // guards buffer
	buffer *bytes.Buffer
	to     *journal
}

// both returns a handler that keeps a copy of what goes to h.
func (j *journal) both(h slog.Handler) slog.Handler {
	b := &bytes.Buffer{}
	return tee{h, &teeJournal{slog.NewTextHandler(b, nil), &sync.Mutex{}, b, j}}
}

// Handle implements slog.Handler.
func (t tee) Handle(ctx context.Context, r slog.Record) error {
	t.kept.mu.Lock()
	t.kept.buffer.Reset()
	if t.kept.Handler.Handle(ctx, r) == nil {
		t.kept.to.add(r.Time, r.Level, string(bytes.TrimSpace(t.kept.buffer.Bytes())))
	}
	t.kept.mu.Unlock()
	return t.Handler.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (t tee) WithAttrs(attrs []slog.Attr) slog.Handler {
	k := *t.kept
	k.Handler = k.Handler.WithAttrs(attrs)
	return tee{t.Handler.WithAttrs(attrs), &k}
}

// WithGroup implements slog.Handler.
func (t tee) WithGroup(name string) slog.Handler {
	k := *t.kept
	k.Handler = k.Handler.WithGroup(name)
	return tee{t.Handler.WithGroup(name), &k}
}
