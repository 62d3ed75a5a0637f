// Package wire is the conversation of camctl with a camera over frames on a serial line (codec/frame): how it begins,
// how messages survive the line, and what they are. It is pure, and the same for both ends.
//
//	camctl                                   camera
//	   | -- Hello: version, session, chunk --> |     until it is answered
//	   | <-- Welcome: session, what it is ---- |
//	   | <-- Data, Ack ----------------------> |     messages, both ways at once (End)
//	   | -- Ping ----------------------------> |     each second in which nothing else is said
//	   | -- Bye -----------------------------> |     the line is the people's again; as it is after Hold
//	   | <-- Bye ----------------------------- |     the answer to a frame of a conversation that is over
//
// Kinds of the camera's frames have FromCamera added, so that an end whose own frames come back knows an echo when it
// hears one. A message is a kind, a number that the answers to a request carry, and a body:
//
//	request      body                                    answers
//	Envelope     a sealed command (codec/envelope)       Reply, one or more; or Refused
//	Challenge    -                                       Challenge: the riddle (codec/claim); or Refused
//	Unlock       the answer to it, signed                Result; or Refused
//	Command      {"command": NAME, "args": {...}}        Result; only after Unlock
//	Put          SHA-256 and size of a file, now         Credit, more Credit, Result; only after Unlock
//	Piece        offset u32, bytes of the file           -; its number is the Put's
//	Claim        -, or a claim (codec/claim)             Claim: the challenge, or the receipt; or Refused
//	Result       -                                       JSON as at the LAN door: {"code", "text", "result"}
//
// A file goes as far as its Credit: from the offset at which the camera wants it, up to the limit that it has room for.
// A camera that knows the file from a conversation that broke off wants the rest of it.
//
// Everything but envelopes, pieces and JSON is codec/pack. Numbers of kinds and fields are wire format: only ever
// added.
package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/ocellus/ocellus/codec/frame"
	"github.com/ocellus/ocellus/codec/pack"
)

// The kinds of frames.
const (
	HelloKind uint8 = 1
	Data      uint8 = 2
	Ack       uint8 = 3
	Ping      uint8 = 4
	Bye       uint8 = 5
	// FromCamera is added to the kind of a frame that a camera sends. A Welcome is its HelloKind.
	FromCamera uint8 = 0x80
)

// The kinds of messages.
const (
	Envelope  uint8 = 1
	Challenge uint8 = 2
	Unlock    uint8 = 3
	Command   uint8 = 4
	Put       uint8 = 5
	Piece     uint8 = 6
	Reply     uint8 = 7
	Refused   uint8 = 8
	Result    uint8 = 9
	Credit    uint8 = 10
	Claim     uint8 = 11
)

// Bounds.
const (
	SessionSize = 8
	SumSize     = 32
	MinChunk    = 16
	MaxChunk    = frame.MaxPayload - 1
	MaxMessage  = 512<<10 + 64 // the largest envelope, with its head
	MaxRequest  = 64<<10 + 64  // what a camera takes
	MaxFile     = 1 << 31
	MaxPiece    = 4 << 10
	maxText     = 256
)

// Hold is how long a line belongs to a conversation in which nothing is said.
const Hold = 5 * time.Second

// version of the conversation. A camera answers a Hello of another one by its own.
const version = 1

// ErrVersion: the other end speaks another version.
var ErrVersion = errors.New("another version of the framed mode")

// Hello begins a conversation.
type Hello struct {
	Session [SessionSize]byte // random
	Chunk   int               // bytes of a message in one frame: less on a slow line
}

// Marshal is the payload of the frame.
func (h Hello) Marshal() []byte {
	return pack.Numbered(uint64(version), h.Session[:], uint64(h.Chunk)).Append(nil)
}

// ParseHello reads the payload: ErrVersion, pack.ErrMalformed.
func ParseHello(raw []byte) (h Hello, err error) {
	r, err := begin(raw)
	if err != nil {
		return h, fmt.Errorf("hello: %w", err)
	}
	h.Session, h.Chunk = [SessionSize]byte(r.Bytes(2, SessionSize)), int(r.Uint(3, MaxChunk))
	if err := r.Known(); err != nil {
		return h, fmt.Errorf("hello: %w", err)
	}
	if h.Chunk < MinChunk {
		return h, fmt.Errorf("hello: %w: a chunk of %d bytes", pack.ErrMalformed, h.Chunk)
	}
	return h, nil
}

// begin reads the version.
func begin(raw []byte) (*pack.Reader, error) {
	m, err := pack.Parse(raw, frame.MaxPayload)
	if err != nil {
		return nil, err
	}
	r := pack.Read(m)
	if v := r.Uint(1, 1<<32); v != version && r.Known() == nil {
		return nil, fmt.Errorf("%w: %d, here %d", ErrVersion, v, version)
	}
	return r, nil
}

