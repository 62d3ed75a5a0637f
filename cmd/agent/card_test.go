package main

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"
)

// TestCards: a card is opened once for each time that it is put in, and one that can't be read ends nothing.
func TestCards(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		u := &updates{log: slog.New(slog.DiscardHandler)}
		nodes := []string{"", "/nowhere/a", "/nowhere/a", "", "/nowhere/a", "/nowhere/b"}
		asked := 0
		var opened []string
		ctx, cancel := context.WithCancel(t.Context())
		err := u.cards(ctx, func() (string, error) {
			defer func() { asked++ }()
			if asked == len(nodes)-1 {
				cancel()
			}
			if nodes[asked] == "" {
				return "", fs.ErrNotExist
			}
			return nodes[asked], nil
		}, func(_ context.Context, node string) error {
			opened = append(opened, node)
			return errors.New("no bundle")
		})
		want := []string{"/nowhere/a", "/nowhere/a", "/nowhere/b"}
		if !errors.Is(err, context.Canceled) || !slices.Equal(opened, want) {
			t.Errorf("opened %q, %v, want %q", opened, err, want)
		}
	})
}
