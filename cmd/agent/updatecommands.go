package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/ocellus/ocellus/access"
	"github.com/ocellus/ocellus/ota"
)

// maxBundle bounds what is read of a bundle, in bytes: what no slot could hold.
const maxBundle = 2 << 30

// bodyPatience is for the next bytes of a bundle.
const bodyPatience = 30 * time.Second

// otaArgs say what to install.
type otaArgs struct {
	URL    string `json:"url,omitempty"`    // of a repository; empty: the configured one
	Bundle bool   `json:"bundle,omitempty"` // a bundle comes behind the question
	Now    bool   `json:"now,omitempty"`    // restart at once, whoever watches
}

// updateStatus is what agent ota status --json tells. Its keys are wire format: only ever added.
type updateStatus struct {
	ota.Status
	Slot       string `json:"slot,omitempty"`       // that runs
	Boot       string `json:"boot,omitempty"`       // how it came to be booted
	Repository string `json:"repository,omitempty"` // that is looked at
	Unable     string `json:"unable,omitempty"`     // why no updates are taken
}

// found is the answer to ota.check.
type foundUpdate struct {
	Version   string  `json:"version"`
	Notes     string  `json:"notes,omitempty"`
	Severity  string  `json:"severity"`
	Bytes     int64   `json:"bytes"`
	DowntimeS float64 `json:"downtime_s"`
}

func (a *agent) otaCheck(ctx context.Context, args otaArgs) (any, error) {
	if err := a.updates.ready(); err != nil {
		return nil, err
	}
	src, ask, err := a.updates.carrier(ctx, args)
	if err != nil {
		return nil, err
	}
	r, err := a.updates.engine.Check(ctx, src, ask)
	return foundUpdate{r.Version.String(), r.Notes, string(r.Severity), r.Size, r.Downtime.Seconds()}, err
}

// otaInstall returns once the next boot tries the release; the camera restarts when it may.
func (a *agent) otaInstall(ctx context.Context, args otaArgs) (any, error) {
	u := a.updates
	if err := u.ready(); err != nil {
		return nil, err
	}
	src, ask, err := u.carrier(ctx, args)
	if err != nil {
		return nil, err
	}
	u.now.Store(args.Now)
	done := a.begin(ctx, "ota.install")
	stop := u.watchInstall(ctx)
	err = u.engine.Install(ctx, src, ask)
	stop()
	done(err)
	if _, hears := bodyOf(ctx).(hearer); args.Bundle && !hears {
		_, _ = io.Copy(io.Discard, io.LimitReader(bodyOf(ctx), maxBundle))
	}
	return a.updateStatus(), err
}

func (a *agent) otaStatus(context.Context, none) (any, error) { return a.updateStatus(), nil }

func (a *agent) updateStatus() updateStatus {
	u := a.updates
	s := updateStatus{}
	if u != nil && u.boot.Slots != nil {
		s.Slot, s.Boot, s.Repository = string(u.boot.Slots.Booted()), u.boot.How, u.where
		s.Running = u.boot.System.Version
	}
	if err := u.ready(); err != nil {
		s.Unable = err.Error()
		return s
	}
	s.Status = u.engine.Status()
	return s
}

// otaRollback goes back to the system of before, at once.
func (a *agent) otaRollback(ctx context.Context, _ none) (any, error) {
	if err := a.updates.ready(); err != nil {
		return nil, err
	}
	a.updates.now.Store(true)
	done := a.begin(ctx, "ota.rollback")
	err := a.updates.engine.RollBack(ctx)
	done(err)
	return a.updateStatus(), err
}

// otaCancel ends what is under way.
func (a *agent) otaCancel(ctx context.Context, _ none) (any, error) {
	if err := a.updates.ready(); err != nil {
		return nil, err
	}
	err := a.updates.engine.Cancel(ctx)
	return a.updateStatus(), err
}

// bodyKey is the key of what comes behind a question, in its context.
type bodyKey struct{}

// withBody hands a command what comes behind its question, whatever door it came through.
func withBody(ctx context.Context, body io.Reader) context.Context {
	return context.WithValue(ctx, bodyKey{}, body)
}

// hearer is a body whose sender hears the answer while he still sends. All others have to be heard out first.
type hearer interface{ Hears() }

// skipper is a body of which what nobody wants need not come. Its size is bounded by itself.
type skipper interface {
	io.Reader
	Skip(n int64) error
}

// bodyOf is nil where nothing can come behind the question.
func bodyOf(ctx context.Context) io.Reader {
	body, _ := ctx.Value(bodyKey{}).(io.Reader)
	return body
}

// body reads what comes behind a question on a connection, as long as something comes.
type body struct {
	conn net.Conn
	from io.Reader
}

func (b body) Read(p []byte) (int, error) {
	if err := b.conn.SetReadDeadline(time.Now().Add(bodyPatience)); err != nil {
		return 0, err
	}
	n, err := b.from.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = fmt.Errorf("bundle: %w", err)
	}
	return n, err
}

// takeBundle is what the LAN door does with a bundle.
func (a *agent) takeBundle(ctx context.Context, who access.Identity, bundle io.Reader, now bool) []byte {
	args, err := json.Marshal(otaArgs{Bundle: true, Now: now})
	var result any
	if err == nil {
		result, err = do(withBody(ctx, bundle), a.commands(), who, "ota.install", args)
	}
	return encodeResponse(result, err)
}
