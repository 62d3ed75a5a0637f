// Package envelope is what a camera and its people say to one another over a carrier that nobody has to trust: an MQTT
// broker, the LAN door.
//
//	person -> camera   Command   header in the clear, operation and arguments sealed to the camera; signed by the person
//	camera -> person   Reply     signed by the camera, then sealed to the person who asked
//	camera -> person   Event     the same, to each person who may know; the reported state is one, retained
//
// The bytes are those of codec/pack, pinned by golden vectors. A signature covers the bytes and the topic, so what was
// said to one camera, by one person, in one direction, counts nowhere else. A topic names a person by Client, a digest
// of the key. What is sealed is opaque to everybody but its recipient, and padded, so that its length says little.
//
// Arguments, results and details are the JSON texts of the camera's command table, which is the same on every door;
// they travel as bytes and mean nothing here.
//
// A release refuses a command with a field that it does not know, since its sender means something, and overlooks one
// in a reply or an event.
package envelope

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/ocellus/ocellus/codec/pack"
)

// Sizes in bytes.
const (
	IDSize       = 16
	KeySize      = ed25519.PublicKeySize
	MaxCommand   = 64 << 10  // of a command on the wire
	MaxMessage   = 512 << 10 // of a reply or an event on the wire
	MaxArguments = 48 << 10
	MaxResult    = 128 << 10
	MaxBlob      = 320 << 10
	MaxName      = 64 // of an operation, a class, a code
	MaxText      = 4 << 10
)

// version is that of the format. It is in every message; a message of another version is malformed.
const version = 1

// Errors that callers branch on, beside pack.ErrMalformed.
var (
	// ErrSignature: the signature is not its key's, or was made for another topic.
	ErrSignature = errors.New("wrong signature")
	// ErrSealed: the message is sealed to somebody else, or for another topic, or damaged.
	ErrSealed = errors.New("can't be opened")
)

// maxMillis is the last instant that a message may name, the year 10889.
const maxMillis = 1 << 48

func millis(t time.Time) uint64 {
	if t.IsZero() {
		return 0
	}
	return uint64(min(max(t.UnixMilli(), 0), maxMillis))
}

func instant(ms uint64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(int64(ms)).UTC()
}

// Topic is where a message is sent. The strings are wire format.
type Topic string

// root is the tree of all cameras that speak version 1 of the protocol.
const root = "ocellus/1/"

func spelled(id []byte) string {
	return strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(id))
}

// Client is how a topic names a person: 26 letters and digits, from the first 16 bytes of the SHA-256 of the key.
func Client(key ed25519.PublicKey) string {
	sum := sha256.Sum256(key)
	return spelled(sum[:IDSize])
}

// Camera is a camera's own tree, without a slash behind it: its operational identity (codec/claim, Receipt) in base32.
func Camera(id [IDSize]byte) string { return root + spelled(id[:]) }

func topic(camera [IDSize]byte, kind string, key ed25519.PublicKey) Topic {
	return Topic(Camera(camera) + "/" + kind + "/" + Client(key))
}

// CommandTopic is where a person sends commands. They are never retained.
func CommandTopic(camera [IDSize]byte, person ed25519.PublicKey) Topic {
	return topic(camera, "cmd", person)
}

// DesiredTopic is where a person leaves the state that the camera shall take, retained: a command, too.
func DesiredTopic(camera [IDSize]byte, person ed25519.PublicKey) Topic {
	return topic(camera, "desired", person)
}

// ReplyTopic is where a camera answers a person.
func ReplyTopic(camera [IDSize]byte, person ed25519.PublicKey) Topic {
	return topic(camera, "rsp", person)
}

// EventTopic is where a camera tells a person what happened.
func EventTopic(camera [IDSize]byte, person ed25519.PublicKey) Topic {
	return topic(camera, "evt", person)
}

// ReportedTopic is where a camera leaves its state for a person, retained.
func ReportedTopic(camera [IDSize]byte, person ed25519.PublicKey) Topic {
	return topic(camera, "reported", person)
}

// StateTopic is where a camera says whether it is there, in the clear and retained. Its will lies there.
func StateTopic(camera [IDSize]byte) Topic { return Topic(Camera(camera) + "/state") }

// kind is what codec/pack signs a message as: no topic holds the byte 0 that ends it.
func (t Topic) kind(what string) string { return what + " 1 " + string(t) }

// open parses what was signed by one key and sealed to us.
func open(t Topic, what string, raw []byte, own *Opener, from ed25519.PublicKey) (*pack.Reader, error) {
	if len(raw) > MaxMessage {
		return nil, fmt.Errorf("%s: %w: %d bytes, at most %d", what, pack.ErrMalformed, len(raw), MaxMessage)
	}
	plain, err := own.open(t.kind(what), raw)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	signed, m, err := pack.ParseSigned(plain, MaxMessage, 1)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	if !signed.Verify(t.kind(what), 0, from) {
		return nil, fmt.Errorf("%s: %w", what, ErrSignature)
	}
	return pack.Read(m), nil
}

// seal is the way back.
func seal(t Topic, what string, m pack.Map, key ed25519.PrivateKey, to ed25519.PublicKey) ([]byte, error) {
	raw, err := sealTo(to, t.kind(what), pack.Sign(t.kind(what), m, key).Marshal())
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	return raw, nil
}

// maxCounter is the last counter: a uint64 that JSON carries without loss.
const maxCounter = 1<<53 - 1
