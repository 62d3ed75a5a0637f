package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/ocellus/ocellus/access"
	"github.com/ocellus/ocellus/codec/claim"
	"github.com/ocellus/ocellus/console"
	"github.com/ocellus/ocellus/hal"
	"github.com/ocellus/ocellus/internal/logring"
	"github.com/ocellus/ocellus/internal/statefile"
	"github.com/ocellus/ocellus/internal/supervise"
)

// What an image brings for the console.
const (
	factoryFile = "etc/ocellus/factory.pub" // who makes the cameras: an Ed25519 public key in hexadecimal
	markFile    = "etc/ocellus/mark"        // what sets the image apart from a release, in a few words
)

// openConsole serves the serial port, where the board has one for it.
func (a *agent) openConsole(c console.Config, w world, o runOptions, serial hal.Serial, log *slog.Logger) {
	if serial == nil || !c.Enabled {
		return
	}
	options := console.Options{Config: c, Serial: serial, Camera: teller{a, imageMark(w.root)}, Log: log}
	if a.owner != nil {
		options.Gate = a.owner
	}
	var err error
	if options.Factory, err = factoryKey(w.root, o.factory); err != nil {
		log.Error("no key of a factory opens the console", "err", err)
	}
	options.Binary = a.openLink(options.Factory, log)
	a.supervisor.Add(supervise.Part{Name: "console", Run: console.New(options).Run, Lasting: true})
}

// factoryKey reads the public key of who makes the cameras; nil where the image brings none and no flag names one.
func factoryKey(root, flag string) (ed25519.PublicKey, error) {
	path := flag
	if path == "" {
		path = filepath.Join(root, factoryFile)
	}
	raw, err := statefile.ReadBytes(path)
	if errors.Is(err, fs.ErrNotExist) && flag == "" {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("factory key: %w", err)
	}
	key, err := hex.DecodeString(string(bytes.TrimSpace(raw)))
	if err != nil || len(key) != ed25519.PublicKeySize {
		return nil, fmt.Errorf("factory key %s: want %d hexadecimal digits", path, 2*ed25519.PublicKeySize)
	}
	return key, nil
}

// imageMark is what a developer's image says of itself; empty for a release.
func imageMark(root string) string {
	raw, err := os.ReadFile(filepath.Join(root, markFile))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(raw[:min(len(raw), 80)]))
}

// teller is the agent as the console sees it.
type teller struct {
	a    *agent
	mark string
}

// Facts implements console.Camera.
func (t teller) Facts() console.Facts {
	doc := t.a.status(time.Now())
	f := console.Facts{
		Model: model(t.a.board), Release: release, Mark: t.mark, Healthy: doc.Healthy,
		Up: time.Duration(doc.UptimeSeconds * float64(time.Second)), Code: t.a.supportCode(),
	}
	f.State = "healthy"
	if !doc.Healthy {
		f.State = "not healthy"
	}
	switch {
	case t.a.owner == nil:
		f.State += ", its identity can't be read"
	case doc.Owned:
		f.State += ", has an owner"
	default:
		f.State += ", has no owner yet"
	}
	if t.a.network != nil {
		f.State += ", Wi-Fi " + string(t.a.network.Status().State)
	}
	return f
}

// supportCode names the camera to its owner's people alone.
func (a *agent) supportCode() string {
	if a.owner == nil {
		return "none"
	}
	if id, _, err := a.owner.Operational(); err == nil {
		return claim.SupportCode(id[:])
	}
	print := a.owner.Hardware().Label().Fingerprint
	return claim.SupportCode(print[:])
}

// Do implements console.Camera.
func (t teller) Do(ctx context.Context, who access.Identity, name string, args json.RawMessage) (
	json.RawMessage, error,
) {
	result, err := do(ctx, t.a.commands(), who, name, args)
	t.a.log.Info("console command", "command", clip(name), "who", who.Name, "code", codeOf(err))
	if err != nil {
		return nil, err
	}
	if p, ok := result.(apart); ok { // it is too much for a screen
		result, _ = p.apart()
	}
	return json.Marshal(result)
}

// Reset implements console.Camera.
func (t teller) Reset(_ context.Context, asked time.Time) ([]byte, error) {
	r, err := t.a.resetByHand(asked)
	return r.Receipt, err
}

// probed is the answer to probe. Its keys are wire format: only ever added.
type probed struct {
	Board string   `json:"board"`
	Lines []string `json:"lines"` // for people
}

// probeCommand tells what the board has, as agent probe does, without opening anything.
func (a *agent) probeCommand(context.Context, none) (any, error) {
	return probed{a.board.Name, strings.Split(strings.TrimRight(string(a.hardware()), "\n"), "\n")}, nil
}

// Follow implements console.Camera.
func (t teller) Follow(ctx context.Context, f console.LogFilter, tell func(line string)) error {
	err := t.a.journal.Follow(ctx, logring.Filter{Level: f.Level, Part: f.Part}, func(l logring.Line, lost uint64) error {
		if lost > 0 {
			tell(fmt.Sprintf("(%d lines went by)", lost))
		}
		tell(l.Console())
		return nil
	})
	if ctx.Err() != nil {
		return nil
	}
	return err
}
