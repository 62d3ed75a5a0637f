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
// failed here before is not tried again because of it, and a rollout counts. find names its node, fs.ErrNotExist for
// none.
func (u *updates) cards(ctx context.Context, find func() (string, error), install func(context.Context, string) error,
) error {
	tick := time.NewTicker(cardEvery)
	defer tick.Stop()
	dealt, told := "", "" // the node of the card that was dealt with, and why one waits
	for {
		node, err := find()
		if err == nil && node != dealt {
			if err = install(ctx, node); !waits(err) {
				u.log.Info("a card with an update", "node", node, "reason", ota.Why(err), "err", err)
				dealt, err = node, nil
			}
		}
		if errors.Is(err, fs.ErrNotExist) {
			dealt, err = "", nil
		}
		why := ""
		if err != nil {
			why = err.Error()
		}
		if why != "" && why != told {
			u.log.Warn("a card waits", "node", node, "reason", ota.Why(err), "err", err)
		}
		told = why
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// waits reports whether a card is looked at again for what went wrong: another update is under way, or its node is the
// agent's no sooner than init has heard of it from the kernel.
func waits(err error) bool { return errors.Is(err, ota.Busy) || errors.Is(err, fs.ErrPermission) }

func (u *updates) installCard(ctx context.Context, node string) error {
	f, err := os.Open(node)
	if err != nil {
		return err
	}
	defer f.Close()
	return u.engine.Install(ctx, bundle.NewReader(f), ota.Ask{Local: true})
}
