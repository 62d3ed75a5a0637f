package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/ocellus/ocellus/internal/redact"
	"github.com/ocellus/ocellus/internal/secret"
)

// Bounds of a support bundle, in bytes.
const (
	maxSupportFile = 384 << 10 // of each file in it
	maxSupport     = 2 << 20   // packed
	supportPiece   = 192 << 10
	supportLasts   = 5 * time.Minute // so long a bundle waits to be fetched
)

// supported is a file of a support bundle.
type supported struct {
	Name  string `json:"name"`
	About string `json:"about"` // in plain words
	Bytes int    `json:"bytes"`
	text  []byte
}

// supportBundle is one that waits to be fetched.
type supportBundle struct {
	id    string
	raw   []byte
	sum   [sha256.Size]byte
	files []supported
}

// supports holds the last bundle. The zero value holds none.
type supports struct {
	mu   sync.Mutex // guards the rest
	last *supportBundle
	end  *time.Timer
}

// supportArgs ask for a new bundle, or for a piece of one.
type supportArgs struct {
	ID     string `json:"id,omitempty"` // empty: make one, and tell what is in it
	Offset int    `json:"offset,omitempty"`
}

// supportAnswer is what support tells. Its keys are wire format: only ever added.
type supportAnswer struct {
	ID     string      `json:"id"`
	Bytes  int         `json:"bytes"`           // of the whole
	SHA256 string      `json:"sha256"`          // of the whole
	Files  []supported `json:"files,omitempty"` // of a new one
	Hidden string      `json:"hidden,omitempty"`
	Offset int         `json:"offset"`
	Data   []byte      `json:"data,omitempty"` // a piece of it, from there
}

// apart gives an envelope the piece as it is: it needs no base64 there.
func (s supportAnswer) apart() (rest any, blob []byte) {
	blob, s.Data = s.Data, nil
	return s, blob
}

// hiddenWords is what every bundle says of what is not in it.
const hiddenWords = "Taken out of every file, and replaced by ***: names and passwords of networks, passwords, keys, " +
	"tokens, serial numbers, the label, MAC addresses, names of people. There is no picture and no sound in it."

// support makes a bundle, or tells a piece of the last one.
func (a *agent) support(ctx context.Context, args supportArgs) (any, error) {
	if args.ID == "" {
		b, err := a.makeSupport(ctx)
		if err != nil {
			return nil, err
		}
		a.supports.keep(b)
		return supportAnswer{ID: b.id, Bytes: len(b.raw), SHA256: hex.EncodeToString(b.sum[:]), Files: b.files,
			Hidden: hiddenWords}, nil
	}
	b := a.supports.find(args.ID)
	switch {
	case b == nil:
		return nil, fmt.Errorf("support bundle %s: it waited for too long, or there is a newer one: %w", clip(args.ID),
			errNotFound)
	case args.Offset < 0 || args.Offset > len(b.raw):
		return nil, fmt.Errorf("%w: offset: want 0 to %d", errBadRequest, len(b.raw))
	}
	end := min(args.Offset+supportPiece, len(b.raw))
	return supportAnswer{ID: b.id, Bytes: len(b.raw), SHA256: hex.EncodeToString(b.sum[:]), Offset: args.Offset,
		Data: b.raw[args.Offset:end]}, nil
}

// keep holds a bundle for a while, in the place of the one before.
func (s *supports) keep(b *supportBundle) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.end != nil {
		s.end.Stop()
	}
	s.last = b
	s.end = time.AfterFunc(supportLasts, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.last == b {
			s.last = nil
		}
	})
}

func (s *supports) find(id string) *supportBundle {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.last == nil || s.last.id != id {
		return nil
	}
	return s.last
}

// makeSupport gathers, redacts and packs.
func (a *agent) makeSupport(ctx context.Context) (*supportBundle, error) {
	var people redact.Redactor
	people.Know("people", a.people()...)
	a.hide()
	files := a.gather(ctx)
	for i, f := range files {
		f.text = redacted(f, a.hidden, &people)
		if over := len(f.text) - maxSupportFile; over > 0 { // the end is the newest
			f.text = append([]byte("(its beginning is left out)\n"), f.text[over:]...)
		}
		f.Bytes = len(f.text)
		files[i] = f
	}
	readme := supported{Name: "README.txt", About: "this list"}
	readme.text = readmeOf(files)
	readme.Bytes = len(readme.text)
	b := &supportBundle{files: append([]supported{readme}, files...)}
	var err error
	if b.raw, err = packed("support", b.files, time.Now()); err != nil {
		return nil, fmt.Errorf("support bundle: %w", err)
	}
	if len(b.raw) > maxSupport {
		return nil, fmt.Errorf("support bundle: %d bytes, at most %d", len(b.raw), maxSupport)
	}
	b.sum = sha256.Sum256(b.raw)
	b.id = hex.EncodeToString(b.sum[:8])
	return b, nil
}

// redacted is a file without what nobody may read; one that can't be read by who takes it out is left out.
func redacted(f supported, by ...*redact.Redactor) []byte {
	text := f.text
	for _, r := range by {
		if !strings.HasSuffix(f.Name, ".json") {
			text = []byte(r.Text(string(text)))
			continue
		}
		var err error
		if text, err = r.JSON(text); err != nil {
			return []byte("{}\n")
		}
	}
	return text
}

// people are the names of whom the owner let in.
func (a *agent) people() (names []secret.Secret) {
	if a.owner == nil {
		return nil
	}
	for _, v := range a.gate.Viewers() {
		names = append(names, secret.Secret(v.Name))
	}
	for _, g := range a.owner.Grants() {
		names = append(names, secret.Secret(g.Name))
	}
	return names
}

func readmeOf(files []supported) []byte {
	var b strings.Builder
	b.WriteString("A support bundle of an Ocellus camera.\n\n")
	for _, f := range files {
		fmt.Fprintf(&b, "%-14s %s\n", f.Name, f.About)
	}
	fmt.Fprintf(&b, "\n%s\n", hiddenWords)
	return []byte(b.String())
}
