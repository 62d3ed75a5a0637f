package envelope

import (
	"crypto/ed25519"
	"time"

	"github.com/ocellus/ocellus/codec/pack"
)

const kindReply = "reply"

// Reply is a camera's answer. A long job has several: Code accepted while it goes on, with its Progress, and then the
// last one.
type Reply struct {
	Camera   [IDSize]byte
	ID       [IDSize]byte // of the command
	Time     time.Time    // in milliseconds, as the camera's clock has it
	Code     string       // wire format, docs/control.md
	Text     string       // for a person
	Result   []byte       // JSON
	Blob     []byte       // a picture, where the operation has one
	Progress int          // percent
	Took     time.Duration
}

// Seal makes the wire form: signed by the camera's operational key, sealed to who asked.
func (r Reply) Seal(t Topic, key ed25519.PrivateKey, to ed25519.PublicKey) ([]byte, error) {
	return seal(t, kindReply, r.packed(), key, to)
}

func (r Reply) packed() pack.Map {
	return pack.Numbered(uint64(version), r.Camera[:], r.ID[:], millis(r.Time), r.Code, r.Text, r.Result, r.Blob,
		uint64(r.Progress), uint64(r.Took.Milliseconds()))
}

// OpenReply reads the wire form: ErrSealed, ErrSignature, pack.ErrMalformed. Whether it answers a command that was
// asked is for the caller to see, by ID.
func OpenReply(t Topic, raw []byte, own *Opener, camera ed25519.PublicKey) (Reply, error) {
	r, err := open(t, kindReply, raw, own, camera)
	if err != nil {
		return Reply{}, err
	}
	const maxMinutes = 1 << 32 // in milliseconds: 49 days
	r.Is(1, version)
	m := Reply{
		Camera: [IDSize]byte(r.Bytes(2, IDSize)), ID: [IDSize]byte(r.Bytes(3, IDSize)), Time: instant(r.Uint(4, maxMillis)),
		Code: r.Text(5, MaxName), Text: r.Text(6, MaxText), Result: r.Blob(7, MaxResult), Blob: r.Blob(8, MaxBlob),
		Progress: int(r.Uint(9, 100)), Took: time.Duration(r.Uint(10, maxMinutes)) * time.Millisecond,
	}
	return m, r.Known()
}
