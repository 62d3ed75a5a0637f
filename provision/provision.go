// Package provision brings a camera that has no network into one, and keeps it there. The camera listens on every input
// at once: the lens for QR codes (provision/qr, codec/qrtext), the air for the lengths of a phone's packets
// (provision/smartconfig) and, in turns, for a phone that has scanned the label (Wi-Fi Easy Connect), and what a door
// hands in. The first network that could be one wins, the other inputs stop,
// and it is tried.
//
// Its laws:
//
//   - A trial changes nothing until it has succeeded: the old network is kept, and the camera is back in it within
//     60 s, whatever is wrong with the new one. The power may fail at any instant: it is in the old network then, or in
//     the new one. What the engine is about to do is stored before it does it; recovered says what each state means.
//   - A camera that has an owner parses nothing that comes by lens or air. His word alone, through a door that knows
//     his key, changes its network, until the physical reset.
//   - A network is not an owner. Who claims the camera is decided by the claim (access); an input may only say which
//     token the claim that follows may show.
//   - One radio: the air is heard or a network is joined, never both.
//   - Names and passwords reach neither the log nor an error.
package provision

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"sync"
	"time"

	"github.com/ocellus/ocellus/access"
	"github.com/ocellus/ocellus/codec/label"
	"github.com/ocellus/ocellus/hal"
	"github.com/ocellus/ocellus/internal/monotime"
	"github.com/ocellus/ocellus/internal/secret"
	"github.com/ocellus/ocellus/internal/statefile"
	"github.com/ocellus/ocellus/provision/smartconfig"
)

// Lens lends what the camera sees.
type Lens interface {
	// Look calls see with one picture after the other until see returns an error or ctx ends, and returns that error.
	// The luma of w by h pixels, stride bytes from one row to the next, is lent until see returns. A camera that has no
	// pictures is hal.ErrUnsupported.
	Look(ctx context.Context, see func(luma []byte, w, h, stride int) error) error
	// Expose makes its pictures lighter than the camera would by itself, in thousandths of EV; 0 gives it the choice back.
	// hal.ErrUnsupported where the camera can't.
	Expose(milliEV int) error
}

// Owner knows whose the camera is; *access.Ownership does.
type Owner interface {
	Claimed() bool
	// Expect takes the one-time token that the owner with this key may claim the camera with.
	Expect(token [access.TokenSize]byte, owner label.Fingerprint)
}

// Options are what an engine works with. Radio, Owner, State and Log are needed.
type Options struct {
	Radio   hal.Radio
	Monitor hal.Monitor // of the same radio; nil: it can't listen to the air
	// EasyConnect is the same radio, EasyConnectKey the key whose public half is on the label, as Enroll wants it; nil
	// where no phone can give a network that way.
	EasyConnect    hal.EasyConnect
	EasyConnectKey []byte
	Lens           Lens        // nil: there is none
	LED            hal.LED     // nil: there is none
	Sounder        hal.Sounder // nil: there is none
	Owner          Owner
	Label          label.Label     // of this camera: what opens our own codes
	State          statefile.Place // sealed by a key that a reset destroys: a password lies in it
	Country        string          // that holds where a code names none; empty: the world domain

	// Legacy are protocols of smartconfig.Legacy that are on. Whoever is in radio range reads them.
	Legacy smartconfig.Protocol
	// Reach reports whether the camera reaches what it must, beside the gateway, which hal.Radio asks; ErrUnreached.
	// Nil: nothing else.
	Reach func(ctx context.Context, l hal.Link) error
	// Tell answers the phone that told a network by air, until ctx ends. Nil: by UDP.
	Tell func(ctx context.Context, l hal.Link, c *smartconfig.Credentials) error
	// Hide hears which names and passwords of networks must not be read in any log, before the first word about them. Nil:
	// nobody keeps one.
	Hide func(values ...secret.Secret)
	Now  func() time.Duration // the monotonic clock; nil: monotime.Now
	Log  *slog.Logger
}

// How long things take, at most.
const (
	// trialLimit and returnLimit together are the 60 s within which the camera is back.
	trialLimit  = 35 * time.Second
	returnLimit = 25 * time.Second
	courtesy    = 500 * time.Millisecond // for the answer to a door, before the network is left
	radioLimit  = 10 * time.Second       // for Leave, Country and the like
	tick        = 250 * time.Millisecond // between looks at the lamp and at whose the camera is
	showFailure = 20 * time.Second       // the lamp shows why, and the same offer is not tried again
	firstRetry  = 2 * time.Minute        // of a kept network, while nobody owns the camera; doubled each time
	lastRetry   = time.Hour
	lastRejoin  = time.Minute // between tries to join the network of a camera with an owner
)

