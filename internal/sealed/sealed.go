// Package sealed keeps state so that it is gone when its key is: a Place whose content is encrypted before it is
// written. The key lies in the area "keys" of the board's vault, outside of the file system; a factory reset destroys it
// there, and with it everything that was sealed, wherever the flash still holds old blocks of it.
//
// The form is "OCSEAL1\n", a random nonce of 12 bytes, and AES-256-GCM (NIST SP 800-38D) of the content with the name
// of the place as additional data, so that one file can't stand in for another. A key seals far fewer than the 2^32
// messages that random nonces allow: small state changes a few times a day.
package sealed

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"

	"github.com/ocellus/ocellus/internal/statefile"
)

// KeySize is the size of a key in bytes.
const KeySize = 32

const magic = "OCSEAL1\n"

// Place is a place whose content is sealed. It implements statefile.Place.
type Place struct {
	name  string
	inner statefile.Place
	aead  cipher.AEAD
}

// keys is what the area "keys" holds. Fields are only added.
type keys struct {
	Data []byte `json:"data_key"`
}

// OpenKey returns the key in a place that lies outside of what it seals, and makes one where there is none. A damaged
// one is an error: only a reset may replace it.
func OpenKey(p statefile.Place) (key [KeySize]byte, err error) {
	key, err = LoadKey(p)
	if !errors.Is(err, fs.ErrNotExist) {
		return key, err
	}
	_, _ = rand.Read(key[:]) // never fails
	err = statefile.At[keys](p, 1).Update(func(k *keys) error {
		k.Data = key[:]
		return nil
	})
	if err != nil {
		return key, fmt.Errorf("make key in %s: %w", p, err)
	}
	return key, nil
}

// LoadKey is OpenKey for who changes nothing: fs.ErrNotExist where there is no key.
func LoadKey(p statefile.Place) (key [KeySize]byte, err error) {
	k, _, err := statefile.At[keys](p, 1).Load()
	switch {
	case err == nil && k.Data == nil:
		err = fs.ErrNotExist
	case err == nil && len(k.Data) != KeySize:
		err = fmt.Errorf("%w: a key of %d bytes", statefile.ErrCorrupt, len(k.Data))
	}
	if err != nil {
		return key, fmt.Errorf("open key in %s: %w", p, err)
	}
	return [KeySize]byte(k.Data), nil
}

// New seals what goes into inner. name is part of what is sealed and never changes.
func New(name string, key [KeySize]byte, inner statefile.Place) *Place {
	block, err := aes.NewCipher(key[:])
	if err != nil {
		panic(err) // the size is right
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic(err)
	}
	return &Place{name, inner, aead}
}

// Is reports whether raw looks like what Store leaves in the inner place; whoever has the key knows more.
func Is(raw []byte) bool { return bytes.HasPrefix(raw, []byte(magic)) }

// Load opens what Store sealed. What was sealed with another key, or changed, is statefile.ErrCorrupt.
func (p *Place) Load() ([]byte, error) {
	raw, err := p.inner.Load()
	if err != nil {
		return nil, err
	}
	sealed, ok := bytes.CutPrefix(raw, []byte(magic))
	if !ok {
		return nil, fmt.Errorf("open %s: %w: not sealed", p, statefile.ErrCorrupt)
	}
	content, err := p.aead.Open(nil, nil, sealed, []byte(p.name))
	if err != nil {
		return nil, fmt.Errorf("open %s: %w: sealed with another key, or changed", p, statefile.ErrCorrupt)
	}
	return content, nil
}

// Store seals and stores.
func (p *Place) Store(content []byte) error {
	return p.inner.Store(p.aead.Seal([]byte(magic), nil, content, []byte(p.name)))
}

func (p *Place) String() string { return p.inner.String() }
