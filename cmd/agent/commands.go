package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"slices"
	"time"

	"github.com/ocellus/ocellus/access"
	"github.com/ocellus/ocellus/codec/claim"
	"github.com/ocellus/ocellus/codec/pack"
	"github.com/ocellus/ocellus/hal"
	"github.com/ocellus/ocellus/internal/secret"
	"github.com/ocellus/ocellus/stream"
)

// command is one row of the command table: everything that can be asked of a running agent, through whatever door.
type command struct {
	name     string
	needs    access.Action // access.Role.May says which roles have it
	deadline time.Duration
	run      runFunc
}

// runFunc takes the arguments as they came.
type runFunc func(ctx context.Context, args json.RawMessage) (any, error)

// commands is the one table. Names are wire format: never renamed.
func (a *agent) commands() []command {
	return a.guarded(append([]command{
		{"status", access.Inspect, 2 * time.Second, with(a.statusCommand)},
		{"snapshot", access.Watch, 10 * time.Second, with(a.snapshotCommand)},
		{"viewer.add", access.Admit, 5 * time.Second, with(a.viewerAdd)},
		{"viewer.list", access.Admit, 2 * time.Second, with(a.viewerList)},
		{"viewer.remove", access.Admit, 5 * time.Second, with(a.viewerRemove)},
		{"network.status", access.Inspect, 2 * time.Second, with(a.networkStatus)},
		{"network.scan", access.Inspect, 30 * time.Second, with(a.networkScan)},
		{"network.join", access.Move, 10 * time.Second, with(a.networkJoin)},
		{"network.forget", access.Move, 10 * time.Second, with(a.networkForget)},
		{"ota.status", access.Inspect, 2 * time.Second, with(a.otaStatus)},
		{"ota.check", access.Inspect, 2 * time.Minute, with(a.otaCheck)},
		{"ota.install", access.Update, 2 * time.Hour, with(a.otaInstall)},
		{"ota.rollback", access.Update, time.Minute, with(a.otaRollback)},
		{"ota.cancel", access.Update, time.Minute, with(a.otaCancel)},
	}, slices.Concat(a.ownerCommands(), a.controlCommands(), a.factoryCommands())...))
}

// The codes of an answer. They are wire format: never renamed.
const (
	codeOK          = "ok"
	codeBadRequest  = "bad_request"
	codeUnknown     = "unknown_command"
	codeDenied      = "denied"
	codeTimeout     = "timeout"
	codeUnsupported = "unsupported"
	codeNotFound    = "not_found"
	codeExists      = "exists"
	codeUnclaimed   = "unclaimed"
	codeStale       = "stale"
	codeFailed      = "failed"
	codeConflict    = "conflict"
	codeRolledBack  = "rolled_back"
	codeDone        = "done" // by the factory: there is nothing left to do
	codeStopped     = "stopped"
)

var (
	errBadRequest = errors.New("bad request")
	errNoCommand  = errors.New("unknown command")
	errNotFound   = errors.New("not found")
)

// codeOf sorts an error into a code.
func codeOf(err error) string {
	for _, row := range []struct {
		err  error
		code string
	}{
		{nil, codeOK}, {errBadRequest, codeBadRequest}, {errNoCommand, codeUnknown}, {access.ErrDenied, codeDenied},
		{context.DeadlineExceeded, codeTimeout}, {hal.ErrUnsupported, codeUnsupported}, {errNotFound, codeNotFound},
		{access.ErrUnknown, codeNotFound}, {access.ErrExists, codeExists}, {access.ErrUnclaimed, codeUnclaimed},
		{claim.ErrStale, codeStale}, {claim.ErrSignature, codeDenied}, {claim.ErrProof, codeDenied},
		{pack.ErrMalformed, codeBadRequest}, {access.ErrDone, codeDone}, {errConflict, codeConflict},
		{errRolledBack, codeRolledBack}, {stream.ErrStopped, codeStopped},
	} {
		if errors.Is(err, row.err) {
			return row.code
		}
	}
	return codeFailed
}

