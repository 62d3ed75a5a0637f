package virt

import "path/filepath"

// cardModules are lines of init.conf for a slot for cards: no image has the driver of its host, a PCI device.
func cardModules() []string {
	return []string{"module /lab/modules/sdhci.ko", "module /lab/modules/cqhci.ko", "module /lab/modules/sdhci-pci.ko"}
}

// cardArguments are a slot for SD cards, and the card that is in it.
func (b *Board) cardArguments() []string {
	drive := "if=none,id=card"
	if b.card != "" {
		drive += ",format=raw,file=" + b.card
	}
	return []string{"-drive", drive, "-device", "sdhci-pci", "-device", "sd-card,id=card,drive=card"}
}

// Insert puts a card into the slot of a board that is on (Options.CardSlot), in place of the one that is in it. A card
// is a file of a size that is a power of two, as the emulator wants it. It stays in over Cut and Start.
func (b *Board) Insert(file string) {
	b.t.Helper()
	card, err := filepath.Abs(file)
	if err == nil {
		_, err = b.machine.monitor.do("blockdev-change-medium", map[string]any{"id": "card", "filename": card,
			"format": "raw"})
	}
	if err != nil {
		b.t.Fatalf("put a card in: %v", err)
	}
	b.card = card
}

// Eject takes the card out of a board that is on.
func (b *Board) Eject() {
	b.t.Helper()
	if _, err := b.machine.monitor.do("eject", map[string]any{"id": "card", "force": true}); err != nil {
		b.t.Fatalf("take a card out: %v", err)
	}
	b.card = ""
}
