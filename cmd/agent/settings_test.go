package main

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"

	"github.com/ocellus/ocellus/board"
	"github.com/ocellus/ocellus/internal/statefile"
	"github.com/ocellus/ocellus/stream"
)

// newSettings are settings in a directory, over the defaults.
func newSettings(t *testing.T, dir string) (*settings, []string) {
	t.Helper()
	c := defaultConfig(board.Board{})
	s := &settings{file: statefile.New[settingsFile](filepath.Join(dir, "settings.json"), 1), base: c, defaults: c, now: c,
		level: &slog.LevelVar{}}
	return s, s.read()
}

func changes(pairs ...string) map[string]*string {
	m := map[string]*string{}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = &pairs[i+1]
	}
	return m
}

func (s *settings) mustSet(t *testing.T, set map[string]*string, trial *before) {
	t.Helper()
	v, c, err := s.next(nil, set)
	if err == nil {
		err = s.store(v, c, trial)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestEveryKeySettable: each key can be set to what it is, through the text of config.get, and comes back the same.
func TestEveryKeySettable(t *testing.T) {
	t.Parallel()
	s, _ := newSettings(t, t.TempDir())
	for key, value := range flat(reflect.ValueOf(s.base), "") {
		_, c, err := s.next(nil, map[string]*string{key: &value})
		if key == "schema" || key == "board" {
			if !errors.Is(err, errBadRequest) {
				t.Errorf("%s: %v", key, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s = %q: %v", key, value, err)
			continue
		}
		if got := flat(reflect.ValueOf(c), "")[key]; got != value {
			t.Errorf("%s: %q became %q", key, value, got)
		}
		if d := differing(s.base, c); len(d) > 0 {
			t.Errorf("%s = %q changes %v", key, value, d)
		}
	}
}

func TestSettings(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s, _ := newSettings(t, dir)
	s.mustSet(t, changes("streams.main.bitrate", "1500k", "control.password", "hidden: [\"x", "log", "debug"), nil)
	c, revision := s.config()
	if c.Streams.Main.Bitrate != 1_500_000 || c.Control.Password != "hidden: [\"x" || revision != 1 ||
		s.level.Level() != slog.LevelDebug {
		t.Errorf("got %v %d", c.Streams.Main.Bitrate, revision)
	}
	if got := flat(reflect.ValueOf(c), "")["control.password"]; got != "***" {
		t.Errorf("the password shows as %q", got)
	}
	if d := differing(s.base, c); !reflect.DeepEqual(d, []string{"control.password", "log", "streams.main.bitrate"}) {
		t.Errorf("differing: %v", d)
	}
	zero := uint64(0)
	if _, _, err := s.next(&zero, changes("log", "info")); !errors.Is(err, errConflict) {
		t.Errorf("an old base: %v", err)
	}
	for name, set := range map[string]map[string]*string{
		"unknown key": changes("streams.main.bitrat", "1M"), "bad value": changes("streams.main.fps", "0"),
		"one of two": changes("streams.sub.fps", "10", "streams.main.fps", "x"), "a section": changes("streams.main", "x"),
		"board": changes("board", "sim"), "a list": changes("streams.main.fps", "[1]"),
		"a broker in the clear": changes("control.broker", "mqtt://broker.example.com:1883"),
	} {
		if _, _, err := s.next(nil, set); !errors.Is(err, errBadRequest) {
			t.Errorf("%s: %v", name, err)
		}
	}
	again, warnings := newSettings(t, dir)
	if c, revision := again.config(); len(warnings) > 0 || c.Streams.Main.Bitrate != 1_500_000 || revision != 1 {
		t.Errorf("after a restart: %v %d %v", c.Streams.Main.Bitrate, revision, warnings)
	}
	again.mustSet(t, map[string]*string{"streams.main.bitrate": nil}, nil)
	if c, _ := again.config(); c.Streams.Main.Bitrate != stream.DefaultConfig().Main.Bitrate {
		t.Errorf("put back to %v", c.Streams.Main.Bitrate)
	}
}

// TestLiveKeys: the keys that hold at once; whoever sets another one is told that it holds after a restart.
func TestLiveKeys(t *testing.T) {
	t.Parallel()
	var live []string
	for key := range flat(reflect.ValueOf(defaultConfig(board.Board{})), "") {
		if liveKey(key) {
			live = append(live, key)
		}
	}
	slices.Sort(live)
	want := []string{"control.broker", "control.ca", "control.certificate", "control.home_assistant.enabled",
		"control.home_assistant.prefix", "control.keep_alive", "control.key", "control.password", "control.username", "log",
		"streams.main.bitrate", "streams.main.gop_seconds", "streams.main.stopped", "streams.sub.bitrate",
		"streams.sub.gop_seconds", "streams.sub.stopped"}
	if !slices.Equal(live, want) {
		t.Errorf("got %v", live)
	}
}

// TestSettingsTrial: the power goes in the middle of a trial: what was before holds again.
func TestSettingsTrial(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s, _ := newSettings(t, dir)
	s.mustSet(t, changes("control.broker", "mqtts://broker.example.com:8883"), nil)
	s.mustSet(t, changes("control.broker", "mqtts://wrong.example.com:8883"), s.stored.unproved(false))
	for i := range 2 {
		again, warnings := newSettings(t, dir)
		if c, revision := again.config(); c.Control.Broker != "mqtts://broker.example.com:8883" || revision != 3 {
			t.Errorf("start %d: %s, revision %d", i, c.Control.Broker, revision)
		}
		if told := len(warnings) == 1; told != (i == 0) {
			t.Errorf("start %d: %v", i, warnings)
		}
	}
}

// TestSettingsOfAnotherRelease: what does not fit any more is left out, the rest holds, and it comes back with the
// release that knows it.
func TestSettingsOfAnotherRelease(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "settings.json")
	file := statefile.New[settingsFile](path, 2)
	if err := file.Store(settingsFile{Revision: 9, Keys: map[string]string{
		"streams.main.bitrate": "1M", "motion.zone": "3", "streams.main.fps": "fast",
	}}); err != nil {
		t.Fatal(err)
	}
	s, warnings := newSettings(t, dir)
	if c, revision := s.config(); c.Streams.Main.Bitrate != 1_000_000 || revision != 9 || len(warnings) != 2 {
		t.Errorf("%v %d %v", c.Streams.Main.Bitrate, revision, warnings)
	}
	s.mustSet(t, changes("log", "debug"), nil)
	if v, _, err := file.Load(); err != nil || v.Keys["motion.zone"] != "3" || v.Keys["log"] != "debug" {
		t.Errorf("stored %v, %v", v.Keys, err)
	}
	if err := os.WriteFile(path, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if s, warnings = newSettings(t, dir); len(warnings) != 1 || s.now.Streams.Main.Bitrate != s.base.Streams.Main.Bitrate {
		t.Errorf("damaged: %v", warnings)
	}
}
