package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"

	"go.yaml.in/yaml/v3"

	"github.com/ocellus/ocellus/internal/secret"
	"github.com/ocellus/ocellus/internal/statefile"
)

// settingsName is the file of what was set by commands, sealed: it goes with its owner. It lies over config.yaml, which
// is a person's and stays as it is.
const settingsName = "settings"

// settingsFile is what the file holds. Fields are only added.
type settingsFile struct {
	Revision uint64            `json:"revision"` // grows with each change
	Keys     map[string]string `json:"keys"`     // by the key's path; text as config.yaml would have it
	// Before is what held before a change that is on trial: it holds again if the trial does not end well, and after a
	// power cut in the middle of it.
	Before *before `json:"before,omitempty"`
}

type before struct {
	Keys    map[string]string `json:"keys"`
	Restart bool              `json:"restart,omitempty"` // the trial begins with the next start
	Begun   bool              `json:"begun,omitempty"`
}

// settings are the configuration of the running agent.
type settings struct {
	file     *statefile.File[settingsFile]
	base     Config // of config.yaml over the board's defaults
	defaults Config
	level    *slog.LevelVar

	change sync.Mutex // one change at a time
	mu     sync.Mutex // guards the rest
	now    Config
	stored settingsFile
	alien  []string // keys of another release: kept, and without effect
}

// openSettings puts what commands set over a configuration. A camera that does not know whose it is has none.
func (a *agent) openSettings(config Config, level *slog.LevelVar) Config {
	a.settings = &settings{base: config, defaults: defaultConfig(a.board), now: config, level: level}
	if a.safe == nil {
		return config
	}
	a.settings.file = statefile.At[settingsFile](a.safe.sealed(settingsName), 1)
	for _, line := range a.settings.read() {
		a.log.Warn("configuration", "text", line)
	}
	level.Set(a.settings.now.Log)
	return a.settings.now
}

// read reads what was set, and says what is wrong with it. What does not fit any more, after another release or
// another config.yaml, is left out: it is never a reason not to start. A change that was on trial when the power went
// is taken back.
func (s *settings) read() (warnings []string) {
	v, _, err := s.file.Load()
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return []string{fmt.Sprintf("what was set by commands does not hold: %v", err)}
	}
	begun := false
	if v.Before != nil {
		if begun, err = s.begin(&v); err != nil {
			warnings = append(warnings, err.Error())
		}
	}
	if v.Before != nil && !begun {
		warnings = append(warnings, "a change was on trial: what was before holds again")
		v = settingsFile{Revision: v.Revision + 1, Keys: v.Before.Keys}
		if err := s.file.Store(v); err != nil {
			warnings = append(warnings, err.Error())
		}
	}
	s.stored = v
	keys := maps.Clone(v.Keys)
	for {
		c, faults := applied(s.base, s.defaults, keys)
		if len(faults) == 0 {
			s.now = c
			for key := range v.Keys {
				if _, fits := keys[key]; !fits {
					s.alien = append(s.alien, key)
				}
			}
			return warnings
		}
		left := len(keys)
		for _, f := range faults {
			warnings = append(warnings, fmt.Sprintf("set by a command: %v: left out", f))
			maps.DeleteFunc(keys, func(key, _ string) bool { return key == f.key || strings.HasPrefix(key, f.key+".") })
		}
		if len(keys) == left {
			return append(warnings, "nothing of what was set by commands holds")
		}
	}
}

// applied is a configuration with keys set, and everything that is wrong with it.
func applied(base, defaults Config, keys map[string]string) (Config, []fault) {
	c := base
	if len(keys) == 0 {
		return c, nil
	}
	tree := &yaml.Node{Kind: yaml.MappingNode}
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		if key == "schema" || key == "board" {
			return base, []fault{{key: key, text: "is set in config.yaml alone"}}
		}
		plant(tree, strings.Split(key, "."), keys[key])
	}
	raw, err := yaml.Marshal(tree)
	if err != nil {
		return base, []fault{{text: err.Error()}}
	}
	d := decodeYAML(raw, &c)
	for _, s := range c.sections(defaults) {
		if err := s.validate(); err != nil {
			d.addAll(s.key, err)
		}
	}
	for i := range d.faults {
		d.faults[i].line = 0 // of a text that nobody wrote
	}
	return c, d.faults
}