// Engine brings one camera into its network. Its methods may be called from several goroutines.
type Engine struct {
	o    Options
	file *statefile.File[memory]
	asks chan ask // unbuffered: who asks waits until Run takes it

	// Of the goroutine of Run alone.
	offer Offer         // under trial, or the last that was
	avoid []*network    // failed just now, and not tried again until it may be
	retry time.Duration // until the kept network is tried again while nobody owns the camera
	lit   hal.Pattern

	mu     sync.Mutex // guards all below; never held over I/O
	memory memory     // as it is stored
	link   hal.Link   // zero while the network is not joined
	sight  sight
	seen   []hal.Network // of the last scan
}

// errStore: the state could not be stored, and so nothing was done.
var errStore = errors.New("state not stored")

// memory is the file. Fields are only added.
type memory struct {
	State   State    `json:"state"`
	Network *network `json:"network,omitempty"` // the one that worked last
	Trial   *network `json:"trial,omitempty"`   // the one that is tried
	Reason  Reason   `json:"reason,omitempty"`  // of the last trial that failed
}

const memoryVersion = 1

// Open reads what was remembered. It changes nothing: Run does.
func Open(o Options) (*Engine, error) {
	if o.Now == nil {
		o.Now = monotime.Now
	}
	if o.Tell == nil {
		o.Tell = tellByUDP
	}
	o.Log = o.Log.With("part", "provision")
	e := &Engine{o: o, file: statefile.At[memory](o.State, memoryVersion), asks: make(chan ask), retry: firstRetry}
	m, _, err := e.file.Load()
	switch {
	case errors.Is(err, fs.ErrNotExist):
		m = memory{}
	case errors.Is(err, statefile.ErrCorrupt): // its key was destroyed, or the file is half: no network
		o.Log.Warn("network can't be opened, starting without one", "err", err)
		m = memory{}
	case err != nil:
		return nil, fmt.Errorf("open network: %w", err)
	}
	if _, err := next(m.State, forgotten); err != nil { // none, or one that a newer release added
		m.State = Unprovisioned
		if m.Network != nil {
			m.State = Provisioned
		}
	}
	e.memory = m
	e.hide(m)
	return e, nil
}

// hide names the networks that are known now: kept, tried, and offered beside that.
func (e *Engine) hide(memories ...memory) {
	if e.o.Hide == nil {
		return
	}
	var values []secret.Secret
	for _, n := range e.offer.Networks {
		values = append(values, secret.Secret(n.SSID), n.Password)
	}
	for _, m := range memories {
		values = append(values, m.secrets()...)
	}
	e.o.Hide(values...)
}

func (m memory) secrets() (values []secret.Secret) {
	for _, n := range []*network{m.Network, m.Trial} {
		if n != nil {
			values = append(values, secret.Secret(n.SSID), secret.Secret(n.Password))
		}
	}
	return values
}

// Secrets are the names and passwords of the networks that are remembered at a place, for whoever has to hide them before
// there is an Engine.
func Secrets(state statefile.Place) []secret.Secret {
	m, _, _ := statefile.At[memory](state, memoryVersion).Load() // what can't be read is known to nobody
	return m.secrets()
}

func (e *Engine) remembered() memory {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.memory
}

// step takes one arrow of the diagram: it stores where it leads, and only then the engine is there.
func (e *Engine) step(on event, change func(*memory)) error {
	m := e.remembered()
	from := m.State
	to, err := next(from, on)
	if err != nil {
		return err
	}
	if change != nil {
		change(&m)
	}
	m.State = to
	e.hide(e.remembered(), m)
	if err := e.file.Store(m); err != nil {
		return fmt.Errorf("provision: %w: %w", errStore, err)
	}
	e.mu.Lock()
	e.memory = m
	e.mu.Unlock()
	e.o.Log.Info("network", "state", to, "from", from, "event", on, "reason", m.Reason)
	return nil
}

// recover goes on where a power cut, or a failure of Run, left off.
func (e *Engine) recover() error {
	on := recovered(e.remembered())
	if on == "" {
		return nil
	}
	return e.step(on, func(m *memory) {
		m.Trial, m.Reason = nil, Interrupted
		if on == forgotten {
			*m = memory{}
		}
	})
}

// Run brings the camera into a network, and keeps it there. It returns when ctx has ended, or when what must be stored
// can't be.
func (e *Engine) Run(ctx context.Context) error {
	e.linked(hal.Link{})
	e.lit = ""
	if err := e.recover(); err != nil {
		return err
	}
	for {
		var err error
		switch s := e.remembered().State; s {
		case Unprovisioned:
			err = e.rest(ctx)
		case Listening:
			err = e.listen(ctx)
		case Joining:
			err = e.trial(ctx)
		case Provisioned:
			err = e.stay(ctx)
		default:
			err = fmt.Errorf("provision: nothing to do while %s", s)
		}
		if err != nil {
			return err
		}
	}
}
