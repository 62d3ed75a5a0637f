package envelope

import (
	"crypto/ed25519"
	"fmt"
	"time"

	"github.com/ocellus/ocellus/codec/pack"
)

const (
	kindCommand = "command"
	kindBody    = "command body"
)

// Command is what a person wants of a camera.
type Command struct {
	Camera    [IDSize]byte      // operational identity
	ID        [IDSize]byte      // random; the reply says it
	Source    ed25519.PublicKey // who asks, and to whom the reply is sealed
	Issued    time.Time         // in milliseconds
	Expires   time.Time         // not obeyed later; zero: only where the topic is retained
	Counter   uint64            // larger than that of every earlier command of this source
	Operation string            // a row of the command table
	Arguments []byte            // JSON; empty for none
}

// Seal makes the wire form, for a topic of the source: operation and arguments sealed to the camera, whose operational
// key the person has from the claim's receipt, and all of it signed.
func (c Command) Seal(t Topic, key ed25519.PrivateKey, camera ed25519.PublicKey) ([]byte, error) {
	body, err := sealTo(camera, t.kind(kindBody), pack.Numbered(c.Operation, c.Arguments).Append(nil))
	if err != nil {
		return nil, fmt.Errorf("command: %w", err)
	}
	return c.sign(t, body, key), nil
}

func (c Command) sign(t Topic, body []byte, key ed25519.PrivateKey) []byte {
	return pack.Sign(t.kind(kindCommand), pack.Numbered(uint64(version), c.Camera[:], c.ID[:], []byte(c.Source),
		millis(c.Issued), millis(c.Expires), c.Counter, body), key).Marshal()
}

// Received is a Command as it came. Nothing of it is to be believed before Verify, and Operation and Arguments are
// empty before Open.
type Received struct {
	Command
	topic  Topic
	signed pack.Signed
	body   []byte
}

// ParseCommand reads the header; no key is touched, so that junk costs little.
func ParseCommand(t Topic, raw []byte) (*Received, error) {
	signed, m, err := pack.ParseSigned(raw, MaxCommand, 1)
	if err != nil {
		return nil, fmt.Errorf("command: %w", err)
	}
	r := pack.Read(m)
	r.Is(1, version)
	c := &Received{topic: t, signed: signed}
	c.Camera, c.ID = [IDSize]byte(r.Bytes(2, IDSize)), [IDSize]byte(r.Bytes(3, IDSize))
	c.Source = r.Bytes(4, KeySize)
	c.Issued, c.Expires = instant(r.Uint(5, maxMillis)), instant(r.Uint(6, maxMillis))
	c.Counter = r.Uint(7, maxCounter)
	c.body = r.Blob(8, MaxCommand)
	if err := r.Done(); err != nil {
		return nil, fmt.Errorf("command: %w", err)
	}
	return c, nil
}

// Verify reports by ErrSignature when the source did not sign this for this topic.
func (c *Received) Verify() error {
	if !c.signed.Verify(c.topic.kind(kindCommand), 0, c.Source) {
		return fmt.Errorf("command: %w", ErrSignature)
	}
	return nil
}

// Open opens what is asked: ErrSealed, pack.ErrMalformed.
func (c *Received) Open(own *Opener) error {
	plain, err := own.open(c.topic.kind(kindBody), c.body)
	if err != nil {
		return fmt.Errorf("command: %w", err)
	}
	m, err := pack.Parse(plain, MaxCommand)
	if err != nil {
		return fmt.Errorf("command: %w", err)
	}
	r := pack.Read(m)
	operation, arguments := r.Text(1, MaxName), r.Blob(2, MaxArguments)
	if err := r.Done(); err != nil {
		return fmt.Errorf("command: %w", err)
	}
	c.Operation, c.Arguments = operation, arguments
	return nil
}
