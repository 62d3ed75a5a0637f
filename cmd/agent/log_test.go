package main

import (
	"encoding/json"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ocellus/ocellus/internal/logring"
	"github.com/ocellus/ocellus/internal/redact"
	"github.com/ocellus/ocellus/internal/secret"
)

// TestLogs: the log is told by part, level and number, keeps over a restart, lies sealed, and has no label in it.
func TestLogs(t *testing.T) {
	t.Parallel()
	state := t.TempDir()
	r := startAlone(t, state)
	owner := becomeOwner(t, r.ports.Web, r.label)
	var lines []said
	if code := owner.ask(t, "logs", logArgs{}, &lines); code != codeOK || len(lines) < 5 {
		t.Fatalf("logs: %s, %d lines", code, len(lines))
	}
	last := lines[len(lines)-1].Seq
	finger := strings.Split(r.label, ":")[3]
	for _, l := range lines {
		if strings.Contains(l.Text, finger) || l.Seq == 0 || l.Level == "" || l.Time.IsZero() {
			t.Errorf("got %+v", l)
		}
	}
	if code := owner.ask(t, "logs", logArgs{Part: "stream"}, &lines); code != codeOK ||
		slices.ContainsFunc(lines, func(l said) bool { return l.Part != "stream" }) {
		t.Errorf("of a part: %s %+v", code, lines)
	}
	for args, want := range map[string]string{`{"level":"loud"}`: codeBadRequest, `{"minutes":-1}`: codeBadRequest,
		`{"level":"error"}`: codeOK} {
		if code := owner.ask(t, "logs", json.RawMessage(args), nil); code != want {
			t.Errorf("%s: got %s, want %s", args, code, want)
		}
	}
	r.stop()
	entries, err := os.ReadDir(filepath.Join(state, logFolder))
	if err != nil || len(entries) == 0 {
		t.Fatalf("nothing is kept: %v", err)
	}
	raw, err := os.ReadFile(filepath.Join(state, logFolder, entries[0].Name()))
	if err != nil || strings.Contains(string(raw), "agent runs") {
		t.Errorf("the log lies open: %v", err)
	}
	r = startAlone(t, state)
	owner.door = r.ports.Web
	if code := owner.ask(t, "logs", logArgs{}, &lines); code != codeOK || lines[0].Seq != 1 ||
		lines[len(lines)-1].Seq <= last {
		t.Errorf("after a restart: %s, lines %d to %d, it was at %d", code, lines[0].Seq, lines[len(lines)-1].Seq, last)
	}
}

// TestLogsFit: the newest lines that an envelope takes.
func TestLogsFit(t *testing.T) {
	t.Parallel()
	a, log := newLogged()
	for range 300 {
		log.Info(strings.Repeat("x", 900))
	}
	log.Info("last")
	got, err := a.logs(t.Context(), logArgs{})
	if err != nil {
		t.Fatal(err)
	}
	lines := got.([]said)
	raw, _ := json.Marshal(lines)
	if len(raw) > maxLogBytes || len(lines) < 20 || lines[len(lines)-1].Message != "last" {
		t.Errorf("%d lines, %d bytes", len(lines), len(raw))
	}
}

func TestConfigSecrets(t *testing.T) {
	t.Parallel()
	a, log := newLogged()
	var c Config
	c.Control.Password, c.Control.Username, c.Control.Key = "broker-pass", "broker-user", "broker-key"
	want := []secret.Secret{"broker-user", "broker-pass", "broker-key"}
	got := configSecrets(reflect.ValueOf(c))
	for _, s := range want {
		if !slices.Contains(got, s) {
			t.Errorf("%q is not among the secrets", s.Reveal())
		}
	}
	a.hideConfig(c)
	log.Warn("broker refused broker-user:broker-pass", "err", os.ErrPermission)
	lines, err := a.logs(t.Context(), logArgs{Level: "warn"})
	if list := lines.([]said); err != nil || len(list) != 1 || strings.Contains(list[0].Text, "broker-") ||
		time.Since(list[0].Time) > time.Minute {
		t.Errorf("got %+v, %v", lines, err)
	}
}

func TestHardwareNumbers(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	dir := filepath.Join(root, "proc/device-tree")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "serial-number"), []byte("10000000abcdef01\x00"), 0o644); err != nil {
		t.Fatal(err)
	}
	if got := hardwareNumbers(root); !slices.Contains(got, "10000000abcdef01") {
		t.Error("the board's serial number is not among them")
	}
}

// newLogged is as much of an agent as the log needs.
func newLogged() (*agent, *slog.Logger) {
	a := &agent{hidden: &redact.Redactor{}}
	a.journal = logring.New(a.hidden)
	return a, slog.New(a.journal.Both(slog.NewTextHandler(io.Discard, nil)))
}
