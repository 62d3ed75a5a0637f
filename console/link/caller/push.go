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

// Push sends a file, from the offset on at which the camera wants it, and returns the camera's JSON once it says how that
// ended. told, where set, hears how far the camera is.
func (c *Caller) Push(ctx context.Context, f wire.File, from io.ReaderAt, told func(at int64)) (
	result string, err error,
) {
	ctx, cancel := context.WithCancelCause(ctx)
	number, a := c.begin()
	defer c.end(number, a)
	p := &pusher{Caller: c, from: from, number: number, grants: make(chan wire.Grant, 1)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := p.run(ctx); err != nil {
			cancel(err)
		}
	}()
	defer func() {
		cancel(nil)
		<-done
	}()
	if err := c.Say(ctx, wire.Message{Kind: wire.Put, Number: number, Body: f.Marshal()}); err != nil {
		return "", err
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
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return result, err
}

// pusher sends what was granted of a file.
type pusher struct {
	*Caller
	from   io.ReaderAt
	number uint16
	grants chan wire.Grant // capacity 1: the newest, which says more than those before
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
	at := int64(0)
	b := make([]byte, wire.MaxPiece)
	for {
		select {
		case <-ctx.Done():
			return nil
		case g := <-p.grants:
			at = max(at, g.From) // it is before what is under way, or the camera has what lies between
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
			}
		}
	}
}
