package main

import (
	"log/slog"

	"github.com/ocellus/ocellus/board"
	"github.com/ocellus/ocellus/hal"
	"github.com/ocellus/ocellus/internal/areas"
)

// lasting are the places that outlive updates and, persist alone, the factory reset. Several parts keep fields of their
// own in one area, so there is one Place of each in the process.
type lasting struct {
	persist, keys *areas.Place
}

func openLasting(b board.Board, state string, log *slog.Logger) (lasting, error) {
	vault, err := board.OpenVault(b, state, log)
	if err != nil {
		return lasting{}, err
	}
	return lasting{areas.New(vault, hal.Persist), areas.New(vault, hal.Keys)}, nil
}