// Welcome is a camera's answer: what its banner says to a person, too.
type Welcome struct {
	Session [SessionSize]byte
	Model   string
	Release string
	Claimed bool
}

// Marshal is the payload of the frame.
func (w Welcome) Marshal() []byte {
	return pack.Numbered(uint64(version), w.Session[:], w.Model, w.Release, w.Claimed).Append(nil)
}

// ParseWelcome reads the payload: ErrVersion, pack.ErrMalformed.
func ParseWelcome(raw []byte) (w Welcome, err error) {
	r, err := begin(raw)
	if err == nil {
		w.Session = [SessionSize]byte(r.Bytes(2, SessionSize))
		w.Model, w.Release, w.Claimed = r.Text(3, maxText), r.Text(4, maxText), r.Bool(5)
		err = r.Known()
	}
	if err != nil {
		return w, fmt.Errorf("welcome: %w", err)
	}
	return w, nil
}

// Message is what an End carries.
type Message struct {
	Kind   uint8
	Number uint16
	Body   []byte
}

const messageHead = 3

// Marshal is the wire form.
func (m Message) Marshal() []byte {
	b := binary.LittleEndian.AppendUint16(append(make([]byte, 0, messageHead+len(m.Body)), m.Kind), m.Number)
	return append(b, m.Body...)
}

// ParseMessage reads it: pack.ErrMalformed. The body shares memory with raw.
func ParseMessage(raw []byte) (Message, error) {
	if len(raw) < messageHead || len(raw) > MaxMessage {
		return Message{}, fmt.Errorf("message: %w: %d bytes", pack.ErrMalformed, len(raw))
	}
	return Message{raw[0], binary.LittleEndian.Uint16(raw[1:]), raw[messageHead:]}, nil
}

// File is what a Put announces.
type File struct {
	Sum  [SumSize]byte // SHA-256
	Size int64
	Now  bool // the camera restarts at once, whoever watches
}

// Marshal is the body of a Put.
func (f File) Marshal() []byte { return pack.Numbered(f.Sum[:], uint64(f.Size), f.Now).Append(nil) }

// ParseFile reads it: pack.ErrMalformed.
func ParseFile(raw []byte) (f File, err error) {
	m, err := pack.Parse(raw, frame.MaxPayload)
	if err == nil {
		r := pack.Read(m)
		f.Sum, f.Size, f.Now = [SumSize]byte(r.Bytes(1, SumSize)), int64(r.Uint(2, MaxFile)), r.Bool(3)
		err = r.Done()
	}
	if err != nil {
		return File{}, fmt.Errorf("put: %w", err)
	}
	return f, nil
}

// Grant is the body of a Credit: which bytes of a file may be sent.
type Grant struct{ From, To int64 }

// Marshal is the body.
func (g Grant) Marshal() []byte { return pack.Numbered(uint64(g.From), uint64(g.To)).Append(nil) }

// ParseGrant reads it: pack.ErrMalformed.
func ParseGrant(raw []byte) (g Grant, err error) {
	m, err := pack.Parse(raw, frame.MaxPayload)
	if err == nil {
		r := pack.Read(m)
		g.From, g.To = int64(r.Uint(1, MaxFile)), int64(r.Uint(2, MaxFile))
		err = r.Known()
	}
	if err != nil {
		return Grant{}, fmt.Errorf("credit: %w", err)
	}
	return g, nil
}

// Part is the body of a Piece.
type Part struct {
	At    int64
	Bytes []byte // at most MaxPiece
}

// Marshal is the body.
func (p Part) Marshal() []byte {
	return append(binary.LittleEndian.AppendUint32(make([]byte, 0, 4+len(p.Bytes)), uint32(p.At)), p.Bytes...)
}

// ParsePart reads it: pack.ErrMalformed. The bytes share memory with raw.
func ParsePart(raw []byte) (Part, error) {
	if len(raw) <= 4 || len(raw) > 4+MaxPiece {
		return Part{}, fmt.Errorf("piece: %w: %d bytes", pack.ErrMalformed, len(raw))
	}
	return Part{int64(binary.LittleEndian.Uint32(raw)), raw[4:]}, nil
}

// No is the body of a Refused.
type No struct{ Code, Text string }

// Marshal is the body.
func (n No) Marshal() []byte { return pack.Numbered(n.Code, n.Text).Append(nil) }

// ParseNo reads it: pack.ErrMalformed.
func ParseNo(raw []byte) (n No, err error) {
	m, err := pack.Parse(raw, 8<<10)
	if err == nil {
		r := pack.Read(m)
		n.Code, n.Text = r.Text(1, maxText), r.Text(2, 4<<10)
		err = r.Known()
	}
	if err != nil {
		return No{}, fmt.Errorf("refusal: %w", err)
	}
	return n, nil
}
