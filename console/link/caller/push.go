package caller

import (
	"context"
	"fmt"
	"io"

	"github.com/ocellus/ocellus/console/link/wire"
)

// Refusal is what a camera does not do, and why.
type Refusal struct{ wire.No }

func (r *Refusal) Error() string {
	if r.Text == "" {
		return r.Code
	}
	return r.Code + ": " + r.Text
}

// Refused is the *Refusal in an answer; nil where it is none.
func Refused(m wire.Message) error {
	if m.Kind != wire.Refused {
		return nil
	}
	no, err := wire.ParseNo(m.Body)
	if err != nil {
		return err
	}
	return &Refusal{no}
}

// Push sends a file, from the offset on at which the camera wants it, and returns the camera's JSON once it says how
// that ended. told, where set, hears how far the camera is. sent counts bytes, those that were sent before a line broke
// off too.
func (c *Caller) Push(ctx context.Context, f wire.File, from io.ReaderAt, told func(at int64)) (
	result string, sent int64, err error,
) {
	ctx, cancel := context.WithCancel(ctx)
	p := &pusher{Caller: c, file: f, from: from, grants: make(chan wire.Grant, 1)}
	failed := make(chan error, 1)
	number, a := c.begin()
	defer c.end(number, a)
	p.number = number
	go func() { failed <- p.run(ctx) }()
	defer func() {
		cancel()
		if bad := <-failed; bad != nil && ctx.Err() == nil {
			err = bad
		}
		sent = p.sent
	}()
	if err := c.Say(ctx, wire.Message{Kind: wire.Put, Number: number, Body: f.Marshal()}); err != nil {
		return "", 0, err
	}
	err = c.hear(ctx, a, func(m wire.Message) (bool, error) {
		switch m.Kind {
		case wire.Result:
			result = string(m.Body)
			return true, nil
		case wire.Credit:
			g, err := wire.ParseGrant(m.Body)
			if err != nil {
				return false, err
			}
			if told != nil {
				told(g.From)
			}
			p.granted(g)
			return false, nil
		}
		return false, Refused(m)
	})
	return result, 0, err
}

// pusher sends what was granted of a file.
type pusher struct {
	*Caller
	file   wire.File
	from   io.ReaderAt
	number uint16
	grants chan wire.Grant // capacity 1: the newest, which says more than those before
	sent   int64
}

func (p *pusher) granted(g wire.Grant) {
	select {
	case <-p.grants:
	default:
	}
	p.grants <- g
}

// run sends until ctx ends, or the file can't be read.
func (p *pusher) run(ctx context.Context) error {
	at := int64(-1)
	b := make([]byte, wire.MaxPiece)
	for {
		select {
		case <-ctx.Done():
			return nil
		case g := <-p.grants:
			if at < 0 {
				at = g.From
			}
			for at < g.To {
				n, err := p.from.ReadAt(b[:min(int64(len(b)), g.To-at)], at)
				if n == 0 {
					return fmt.Errorf("file: %w", err)
				}
				m := wire.Message{Kind: wire.Piece, Number: p.number, Body: wire.Part{At: at, Bytes: b[:n]}.Marshal()}
				if p.Say(ctx, m) != nil {
					return nil // Push says why
				}
				at += int64(n)
				p.sent += int64(n)
			}
		}
	}
}
