package main

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"time"

	"github.com/ocellus/ocellus/internal/logring"
	"github.com/ocellus/ocellus/internal/secret"
	"github.com/ocellus/ocellus/internal/statefile"
	"github.com/ocellus/ocellus/internal/supervise"
	"github.com/ocellus/ocellus/provision"
)

// logFolder of the state directory holds the log, sealed: it is gone with its owner.
const logFolder = "log"

// hideFirst tells the redaction everything that is known before the first part begins.
func (a *agent) hideFirst(c Config) {
	a.hidden.Know("hardware", hardwareNumbers(a.root)...)
	a.hideConfig(c)
	a.hide()
	if a.safe != nil {
		a.hidden.Know("network", provision.Secrets(a.safe.sealed("network"))...)
	}
}

// openLog gives the log its place. A camera that can't keep its log streams all the same.
func (a *agent) openLog() {
	if a.safe == nil {
		return
	}
	seal := func(_ string, f statefile.Place) statefile.Place { return a.safe.over(logFolder, f) }
	store := statefile.Directory{Path: filepath.Join(a.state, logFolder), Place: seal}
	tail, left, tailErr := openOutliving(outliving(a.state, tailName), maxLeft)
	var err error
	if a.logged, err = a.journal.Keep(store, left); err != nil {
		a.log.Error("the log is kept in memory alone", "err", err)
	}
	if tailErr == nil {
		a.words.tail, tailErr = tail, a.journal.To(tail)
	}
	if tailErr != nil {
		a.log.Error("the last moment of the log is lost in a crash", "err", tailErr)
	}
	a.supervisor.Add(supervise.Part{Name: "log", Run: a.keepLog, Lasting: true})
}

// tailName is the file of the log's last lines, until they are stored: redacted, and not sealed. See outliving.
const tailName = "log.tail"

// maxLeft bounds what is read of it, in bytes.
const maxLeft = 128 << 10

// hideEvery is how often the redaction learns what changed: an owner, a network, a setting.
const hideEvery = time.Second

// keepLog writes the log, and keeps the redaction up to date.
func (a *agent) keepLog(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	written := make(chan error, 1) // one send
	go func() {
		defer cancel()
		written <- a.journal.Run(ctx)
	}()
	tick := time.NewTicker(hideEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return <-written
		case <-tick.C:
			a.hide()
		}
	}
}

// hide tells the redaction everything that this camera has to hide at this moment.
func (a *agent) hide() {
	a.hidden.Know("owner", a.ownersSecrets()...)
	if a.settings != nil {
		c, _ := a.settings.config()
		a.hideConfig(c)
	}
}

func (a *agent) hideConfig(c Config) { a.hidden.Know("config", configSecrets(reflect.ValueOf(c))...) }

// ownersSecrets are the keys and identities of the camera and its owner.
func (a *agent) ownersSecrets() []secret.Secret {
	if a.owner == nil {
		return nil
	}
	h := a.owner.Hardware()
	l := h.Label()
	list := []secret.Secret{l.Secret.Printed(), secret.Secret(l.Fingerprint.String()), secret.Secret(l.Fingerprint[:]),
		secret.Secret(h.Private().Seed()), secret.Secret(h.Public()), secret.Secret(a.safe.key[:])}
	if text, err := l.Text(); err == nil {
		list = append(list, text)
	}
	if id, key, err := a.owner.Operational(); err == nil {
		list = append(list, secret.Secret(id[:]), secret.Secret(key.Seed()), secret.Secret(key[ed25519.SeedSize:]))
	}
	return list
}

// configSecrets are the secrets among the keys of a configuration, and the user of a broker.
func configSecrets(v reflect.Value) (list []secret.Secret) {
	for i := range v.NumField() {
		f := v.Field(i)
		s, isSecret := f.Interface().(secret.Secret)
		switch {
		case isSecret:
			list = append(list, s)
		case keyName(v.Type().Field(i)) == "username":
			list = append(list, secret.Secret(f.String()))
		case isSection(f.Type()):
			list = append(list, configSecrets(f)...)
		}
	}
	return list
}

// hardwareNumbers are what names this very machine: serial numbers and the addresses of its network cards.
func hardwareNumbers(root string) (list []secret.Secret) {
	for _, name := range []string{"proc/device-tree/serial-number", "sys/class/dmi/id/product_serial",
		"sys/class/dmi/id/board_serial", "sys/class/dmi/id/product_uuid", "etc/machine-id", "sys/block/mmcblk0/device/serial",
		"sys/block/mmcblk0/device/cid"} {
		raw, err := os.ReadFile(filepath.Join(root, name))
		if text := strings.Trim(string(raw), " \n\x00"); err == nil && len(text) > 5 {
			list = append(list, secret.Secret(text))
		}
	}
	cards, _ := net.Interfaces()
	for _, c := range cards {
		if len(c.HardwareAddr) > 0 && strings.Trim(c.HardwareAddr.String(), "0:") != "" {
			list = append(list, secret.Secret(c.HardwareAddr), secret.Secret(c.HardwareAddr.String()))
		}
	}
	return list
}

// logArgs say which lines.
type logArgs struct {
	Minutes int    `json:"minutes,omitempty"` // that are looked back; 10 if not given, a week at most
	Level   string `json:"level,omitempty"`   // and worse; all if not given
	Part    string `json:"part,omitempty"`    // that says it; empty: all
	After   uint64 `json:"after,omitempty"`   // lines with a larger number, for who asks again and again
}

// said is a line of the log as logs tells it. Its keys are wire format: only ever added.
type said struct {
	logring.Line
	Text string `json:"text"` // message and fields, for a person
}

// Bounds of the answer to logs.
const (
	maxMinutes  = 7 * 24 * 60
	maxLogLines = 400
	maxLogBytes = 100 << 10 // in JSON; an envelope takes 128 KiB
)

func (l logArgs) filter(now time.Time) (logring.Filter, error) {
	f := logring.Filter{Level: slog.LevelDebug, Part: l.Part, After: l.After, Last: maxLogLines}
	if l.Minutes == 0 {
		l.Minutes = 10
	}
	if l.Minutes < 1 || l.Minutes > maxMinutes {
		return f, fmt.Errorf("%w: minutes: want 1 to %d", errBadRequest, maxMinutes)
	}
	f.Since = now.Add(-time.Duration(l.Minutes) * time.Minute)
	if l.Level != "" {
		if err := f.Level.UnmarshalText([]byte(l.Level)); err != nil {
			return f, fmt.Errorf("%w: level %s: want DEBUG, INFO, WARN or ERROR", errBadRequest, clip(l.Level))
		}
	}
	return f, nil
}

// logs returns the newest lines that fit.
func (a *agent) logs(_ context.Context, args logArgs) (any, error) {
	f, err := args.filter(time.Now())
	if err != nil {
		return nil, err
	}
	lines := a.journal.Lines(f)
	list, size := make([]said, len(lines)), 0
	for i := len(lines) - 1; i >= 0; i-- {
		list[i] = said{lines[i], lines[i].Text()}
		raw, err := json.Marshal(list[i])
		if size += len(raw) + 1; err != nil || size > maxLogBytes {
			return list[i+1:], nil
		}
	}
	return list, nil
}
