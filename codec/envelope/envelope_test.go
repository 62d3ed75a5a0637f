package envelope

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/ocellus/ocellus/codec/pack"
)

// key is a key for tests, the same at each run.
func key(name string) ed25519.PrivateKey {
	seed := sha256.Sum256([]byte("ocellus test key " + name))
	return ed25519.NewKeyFromSeed(seed[:])
}

func public(k ed25519.PrivateKey) ed25519.PublicKey { return k.Public().(ed25519.PublicKey) }

func opener(t testing.TB, name string) *Opener {
	t.Helper()
	o, err := NewOpener(key(name))
	if err != nil {
		t.Fatal(err)
	}
	return o
}

var camera = [IDSize]byte{1, 2, 3}

func aCommand() Command {
	return Command{
		Camera: camera, ID: [IDSize]byte{7}, Source: public(key("owner")), Issued: time.UnixMilli(1_800_000_000_123).UTC(),
		Expires: time.UnixMilli(1_800_000_060_123).UTC(), Counter: 1_800_000_000_123, Operation: "config.set",
		Arguments: []byte(`{"set":{"streams.main.bitrate":"1500k"}}`),
	}
}

func aReply() Reply {
	return Reply{
		Camera: camera, ID: [IDSize]byte{7}, Time: time.UnixMilli(1_800_000_000_456).UTC(), Code: "ok",
		Result: []byte(`{"version":3}`), Blob: []byte{}, Progress: 100, Took: 12 * time.Millisecond,
	}
}

func anEvent() Event {
	return Event{
		Camera: camera, ID: [IDSize]byte{8}, Seq: 41, Time: time.UnixMilli(1_800_000_100_000).UTC(), Sure: true,
		Class: "security", Name: "session.duplicate", Detail: []byte(`{"times":1}`), Lost: 2,
	}
}

func commandTopic() Topic { return CommandTopic(camera, public(key("owner"))) }
func replyTopic() Topic   { return ReplyTopic(camera, public(key("owner"))) }
func eventTopic() Topic   { return EventTopic(camera, public(key("owner"))) }

