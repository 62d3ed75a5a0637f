package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"time"

	"github.com/ocellus/ocellus/ota"
	"github.com/ocellus/ocellus/ota/bundle"
)

// cardEvery is how often a card is looked for.
const cardEvery = 2 * time.Second

// cards installs what is on a card, once for each time that one is put in. Nobody stands behind a card: a release that
// failed here before is not tried again because of it, and a rollout counts. find names its node, fs.ErrNotExist for none.
func (u *updates) cards(ctx context.Context, find func() (string, error), install func(context.Context, string) error,
) error {
	tick := time.NewTicker(cardEvery)
	defer tick.Stop()
	for before := ""; ; {
		node, err := find()
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			u.log.Warn("card not looked at", "err", err)
		case node != before:
			err := install(ctx, node)
			u.log.Info("a card with an update", "node", node, "reason", ota.Why(err), "err", err)
		}
		before = node
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

func (u *updates) installCard(ctx context.Context, node string) error {
	f, err := os.Open(node)
	if err != nil {
		return err
	}
	defer f.Close()
	return u.engine.Install(ctx, bundle.NewReader(f), ota.Ask{Local: true})
}
