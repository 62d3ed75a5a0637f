package main

import (
	"encoding/hex"
	"fmt"

	"github.com/ocellus/ocellus/hal"
)

// loadArea prints what an area holds, in hexadecimal; nothing where nothing is stored.
func loadArea(area string) error {
	return withVault(func(v hal.Vault) error {
		data, err := v.Load(hal.Area(area))
		if data != nil {
			fmt.Printf("%x\n", data)
		}
		return err
	})
}

func storeArea(area, text string) error {
	data, err := hex.DecodeString(text)
	if err != nil {
		return err
	}
	return withVault(func(v hal.Vault) error { return v.Store(hal.Area(area), data) })
}

func destroyArea(area string) error {
	return withVault(func(v hal.Vault) error { return v.Destroy(hal.Area(area)) })
}
