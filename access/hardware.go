package access

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"

	"github.com/ocellus/ocellus/codec/label"
	"github.com/ocellus/ocellus/internal/statefile"
)

// persistVersion is the newest format of the fields that access keeps in the area persist.
const persistVersion = 1

// lasting is what access keeps in the area persist. Other rooms have fields of their own there. Fields are only added.
type lasting struct {
	Hardware *hardwareKeys `json:"hardware,omitempty"`
	Epoch    uint32        `json:"epoch,omitempty"`         // how often the camera was reset or handed over
	Failures uint32        `json:"failed_proofs,omitempty"` // a power of two: see proofs
	// Resetting: a reset was begun, and what is on the disk is nobody's. See EndReset.
	Resetting bool `json:"resetting,omitempty"`
	// Sold: the camera had an owner once. See Ownership.FactoryFresh.
	Sold bool `json:"sold,omitempty"`
	// Labelled: what FactoryLabel told is on the camera.
	Labelled bool `json:"labelled,omitempty"`
}

// hardwareKeys is the hardware identity as it is stored. It is the one place where the setup secret lies readable: who
// can read the area has the board in his hands, and with it the label.
type hardwareKeys struct {
	Key    []byte `json:"key"`              // seed of the Ed25519 key, RFC 8032 5.1.5
	Public []byte `json:"public,omitempty"` // its public half: to work it out is a good part of a small board's start
	Secret string `json:"setup_secret"`
	Model  string `json:"model"`
}

// Hardware is the hardware identity: what the label says. It is made once, at random and from no serial number,
// survives every reset, and is used for pairing and claiming only.
type Hardware struct {
	key   ed25519.PrivateKey
	label label.Label
}

// OpenHardware reads the hardware identity in the area persist, and makes one where there is none yet; fresh says so:
// its label has to be printed. A damaged identity is an error and never replaced: its label is on the camera.
func OpenHardware(persist statefile.Place, model string) (h *Hardware, fresh bool, err error) {
	file := statefile.At[lasting](persist, persistVersion)
	v, _, err := file.Load()
	if errors.Is(err, fs.ErrNotExist) || err == nil && v.Hardware == nil {
		fresh = true
		err = file.Update(func(stored *lasting) (err error) {
			stored.Hardware, err = newHardware(model, rand.Reader)
			v = *stored
			return err
		})
	}
	if err == nil {
		h, err = v.Hardware.open()
	}
	if err != nil {
		return nil, false, fmt.Errorf("open hardware identity: %w", err)
	}
	return h, fresh, nil
}

func newHardware(model string, random io.Reader) (*hardwareKeys, error) {
	seed := make([]byte, ed25519.SeedSize)
	if _, err := io.ReadFull(random, seed); err != nil {
		return nil, err
	}
	secret, err := label.NewSecret(random)
	if err != nil {
		return nil, err
	}
	public := ed25519.NewKeyFromSeed(seed).Public().(ed25519.PublicKey)
	return &hardwareKeys{Key: seed, Public: public, Secret: secret.Printed().Reveal(), Model: model}, nil
}

func (k *hardwareKeys) open() (*Hardware, error) {
	if len(k.Key) != ed25519.SeedSize {
		return nil, errors.New("key is damaged")
	}
	secret, err := label.ParseSecret(k.Secret)
	if err != nil {
		return nil, err
	}
	h := &Hardware{key: slices.Concat(k.Key, k.Public)} // RFC 8032 5.1.5, as crypto/ed25519 keeps it
	if len(h.key) != ed25519.PrivateKeySize {
		h.key = ed25519.NewKeyFromSeed(k.Key) // one of before
	}
	h.label = label.Label{Model: k.Model, Fingerprint: label.FingerprintOf(h.Public()), Secret: secret}
	_, err = h.label.Text() // a model that no label can show
	return h, err
}

// Public is the hardware key's public half.
func (h *Hardware) Public() ed25519.PublicKey { return h.key.Public().(ed25519.PublicKey) }

// Private is the hardware key: for the certificate of the LAN door of a camera without an owner.
func (h *Hardware) Private() ed25519.PrivateKey { return h.key }

// Label is what is printed on the camera.
func (h *Hardware) Label() label.Label { return h.label }

// infoEasyConnect is a part of what is on labels (RFC 5869).
const infoEasyConnect = "ocellus dpp 1"

// EasyConnect is the key of Wi-Fi Easy Connect, on P-256; its public half is on the label. It follows from the hardware
// key, so that a camera of before has one, too, and stands in no file. Who knows the one half of it, or the setup
// secret, knows nothing of the hardware key.
func (h *Hardware) EasyConnect() (*ecdsa.PrivateKey, error) {
	const tries = 8 // one of four thousand million candidates is no number below the order of P-256
	for n := range byte(tries) {
		candidate, err := hkdf.Key(sha256.New, h.key.Seed(), nil, infoEasyConnect+string(rune(n)), 32)
		if err != nil {
			return nil, fmt.Errorf("key of Wi-Fi Easy Connect: %w", err)
		}
		if key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), candidate); err == nil {
			return key, nil
		}
	}
	return nil, errors.New("key of Wi-Fi Easy Connect: none follows")
}