// do runs one command on behalf of somebody. Whatever is wrong with the question is told before anything happens. A
// panic is the failure of this one command.
func do(ctx context.Context, table []command, who access.Identity, name string, args json.RawMessage) (
	result any, err error,
) {
	var c *command
	for i := range table {
		if table[i].name == name {
			c = &table[i]
		}
	}
	switch {
	case c == nil:
		return nil, fmt.Errorf("%w %.40q", errNoCommand, name)
	case !who.May(c.needs):
		return nil, fmt.Errorf("%s: role %q may not %s: %w", name, who.Role, c.needs, access.ErrDenied)
	}
	ctx, cancel := context.WithTimeout(ctx, c.deadline)
	defer cancel()
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%s: panic: %v\n%s", name, p, debug.Stack())
		}
	}()
	return c.run(ctx, args)
}

// with decodes the arguments of a command strictly: an unknown field is refused, since its sender means something.
func with[A any](run func(ctx context.Context, args A) (any, error)) runFunc {
	return func(ctx context.Context, raw json.RawMessage) (any, error) {
		var args A
		if len(raw) > 0 {
			if err := strictJSON(raw, &args); err != nil {
				return nil, fmt.Errorf("arguments: %w: %w", errBadRequest, err)
			}
		}
		return run(ctx, args)
	}
}

// strictJSON decodes exactly one JSON value without unknown fields.
func strictJSON(raw []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something stands behind the value")
	}
	return nil
}

type none struct{}

type streamArgs struct {
	Stream string `json:"stream"` // empty: main
}

type viewerArgs struct {
	Name string      `json:"name"`
	Role access.Role `json:"role,omitempty"` // empty: viewer
}

// admitted is the answer to viewer.add: the only time that the password is shown.
type admitted struct {
	Name     string   `json:"name"`
	Password string   `json:"password"`
	URLs     []string `json:"urls"`
}

func (a *agent) viewerAdd(_ context.Context, args viewerArgs) (any, error) {
	return addViewer(a.gate, args, a.places())
}

func (a *agent) viewerList(context.Context, none) (any, error) { return a.gate.Viewers(), nil }

func (a *agent) viewerRemove(_ context.Context, args viewerArgs) (any, error) {
	return none{}, a.gate.RemoveViewer(args.Name)
}

func (a *agent) statusCommand(context.Context, none) (any, error) { return a.status(time.Now()), nil }

// picture is the answer to snapshot.
type picture struct {
	Stream   string    `json:"stream"`
	Captured time.Time `json:"captured"`
	JPEG     []byte    `json:"jpeg"` // the camera's picture, at the size that it runs at; base64 in JSON
}

// apart is an answer with bytes that stand better beside it than in its JSON.
type apart interface {
	apart() (rest any, blob []byte)
}

// apart gives an envelope the picture as it is: it needs no base64 there.
func (p picture) apart() (rest any, blob []byte) {
	blob, p.JPEG = p.JPEG, nil
	return p, blob
}

func (a *agent) snapshotCommand(ctx context.Context, args streamArgs) (any, error) {
	if args.Stream == "" {
		args.Stream = "main"
	}
	if _, err := a.showing(args.Stream); err != nil {
		return nil, err
	}
	jpeg, captured, err := a.source.Snapshot(ctx, 0)
	return picture{args.Stream, captured, jpeg}, err
}

// addViewer admits a viewer and spells the URLs that he can paste.
func addViewer(g *access.Gate, args viewerArgs, places []string) (admitted, error) {
	if args.Role == "" {
		args.Role = access.Watcher
	}
	password, err := g.AddViewer(args.Name, args.Role)
	if err != nil {
		return admitted{}, err
	}
	return newAdmitted(args.Name, password, places), nil
}

func newAdmitted(name string, password secret.Secret, places []string) admitted {
	r := admitted{Name: name, Password: password.Reveal()}
	for _, p := range places {
		r.URLs = append(r.URLs, streamURL(name, password, p))
	}
	return r
}
