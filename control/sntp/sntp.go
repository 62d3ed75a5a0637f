// Package sntp finds out what time it is (SNTP, RFC 5905 14): it asks several servers, believes what more than half of
// those that answer agree on, and never a time before the floor (internal/timefloor). Nobody on the way is trusted with
// more than that: the floor keeps what has expired expired, and answers never move it, since anybody can forge them. A
// clock that somebody set ahead comes back with the next honest answer.
package sntp

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	mathrand "math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ocellus/ocellus/internal/statefile"
	"github.com/ocellus/ocellus/internal/timefloor"
)

const (
	patience  = 3 * time.Second
	agreement = time.Second               // within which servers say the same
	ahead     = 30 * 365 * 24 * time.Hour // further from the floor nobody is believed
	soon      = 10 * time.Second          // the first wait after nobody answered
	seldom    = 6 * time.Hour             // between looks, give or take a quarter
	keepEvery = 24 * time.Hour            // the time is stored no oftener
	coarse    = 500 * time.Millisecond    // a smaller difference is left as it is
)

// sample is what one server says: by how much our clock is behind.
type sample struct{ offset time.Duration }

// ask asks one server.
func ask(ctx context.Context, server string, floor time.Time) (sample, error) {
	if _, _, err := net.SplitHostPort(server); err != nil {
		server = net.JoinHostPort(server, "123")
	}
	conn, err := (&net.Dialer{Timeout: patience}).DialContext(ctx, "udp", server)
	if err != nil {
		return sample{}, err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	var random [8]byte
	_, _ = rand.Read(random[:]) // never fails
	nonce := binary.BigEndian.Uint64(random[:])
	asked := time.Now()
	if _, err := conn.Write(request(nonce)); err != nil {
		return sample{}, err
	}
	b := make([]byte, 512)
	for {
		n, err := conn.Read(b)
		if err != nil {
			return sample{}, err
		}
		took := time.Since(asked)
		received, sent, err := parse(b[:n], nonce, floor)
		if err != nil {
			if ctx.Err() == nil && n >= size && binary.BigEndian.Uint64(b[24:]) != nonce {
				continue // somebody else's guess
			}
			return sample{}, err
		}
		way := (took - sent.Sub(received)) / 2
		return sample{sent.Add(way).Sub(asked.Add(took))}, nil
	}
}

// errDisagree: the servers say different things.
var errDisagree = errors.New("the servers do not agree")

// choose returns the middle of the largest group that agrees, if it is more than half of those who answered. Where
// several were asked, one alone is nobody.
func choose(samples []sample, asked int) (time.Duration, error) {
	offsets := make([]time.Duration, len(samples))
	for i, s := range samples {
		offsets[i] = s.offset
	}
	slices.Sort(offsets)
	best := offsets[:0]
	for i := range offsets {
		j := i
		for j < len(offsets) && offsets[j]-offsets[i] <= agreement {
			j++
		}
		if j-i > len(best) {
			best = offsets[i:j]
		}
	}
	if len(best)*2 <= len(offsets) || asked > 1 && len(best) < 2 {
		return 0, fmt.Errorf("%w: %d of %d", errDisagree, len(best), asked)
	}
	return best[len(best)/2], nil
}

// Options are what a Keeper needs.
type Options struct {
	Servers []string // names or addresses, with a port or without
	Floor   *timefloor.Floor
	Built   time.Time       // of this release, which may be on trial: as good as the floor, and not kept
	Persist statefile.Place // field time_seen of it
	// Set sets the system's clock; sure: the time comes from servers.
	Set func(now time.Time, sure bool) error
	Log *slog.Logger
}

// Keeper keeps the clock. Open is the only door.
type Keeper struct {
	Options
	file *statefile.File[lasting]

	mu     sync.Mutex // guards stored
	stored time.Time
}

// lasting is what lies in the area persist. Other rooms have fields of their own there. Fields are only added.
type lasting struct {
	Seen int64 `json:"time_seen,omitempty"` // what time it was when it was stored, seconds since 1970
}

// Open sets a clock that is before the floor, or before what it was last, to that: it is still wrong, and nearer.
func Open(o Options) (*Keeper, error) {
	o.Log = o.Log.With("part", "time")
	k := &Keeper{Options: o, file: statefile.At[lasting](o.Persist, 1)}
	v, _, err := k.file.Load()
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("time of last: %w", err)
	}
	k.stored = time.Unix(v.Seen, 0)
	if least := later(k.floor(), k.stored); time.Now().Before(least) {
		if err := o.Set(least, false); err != nil {
			k.Log.Warn("clock not set to what it was at least", "err", err)
		}
	}
	return k, nil
}

// floor is an instant that has passed.
func (k *Keeper) floor() time.Time { return later(k.Floor.Time(), k.Built) }

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// Run asks from time to time until ctx ends.
func (k *Keeper) Run(ctx context.Context) error {
	for failures := 0; ; {
		wait := seldom*3/4 + mathrand.N(seldom/2)
		if err := k.Look(ctx); err != nil {
			if failures == 0 {
				k.Log.Warn("time not known", "err", err)
			}
			wait = mathrand.N(min(seldom, soon<<min(failures, 12)) + 1)
			failures++
		} else {
			failures = 0
		}
		t := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			t.Stop()
			return nil
		case <-t.C:
		}
	}
}

// Look asks all servers once and sets the clock.
func (k *Keeper) Look(ctx context.Context) error {
	floor := k.floor()
	samples, faults := k.askAll(ctx, floor)
	if len(samples) == 0 {
		return errors.Join(faults...)
	}
	offset, err := choose(samples, len(k.Servers))
	if err != nil {
		return err
	}
	now := time.Now().Add(offset)
	if now.Before(floor) || now.Sub(floor) > ahead {
		return fmt.Errorf("%w: %s is not between %s and many years later", ErrRefused, now.UTC().Format(time.DateTime),
			floor.UTC().Format(time.DateTime))
	}
	if offset.Abs() < coarse {
		now = time.Now()
	}
	if err := k.Set(now, true); err != nil {
		return fmt.Errorf("set the clock: %w", err)
	}
	return k.keep(now)
}

func (k *Keeper) askAll(ctx context.Context, floor time.Time) (samples []sample, faults []error) {
	var mu sync.Mutex // guards samples and faults
	var all sync.WaitGroup
	for _, server := range k.Servers {
		all.Go(func() {
			s, err := ask(ctx, strings.TrimSpace(server), floor)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				faults = append(faults, fmt.Errorf("%s: %w", server, err))
				return
			}
			samples = append(samples, s)
		})
	}
	all.Wait()
	return samples, faults
}

// keep stores what time it is, for a start without a clock, once a day.
func (k *Keeper) keep(now time.Time) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if now.Sub(k.stored).Abs() < keepEvery {
		return nil
	}
	err := k.file.Update(func(v *lasting) error {
		v.Seen = now.Unix()
		return nil
	})
	if err == nil {
		k.stored = now
	}
	return err
}
