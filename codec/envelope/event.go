package envelope

import (
	"crypto/ed25519"
	"time"

	"github.com/ocellus/ocellus/codec/pack"
)

const kindEvent = "event"

// Event is what a camera tells by itself.
type Event struct {
	Camera [IDSize]byte
	ID     [IDSize]byte // the same when it is told again
	Seq    uint64       // grows by one with each event of this camera; of the reported state: its version
	Time   time.Time    // in milliseconds
	Sure   bool         // the camera's clock was set when it happened
	Class  string       // security, alarm, lifecycle, telemetry; state for the reported state
	Name   string       // what happened
	Detail []byte       // JSON
	Lost   uint64       // events that found no room, since the camera has this owner
}

// Seal makes the wire form: signed by the camera's operational key, sealed to one person.
func (e Event) Seal(t Topic, key ed25519.PrivateKey, to ed25519.PublicKey) ([]byte, error) {
	return seal(t, kindEvent, e.packed(), key, to)
}

func (e Event) packed() pack.Map {
	return pack.Numbered(uint64(version), e.Camera[:], e.ID[:], e.Seq, millis(e.Time), e.Sure, e.Class, e.Name, e.Detail,
		e.Lost)
}

// OpenEvent reads the wire form: ErrSealed, ErrSignature, pack.ErrMalformed.
func OpenEvent(t Topic, raw []byte, own *Opener, camera ed25519.PublicKey) (Event, error) {
	r, err := open(t, kindEvent, raw, own, camera)
	if err != nil {
		return Event{}, err
	}
	r.Is(1, version)
	e := Event{
		Camera: [IDSize]byte(r.Bytes(2, IDSize)), ID: [IDSize]byte(r.Bytes(3, IDSize)), Seq: r.Uint(4, maxCounter),
		Time: instant(r.Uint(5, maxMillis)), Sure: r.Bool(6), Class: r.Text(7, MaxName), Name: r.Text(8, MaxName),
		Detail: r.Blob(9, MaxResult), Lost: r.Uint(10, maxCounter),
	}
	return e, r.Known()
}
