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
	v, err := FindVault(b, state)
	if errors.Is(err, fs.ErrNotExist) {
		log.Info("no partitions for the vault, it lies in the state folder", "folder", state)
		return vault.Files(state)
	}
	return v, err
}

// FindVault opens what OpenVault opens and makes nothing: fs.ErrNotExist where there is no vault yet. Only a board that
// an image of this project is made for has it on partitions; what somebody brings to another on a stick counts nothing.
func FindVault(b Board, state string) (hal.Vault, error) {
	nodes, err := vault.Find("")
	if b.Simulated || b.Compatible == nil || errors.Is(err, fs.ErrNotExist) {
		nodes, err = vault.FilesIn(state)
	}
	if err != nil {
		return nil, err
	}
	return vault.Open(nodes)
}