// golden reads a vector that is kept for ever.
func golden(t testing.TB, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name+".hex"))
	if err != nil {
		t.Fatal(err)
	}
	raw, err := hex.DecodeString(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// TestGolden: cameras and phones that are out there speak this. What is sealed is different each time, so the vectors
// are opened, and what is inside is written again.
func TestGolden(t *testing.T) {
	t.Parallel()
	c, err := ParseCommand(commandTopic(), golden(t, "command"))
	if err == nil {
		err = errors.Join(c.Verify(), c.Open(opener(t, "camera")))
	}
	if err != nil || !reflect.DeepEqual(c.Command, aCommand()) {
		t.Errorf("command: got %+v, %v", c, err)
	}
	if again := aCommand().sign(commandTopic(), c.body, key("owner")); !bytes.Equal(again, golden(t, "command")) {
		t.Errorf("command is written as\n%x", again)
	}
	r, err := OpenReply(replyTopic(), golden(t, "reply"), opener(t, "owner"), public(key("camera")))
	if err != nil || !reflect.DeepEqual(r, aReply()) {
		t.Errorf("reply: got %+v, %v", r, err)
	}
	e, err := OpenEvent(eventTopic(), golden(t, "event"), opener(t, "owner"), public(key("camera")))
	if err != nil || !reflect.DeepEqual(e, anEvent()) {
		t.Errorf("event: got %+v, %v", e, err)
	}
	for name, m := range map[string]pack.Map{
		"command body": pack.Numbered(aCommand().Operation, aCommand().Arguments), "reply plain": aReply().packed(),
		"event plain": anEvent().packed(),
	} {
		if got := m.Append(nil); !bytes.Equal(got, golden(t, strings.ReplaceAll(name, " ", "-"))) {
			t.Errorf("%s is written as\n%x", name, got)
		}
	}
}

func TestTopics(t *testing.T) {
	t.Parallel()
	const tree, person = "ocellus/1/aebagaaaaaaaaaaaaaaaaaaaaa", "n7y5v4jff7v2m2tslwpbogypd4"
	owner := public(key("owner"))
	for got, want := range map[Topic]string{
		CommandTopic(camera, owner): "/cmd/" + person, DesiredTopic(camera, owner): "/desired/" + person,
		ReplyTopic(camera, owner): "/rsp/" + person, EventTopic(camera, owner): "/evt/" + person,
		ReportedTopic(camera, owner): "/reported/" + person, StateTopic(camera): "/state",
	} {
		if string(got) != tree+want {
			t.Errorf("got %s, want %s", got, tree+want)
		}
	}
}

// TestBound: a message counts for one topic, one recipient, one sender.
func TestBound(t *testing.T) {
	t.Parallel()
	raw, err := aCommand().Seal(commandTopic(), key("owner"), public(key("camera")))
	if err != nil {
		t.Fatal(err)
	}
	take := func(topic Topic, raw []byte, own string) error {
		c, err := ParseCommand(topic, raw)
		if err == nil {
			err = c.Verify()
		}
		if err == nil {
			err = c.Open(opener(t, own))
		}
		return err
	}
	if err := take(commandTopic(), raw, "camera"); err != nil {
		t.Error(err)
	}
	if err := take(DesiredTopic(camera, public(key("owner"))), raw, "camera"); !errors.Is(err, ErrSignature) {
		t.Errorf("another topic: %v", err)
	}
	if err := take(CommandTopic([IDSize]byte{9}, public(key("owner"))), raw, "camera"); !errors.Is(err, ErrSignature) {
		t.Errorf("another camera's topic: %v", err)
	}
	if err := take(commandTopic(), raw, "clone"); !errors.Is(err, ErrSealed) {
		t.Errorf("another camera: %v", err)
	}
	c, err := ParseCommand(commandTopic(), raw)
	if err != nil {
		t.Fatal(err)
	}
	thief := aCommand()
	thief.Source = public(key("thief"))
	stolen := CommandTopic(camera, thief.Source)
	if err := take(stolen, thief.sign(stolen, c.body, key("thief")), "camera"); !errors.Is(err, ErrSealed) {
		t.Errorf("a body that somebody else sealed: %v", err)
	}
	reply, err := aReply().Seal(replyTopic(), key("camera"), public(key("owner")))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := OpenReply(replyTopic(), reply, opener(t, "owner"), public(key("clone"))); !errors.Is(err, ErrSignature) {
		t.Errorf("a reply of another camera: %v", err)
	}
	if _, err := OpenReply(replyTopic(), reply, opener(t, "broker"), public(key("camera"))); !errors.Is(err, ErrSealed) {
		t.Errorf("a reply that the broker reads: %v", err)
	}
	if _, err := OpenReply(eventTopic(), reply, opener(t, "owner"), public(key("camera"))); !errors.Is(err, ErrSealed) {
		t.Errorf("a reply at the topic of events: %v", err)
	}
	if _, err := OpenEvent(replyTopic(), reply, opener(t, "owner"), public(key("camera"))); !errors.Is(err, ErrSealed) {
		t.Errorf("a reply as an event: %v", err)
	}
}

// TestNothingReadable: what is asked and answered is not in what the carrier sees, nor its exact length.
func TestNothingReadable(t *testing.T) {
	t.Parallel()
	c, r := aCommand(), aReply()
	short, err1 := c.Seal(commandTopic(), key("owner"), public(key("camera")))
	c.Operation, c.Arguments = "status", nil
	shorter, err2 := c.Seal(commandTopic(), key("owner"), public(key("camera")))
	reply, err3 := r.Seal(replyTopic(), key("camera"), public(key("owner")))
	if err := errors.Join(err1, err2, err3); err != nil {
		t.Fatal(err)
	}
	for _, word := range []string{"config", "bitrate", "1500k", "status", "ok", "version\""} {
		for _, raw := range [][]byte{short, shorter, reply} {
			if len(word) > 3 && bytes.Contains(raw, []byte(word)) {
				t.Errorf("%q is there to be read", word)
			}
		}
	}
	if len(short) != len(shorter) {
		t.Errorf("%d and %d bytes: the length tells what is asked", len(short), len(shorter))
	}
}

// TestEveryBitCounts: no message survives the change of any of its bits.
func TestEveryBitCounts(t *testing.T) {
	t.Parallel()
	camera, owner := opener(t, "camera"), opener(t, "owner")
	for name, take := range map[string]func([]byte) error{
		"command": func(raw []byte) error {
			c, err := ParseCommand(commandTopic(), raw)
			if err == nil {
				err = c.Verify()
			}
			if err == nil {
				err = c.Open(camera)
			}
			return err
		},
		"reply": func(raw []byte) error {
			_, err := OpenReply(replyTopic(), raw, owner, public(key("camera")))
			return err
		},
		"event": func(raw []byte) error {
			_, err := OpenEvent(eventTopic(), raw, owner, public(key("camera")))
			return err
		},
	} {
		good := golden(t, name)
		if err := take(good); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for i := 0; i < len(good)*8; i += 5 {
			bad := bytes.Clone(good)
			bad[i/8] ^= 1 << (i % 8)
			if take(bad) == nil {
				t.Errorf("%s: bit %d does not count", name, i)
			}
		}
		for _, n := range []int{0, 1, len(good) / 2, len(good) - 1} {
			if take(good[:n]) == nil {
				t.Errorf("%s: %d bytes of it are enough", name, n)
			}
		}
	}
}

// TestUnknownField: a command with one is refused, a reply and an event are read.
func TestUnknownField(t *testing.T) {
	t.Parallel()
	newer := append(aReply().packed(), pack.Field{Key: 11, Value: "new"})
	raw, err := seal(replyTopic(), kindReply, newer, key("camera"), public(key("owner")))
	if err != nil {
		t.Fatal(err)
	}
	r, err := OpenReply(replyTopic(), raw, opener(t, "owner"), public(key("camera")))
	if err != nil || !reflect.DeepEqual(r, aReply()) {
		t.Errorf("reply: %+v, %v", r, err)
	}
	_, m, err := pack.ParseSigned(golden(t, "command"), MaxCommand, 1)
	if err != nil {
		t.Fatal(err)
	}
	m = append(m, pack.Field{Key: 9, Value: true})
	raw = pack.Sign(commandTopic().kind(kindCommand), m, key("owner")).Marshal()
	if _, err := ParseCommand(commandTopic(), raw); !errors.Is(err, pack.ErrMalformed) {
		t.Errorf("command: %v", err)
	}
}

func TestBounds(t *testing.T) {
	t.Parallel()
	if _, err := ParseCommand(commandTopic(), make([]byte, MaxCommand+1)); !errors.Is(err, pack.ErrMalformed) {
		t.Errorf("a long command: %v", err)
	}
	_, err := OpenReply(replyTopic(), make([]byte, MaxMessage+1), opener(t, "owner"), public(key("camera")))
	if !errors.Is(err, pack.ErrMalformed) {
		t.Errorf("a long reply: %v", err)
	}
	c := aCommand()
	c.Arguments = make([]byte, MaxArguments+1)
	raw, err := c.Seal(commandTopic(), key("owner"), public(key("camera")))
	if err != nil {
		t.Fatal(err)
	}
	got, err := ParseCommand(commandTopic(), raw)
	if err != nil {
		t.Fatal(err)
	}
	if err := got.Open(opener(t, "camera")); !errors.Is(err, pack.ErrMalformed) {
		t.Errorf("long arguments: %v", err)
	}
}

func FuzzMessages(f *testing.F) {
	for _, name := range []string{"command", "reply", "event"} {
		f.Add(golden(f, name))
	}
	camera, owner := opener(f, "camera"), opener(f, "owner")
	f.Fuzz(func(t *testing.T, raw []byte) {
		if c, err := ParseCommand(commandTopic(), raw); err == nil && c.Verify() == nil && c.Open(camera) == nil &&
			!reflect.DeepEqual(c.Command, aCommand()) {
			t.Error("another command has the owner's signature")
		}
		_, _ = OpenReply(replyTopic(), raw, owner, public(key("camera")))
		_, _ = OpenEvent(eventTopic(), raw, owner, public(key("camera")))
	})
}

// FuzzOpened reads what a signature stands for, as if the sender were anybody whom the owner granted something.
func FuzzOpened(f *testing.F) {
	f.Add([]byte{0x82, 1, 0xa6, 's', 't', 'a', 't', 'u', 's', 2, 0xc4, 0})
	f.Add(aReply().packed().Append(nil))
	camera := opener(f, "camera")
	f.Fuzz(func(t *testing.T, plain []byte) {
		body, err := sealTo(public(key("camera")), commandTopic().kind(kindBody), plain)
		if err != nil {
			t.Fatal(err)
		}
		c, err := ParseCommand(commandTopic(), aCommand().sign(commandTopic(), body, key("owner")))
		if err != nil {
			return // too long
		}
		if c.Open(camera) == nil && (len(c.Operation) > MaxName || len(c.Arguments) > MaxArguments) {
			t.Error("out of bounds")
		}
	})
}

func BenchmarkDecodeVerify(b *testing.B) {
	raw := golden(b, "command")
	b.ReportAllocs()
	for b.Loop() {
		c, err := ParseCommand(commandTopic(), raw)
		if err != nil || c.Verify() != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkOpenBody(b *testing.B) {
	c, err := ParseCommand(commandTopic(), golden(b, "command"))
	if err != nil {
		b.Fatal(err)
	}
	own := opener(b, "camera")
	for b.Loop() {
		if err := c.Open(own); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSealReply(b *testing.B) {
	for b.Loop() {
		if _, err := aReply().Seal(replyTopic(), key("camera"), public(key("owner"))); err != nil {
			b.Fatal(err)
		}
	}
}
