package main

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// freeTexts are the keys that take any words, since they mean something to somebody else's broker alone.
func freeTexts() []string { return []string{"control.username", "control.password"} }

// TestEveryKeyTyped: what is no value of a key is refused by its name, and nothing of a change holds that has one wrong
// key in it.
func TestEveryKeyTyped(t *testing.T) {
	t.Parallel()
	s, _ := newSettings(t, t.TempDir())
	for key := range flat(reflect.ValueOf(s.base), "") {
		if key == "schema" || key == "board" {
			continue
		}
		wrong, bitrate := "no such: [thing\n", "1234k"
		set := map[string]*string{key: &wrong, "streams.main.bitrate": &bitrate}
		if key == "streams.main.bitrate" {
			set = map[string]*string{key: &wrong}
		}
		_, _, err := s.next(nil, set)
		if slices.Contains(freeTexts(), key) {
			if err != nil {
				t.Errorf("%s: %v", key, err)
			}
			continue
		}
		named := key
		if key == "control.key" {
			named = "control.certificate" // the two are judged together
		}
		if !errors.Is(err, errBadRequest) || !strings.Contains(err.Error(), named) {
			t.Errorf("%s takes %q: %v", key, wrong, err)
		}
		if c, revision := s.config(); revision != 0 || c.Streams.Main.Bitrate != s.base.Streams.Main.Bitrate {
			t.Errorf("%s: half of a change holds", key)
		}
	}
}
