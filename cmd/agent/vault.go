package main

import (
	"errors"
	"log/slog"

	"github.com/ocellus/ocellus/board"
	"github.com/ocellus/ocellus/hal"
	"github.com/ocellus/ocellus/internal/areas"
)

// lasting are the places that outlive updates and, persist alone, the factory reset. Several parts keep fields of their
// own in one area, so there is one Place of each in the process.
type lasting struct {
	persist, keys *areas.Place
	vault         hal.Vault
}

func openLasting(b board.Board, state string, log *slog.Logger) (lasting, error) {
	vault, err := board.OpenVault(b, state, log)
	if err != nil {
		return lasting{}, err
	}
	return newLasting(vault), nil
}

// findLasting opens what an agent on this machine has made for a state directory, for a verb that runs without it;
// fs.ErrNotExist for nothing.
func findLasting(root, state string) (board.Board, lasting, error) {
	b, err := board.Detect(root)
	if err != nil && !errors.Is(err, board.ErrUnknown) {
		return b, lasting{}, err
	}
	vault, err := board.FindVault(b, state)
	if err != nil {
		return b, lasting{}, err
	}
	return b, newLasting(vault), nil
}

func newLasting(v hal.Vault) lasting {
	return lasting{areas.New(v, hal.Persist), areas.New(v, hal.Keys), v}
}
