package board

import (
	"errors"
	"io/fs"
	"log/slog"

	"github.com/ocellus/ocellus/hal"
	"github.com/ocellus/ocellus/hal/vault"
)

// OpenVault opens the areas that outlive everything else on a board: on partitions of their own, which the images of
// this project have, else in files of the state folder. It stands apart from Open, which changes nothing on a board.
func OpenVault(b Board, state string, log *slog.Logger) (hal.Vault, error) {
	if b.Simulated {
		return vault.Files(state)
	}
	nodes, err := vault.Find("")
	if errors.Is(err, fs.ErrNotExist) {
		log.Info("no partitions for the vault, it lies in the state folder", "folder", state)
		return vault.Files(state)
	}
	if err != nil {
		return nil, err
	}
	return vault.Open(nodes)
}
