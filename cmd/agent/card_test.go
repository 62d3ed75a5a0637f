package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/ocellus/ocellus/ota"
)

// TestCards: a card is dealt with once for each time that it is put in, and one that can't be read ends nothing. It
// waits while another update is under way, and until its node is the agent's; that is told once.
func TestCards(t *testing.T) {
	t.Parallel()
	denied, busy := &fs.PathError{Op: "open", Path: "a", Err: fs.ErrPermission}, fmt.Errorf("install: %w", ota.Busy)
	two, none, bad := errors.New("there are two"), fs.ErrNotExist, errors.New("no bundle")
	looks := []struct {
		node    string
		find    error
		install error // bad: what is dealt with; nil: nobody may open it
	}{
		{"", none, nil},
		{"a", nil, denied}, {"a", nil, denied}, {"a", nil, busy}, {"a", nil, bad}, {"a", nil, nil},
		{"", none, nil},
		{"a", nil, bad}, {"", two, nil}, {"", two, nil}, {"a", nil, nil}, {"b", nil, bad},
	}
	synctest.Test(t, func(t *testing.T) {
		var said strings.Builder
		u := &updates{log: slog.New(slog.NewTextHandler(&said, nil))}
		at := -1
		ctx, cancel := context.WithCancel(t.Context())
		opened := map[int]bool{}
		err := u.cards(ctx, func() (string, error) {
			if at++; at == len(looks)-1 {
				cancel()
			}
			return looks[at].node, looks[at].find
		}, func(_ context.Context, node string) error {
			opened[at] = true
			return looks[at].install
		})
		if !errors.Is(err, context.Canceled) || at != len(looks)-1 {
			t.Errorf("ended at look %d: %v", at, err)
		}
		for i, l := range looks {
			if want := l.install != nil; opened[i] != want {
				t.Errorf("look %d, %+v: opened %t, want %t", i, l, opened[i], want)
			}
		}
		for what, want := range map[string]int{"a card with an update": 3, "a card waits": 3} {
			if got := strings.Count(said.String(), what); got != want {
				t.Errorf("%q is told %d times, want %d:\n%s", what, got, want, &said)
			}
		}
	})
}
