package main

import (
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/tyler-smith/go-bip39"

	"github.com/ocellus/ocellus/internal/statefile"
)

// homeFlag is where camctl keeps what a phone keeps: the owner's key and his cameras.
type homeFlag struct {
	Home string `placeholder:"DIR" env:"OCELLUS_HOME" help:"Place of the owner's key and cameras (~/.config/ocellus)."`
}

// home is the file owner.json. Fields are only added.
type home struct {
	Key     []byte                  `json:"key,omitempty"` // seed of the owner's Ed25519 key
	Cameras map[string]pairedCamera `json:"cameras,omitempty"`
	Erased  map[string]erasedCamera `json:"erased,omitempty"`
}

// pairedCamera is what the owner knows of a camera of his, by its name.
type pairedCamera struct {
	Model       string `json:"model"`
	Fingerprint string `json:"fingerprint"` // of the hardware key, as the label has it
	Address     string `json:"address"`     // of the LAN door, HOST:PORT, when it was last seen
	ID          []byte `json:"id"`          // operational identity
	Operational []byte `json:"operational"` // and its public key
	Hardware    []byte `json:"hardware"`    // public key
	Receipt     []byte `json:"receipt"`     // of the claim
	// Viewer and Password are the credential that the camera made for players that know only passwords.
	Viewer   string `json:"viewer,omitempty"`
	Password string `json:"password,omitempty"`
	// Left is what was left for the camera from here: at the broker it is sealed, and the camera alone can read it.
	Left *leftState `json:"left,omitempty"`
}

// leftState is a desired state.
type leftState struct {
	ID   []byte             `json:"id"` // of the command
	Set  map[string]*string `json:"set"`
	Base *uint64            `json:"base,omitempty"`
}

const (
	homeVersion = 1
	seedWords   = 24 // of the backup phrase: BIP 39, 256 bits
)

// open reads owner.json, the zero home where there is none yet.
func (h homeFlag) open() (*statefile.File[home], home, error) {
	dir := h.Home
	if dir == "" {
		config, err := os.UserConfigDir()
		if err != nil {
			return nil, home{}, fmt.Errorf("%w; name a directory with --home DIR", err)
		}
		dir = filepath.Join(config, "ocellus")
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, home{}, err
	}
	file := statefile.New[home](filepath.Join(dir, "owner.json"), homeVersion)
	v, _, err := file.Load()
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return file, v, err
}

// ownerKey returns the owner's key, and makes it where there is none yet; fresh says so.
func ownerKey(file *statefile.File[home]) (key ed25519.PrivateKey, fresh bool, err error) {
	err = file.Update(func(h *home) error {
		if fresh = h.Key == nil; fresh {
			h.Key = make([]byte, ed25519.SeedSize)
			_, _ = rand.Read(h.Key) // never fails
		}
		if len(h.Key) != ed25519.SeedSize {
			return errors.New("the owner's key is damaged: put it back with camctl owner restore")
		}
		key = ed25519.NewKeyFromSeed(h.Key)
		return nil
	})
	return key, fresh, err
}

// camera finds a paired camera by its name, or the only one where no name is given.
func (h home) camera(name string) (string, pairedCamera, error) {
	var names []string
	for n := range h.Cameras {
		names = append(names, n)
	}
	slices.Sort(names)
	if name == "" && len(names) == 1 {
		name = names[0]
	}
	c, ok := h.Cameras[name]
	switch {
	case ok:
		return name, c, nil
	case len(names) == 0:
		return "", c, errors.New("no camera is paired: camctl pair")
	}
	return "", c, fmt.Errorf("no camera %q; there are: %s", name, strings.Join(names, ", "))
}

// ownerCommand is the owner's key.
type ownerCommand struct {
	Make    ownerMake    `cmd:"" help:"Make the key where there is none, and print its public half."`
	Show    ownerShow    `cmd:"" default:"withargs" help:"The owner's public key and his cameras."`
	Add     ownerAdd     `cmd:"" help:"Let a second phone of yours in to all your cameras."`
	Phrase  ownerPhrase  `cmd:"" help:"Show the backup phrase: 24 words, for paper, from which the key can be made again."`
	Restore ownerRestore `cmd:"" help:"Make the owner's key from the 24 words on standard input."`
}

type ownerShow struct{ homeFlag }

// Run prints who the owner is, and never the key.
func (c *ownerShow) Run(s streams) error {
	_, h, err := c.open()
	if err != nil {
		return err
	}
	if h.Key == nil {
		return errors.New("there is no owner's key yet: camctl pair makes it with the first camera")
	}
	key := ed25519.NewKeyFromSeed(h.Key).Public().(ed25519.PublicKey)
	fmt.Fprintf(s.out, "owner %x\n", []byte(key))
	for _, name := range slices.Sorted(maps.Keys(h.Cameras)) {
		fmt.Fprintf(s.out, "  %s: %s %s, last seen at %s\n", name, h.Cameras[name].Model, h.Cameras[name].Fingerprint,
			h.Cameras[name].Address)
	}
	return nil
}

type ownerPhrase struct{ homeFlag }

// Run prints the words.
func (c *ownerPhrase) Run(s streams) error {
	_, h, err := c.open()
	if err != nil {
		return err
	}
	if len(h.Key) != ed25519.SeedSize {
		return errors.New("there is no owner's key yet: camctl pair makes it with the first camera")
	}
	words, err := bip39.NewMnemonic(h.Key)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(s.out, words)
	return err
}

type ownerRestore struct{ homeFlag }

// Run takes the words. A key that is there already is never replaced.
func (c *ownerRestore) Run(s streams) error {
	words, err := readLine(s.in)
	if err != nil {
		return err
	}
	words = strings.Join(strings.Fields(strings.ToLower(words)), " ")
	seed, err := bip39.EntropyFromMnemonic(words)
	if err != nil || len(seed) != ed25519.SeedSize {
		return fmt.Errorf("these are not the %d words of a backup phrase: look for a word that is misspelt or in another "+
			"place", seedWords)
	}
	file, _, err := c.open()
	if err != nil {
		return err
	}
	err = file.Update(func(h *home) error {
		if h.Key != nil && string(h.Key) != string(seed) {
			return errors.New("there is another owner's key here: use another directory with --home DIR")
		}
		h.Key = seed
		return nil
	})
	if err == nil {
		_, err = fmt.Fprintln(s.out, "the owner's key is back")
	}
	return err
}
