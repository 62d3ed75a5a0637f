package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/ocellus/ocellus/console/link/caller"
	"github.com/ocellus/ocellus/console/link/wire"
	"github.com/ocellus/ocellus/internal/monotime"
)

// serialPush sends a bundle over a serial line.
type serialPush struct {
	speedFlag
	port string
	file *os.File
	size int64
	now  bool
	out  io.Writer

	at   int64 // how far the camera is
	told int64 // tenths
}

// pushTries are tries in a row in which the camera came no further.
const pushTries = 60

// push sends until the camera says how it ended; where the line breaks off, it goes on at the byte that the camera
// wants.
func (p *serialPush) push(ctx context.Context, h home) (version string, err error) {
	f, err := p.announce()
	if err != nil {
		return "", err
	}
	fmt.Fprintf(p.out, "%s at %d baud: about %v for the line, beside what the camera takes to fill its slot\n",
		sized(p.size), p.Speed, p.duration(p.size))
	for tries := 0; ; tries++ {
		before := p.at
		version, err = p.once(ctx, h, f)
		brokeOff := errors.Is(err, caller.ErrGone) || p.at > 0 && away(err)
		if !brokeOff || ctx.Err() != nil {
			return version, err
		}
		if p.at > before {
			tries = 0
		}
		if tries >= pushTries {
			return "", err
		}
		if tries == 0 {
			fmt.Fprintf(p.out, "the line broke off; going on when it is back (%v)\n", err)
		}
		if err := monotime.Pause(ctx, portPause); err != nil {
			return "", err
		}
	}
}

// sized says how much that is: a delta has some kilobytes.
func sized(bytes int64) string {
	if bytes < 1e6 {
		return fmt.Sprintf("%.0f kB", float64(bytes)/1e3)
	}
	return fmt.Sprintf("%.1f MB", float64(bytes)/1e6)
}

// away reports whether the port, or the camera on it, is not there now.
func away(err error) bool {
	var f *fault
	return errors.As(err, &f) && f.code == exitUnreachable
}

// announce hashes the file: by its sum the camera knows it again.
func (p *serialPush) announce() (f wire.File, err error) {
	if p.size > wire.MaxFile {
		return f, fmt.Errorf("%d bytes, at most %d", p.size, int64(wire.MaxFile))
	}
	sum := sha256.New()
	if _, err := io.Copy(sum, p.file); err != nil {
		return f, err
	}
	return wire.File{Sum: [wire.SumSize]byte(sum.Sum(nil)), Size: p.size, Now: p.now}, nil
}

// duration is how long so many bytes take: ten bits each, and a fifth more for frames and answers.
func (p *serialPush) duration(bytes int64) time.Duration {
	return (time.Duration(bytes) * 12 * time.Second / time.Duration(max(p.Speed, 1))).Round(time.Second)
}

// once sends over the line as long as it is there.
func (p *serialPush) once(ctx context.Context, h home, f wire.File) (version string, err error) {
	w, c, r, err := serialWay(ctx, h, p.port, p.Speed)
	if err != nil {
		return "", err
	}
	defer c.Close()
	if err := w.unlock(ctx, c, r); err != nil {
		return "", err
	}
	result, err := c.Push(ctx, f, p.file, p.tell)
	if err != nil {
		return "", err
	}
	return pushed([]byte(result))
}

// tell says how far it is, in tenths.
func (p *serialPush) tell(at int64) {
	p.at = at
	if tenth := 10 * at / max(p.size, 1); tenth > p.told {
		p.told = tenth
		fmt.Fprintf(p.out, "sent %d %%, %s of %s, about %v to go\n", 10*tenth, sized(at), sized(p.size), p.duration(p.size-at))
	}
}