// plant puts a value into a tree of YAML. The value is a scalar, whatever it looks like.
func plant(at *yaml.Node, path []string, value string) {
	for i := 0; i+1 < len(at.Content); i += 2 {
		if at.Content[i].Value == path[0] && len(path) > 1 {
			plant(at.Content[i+1], path[1:], value)
			return
		}
	}
	key, leaf := &yaml.Node{Kind: yaml.ScalarNode, Value: path[0]}, &yaml.Node{Kind: yaml.ScalarNode, Value: value}
	if value == "" || strings.ContainsAny(value, "\n") {
		leaf.Style = yaml.DoubleQuotedStyle
	}
	if len(path) > 1 {
		leaf = &yaml.Node{Kind: yaml.MappingNode}
		plant(leaf, path[1:], value)
	}
	at.Content = append(at.Content, key, leaf)
}

// config is the configuration of this moment, and its revision.
func (s *settings) config() (Config, uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now, s.stored.Revision
}

// held is the configuration of this moment, and what is stored of it.
func (s *settings) held() (Config, settingsFile) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now, s.stored
}

// errConflict: somebody else changed the configuration meanwhile.
var errConflict = errors.New("conflict")

// next is the configuration with changes, where nil puts a key back to config.yaml's. Nothing is stored yet.
func (s *settings) next(base *uint64, changes map[string]*string) (settingsFile, Config, error) {
	s.mu.Lock()
	v := settingsFile{Revision: s.stored.Revision + 1, Keys: maps.Clone(s.stored.Keys)}
	s.mu.Unlock()
	if base != nil && *base != v.Revision-1 {
		return v, Config{}, fmt.Errorf("%w: the configuration is at revision %d, not %d", errConflict, v.Revision-1, *base)
	}
	if v.Keys == nil {
		v.Keys = map[string]string{}
	}
	known := flat(reflect.ValueOf(s.base), "")
	for key, value := range changes {
		if _, ok := known[key]; !ok {
			return v, Config{}, fmt.Errorf("%w: %s: unknown key%s", errBadRequest, clip(key),
				meant(key, slices.Sorted(maps.Keys(known))))
		}
		if value == nil {
			delete(v.Keys, key)
			continue
		}
		v.Keys[key] = *value
	}
	fitting := maps.Clone(v.Keys)
	maps.DeleteFunc(fitting, func(key, _ string) bool {
		_, changed := changes[key]
		return !changed && slices.Contains(s.alien, key)
	})
	c, faults := applied(s.base, s.defaults, fitting)
	var all []error
	for _, f := range faults {
		all = append(all, fmt.Errorf("%w: %v", errBadRequest, f))
	}
	return v, c, errors.Join(all...)
}

// store makes a configuration the one that holds, on the disk first. trial is what it replaces, where it has to prove
// itself.
func (s *settings) store(v settingsFile, c Config, trial *before) error {
	v.Before = trial
	if s.file == nil {
		return errNoControl
	}
	if err := s.file.Store(v); err != nil {
		return err
	}
	s.level.Set(c.Log)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stored, s.now = v, c
	return nil
}

// flat lists a configuration by the paths of its keys, as text. Secrets are masked.
func flat(v reflect.Value, path string) map[string]string {
	all := map[string]string{}
	for i := range v.NumField() {
		key := path + keyName(v.Type().Field(i))
		if isSection(v.Field(i).Type()) {
			maps.Copy(all, flat(v.Field(i), key+"."))
			continue
		}
		all[key] = text(v.Field(i).Interface())
	}
	return all
}

// text is a value as config.yaml would have it.
func text(v any) string {
	if s, ok := v.(secret.Secret); ok {
		if s == "" {
			return ""
		}
		return secret.Mask
	}
	raw, err := yaml.Marshal(v)
	var s string
	if err == nil && yaml.Unmarshal(raw, &s) == nil {
		return s
	}
	return string(bytes.TrimSpace(raw))
}

// differing lists the keys in which two configurations differ.
func differing(a, b Config) []string {
	was, is := flat(reflect.ValueOf(a), ""), flat(reflect.ValueOf(b), "")
	var keys []string
	for key, value := range is {
		if was[key] != value {
			keys = append(keys, key)
		}
	}
	if a.Control.Password != b.Control.Password {
		keys = append(keys, "control.password")
	}
	if a.Control.Key != b.Control.Key {
		keys = append(keys, "control.key")
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

// document is a configuration as JSON, secrets masked.
func document(c Config) json.RawMessage {
	raw, _ := json.Marshal(flat(reflect.ValueOf(c), "")) // a map of texts always can
	return raw
}
