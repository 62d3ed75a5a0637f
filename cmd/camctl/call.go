package main

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ocellus/ocellus/codec/envelope"
	"github.com/ocellus/ocellus/internal/monotime"
)

// cameraFlag names a paired camera, and the way to it.
type cameraFlag struct {
	homeFlag
	brokerFlag
	speedFlag
	Address string `placeholder:"HOST:PORT" help:"Where the camera's LAN door is, if not where it was last."`
}

// callCommand asks a camera to do something.
type callCommand struct {
	cameraFlag
	Camera    string        `arg:"" help:"How you call the camera, or its serial line: /dev/ttyUSB0, tcp:HOST:PORT."`
	Operation string        `arg:"" help:"A row of the camera's command table: status, snapshot, set, reboot, capabilities ..."`
	Args      []string      `arg:"" optional:"" help:"Its arguments, NAME=VALUE each."`
	Times     int           `default:"1" help:"Ask so often, and tell how long the answers took."`
	Pace      time.Duration `default:"60ms" help:"Between two of --times: a camera lets one person ask 20 times a second."`
	Out       string        `short:"o" placeholder:"FILE" help:"Where a picture goes; - for standard output."`
}

// Run prints the answer as JSON.
func (c *callCommand) Run(ctx context.Context, s streams) error {
	operation, args, err := question(c.Operation, c.Args)
	if err != nil {
		return &fault{exitUsage, err}
	}
	way, err := c.way(ctx, c.Camera, func(r envelope.Reply) { fmt.Fprintf(s.err, "%d %%\n", r.Progress) })
	if err != nil {
		return err
	}
	defer way.close()
	if c.Times > 1 {
		return c.measure(ctx, s, way, operation, args)
	}
	r, err := way.ask(ctx, operation, args)
	if err != nil {
		return err
	}
	return c.show(s, r)
}

// measure asks again and again, as often as a camera lets one person ask.
func (c *callCommand) measure(ctx context.Context, s streams, w *way, operation string, args []byte) error {
	tick := time.NewTicker(c.Pace)
	defer tick.Stop()
	var took []time.Duration
	for range c.Times {
		began := time.Now()
		r, err := w.ask(ctx, operation, args)
		if err != nil {
			return err
		}
		if r.Code != "ok" {
			return &refusal{Code: r.Code, Text: r.Text}
		}
		took = append(took, time.Since(began))
		<-tick.C
	}
	slices.Sort(took)
	at := func(percent int) float64 { return float64(took[(len(took)-1)*percent/100].Microseconds()) / 1000 }
	return json.NewEncoder(s.out).Encode(struct {
		Times int     `json:"times"`
		P50   float64 `json:"p50_ms"`
		P99   float64 `json:"p99_ms"`
		Worst float64 `json:"worst_ms"`
	}{len(took), at(50), at(99), at(100)})
}

// show prints an answer, and writes its picture.
func (c *callCommand) show(s streams, r envelope.Reply) error {
	if r.Code != "ok" {
		return answerFault(r)
	}
	if len(r.Blob) > 0 {
		out := c.Out
		if out == "" {
			out = c.Operation + ".jpg"
		}
		if out == "-" {
			_, err := s.out.Write(r.Blob)
			return err
		}
		if err := os.WriteFile(out, r.Blob, 0o600); err != nil {
			return err
		}
		_, err := fmt.Fprintf(s.out, "%s: %d bytes\n", out, len(r.Blob))
		return err
	}
	var pretty any
	if err := json.Unmarshal(r.Result, &pretty); err != nil {
		return fmt.Errorf("answer: %w", err)
	}
	raw, err := json.MarshalIndent(pretty, "", "  ")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(s.out, string(raw))
	return err
}

// question turns words into an operation and its arguments in JSON. set and get are short for config.set and
// config.get, and know stream.main for streams.main.
func question(operation string, words []string) (string, []byte, error) {
	args := map[string]any{}
	for _, word := range words {
		name, value, ok := strings.Cut(word, "=")
		if !ok {
			return "", nil, fmt.Errorf("%q: want NAME=VALUE", word)
		}
		args[name] = typed(value)
	}
	switch operation {
	case "set":
		set := map[string]string{}
		for _, word := range words {
			name, value, _ := strings.Cut(word, "=")
			set[configKey(name)] = value
		}
		operation, args = "config.set", map[string]any{"set": set}
	case "get":
		operation = "config.get"
	}
	if len(args) == 0 {
		return operation, nil, nil
	}
	raw, err := json.Marshal(args)
	return operation, raw, err
}

func configKey(name string) string {
	if rest, ok := strings.CutPrefix(name, "stream."); ok {
		return "streams." + rest
	}
	return name
}

// typed is a number, a truth or an object in JSON where the text looks like one.
func typed(value string) any {
	if strings.HasPrefix(value, "{") && json.Valid([]byte(value)) {
		return json.RawMessage(value)
	}
	if n, err := strconv.ParseInt(value, 10, 64); err == nil {
		return n
	}
	if b, err := strconv.ParseBool(value); err == nil && len(value) > 1 {
		return b
	}
	return value
}

// carrier brings an envelope to a camera and an answer back.
type carrier interface {
	// carry returns the answer to the command with this id.
	carry(ctx context.Context, topic envelope.Topic, raw []byte, id [envelope.IDSize]byte) (envelope.Reply, error)
	close()
}

// way is how to reach a camera: whose key, to which camera, by what.
type way struct {
	carrier
	key    ed25519.PrivateKey
	camera pairedCamera
	id     [envelope.IDSize]byte
}

// way finds the camera's: over the serial line that is named instead of it, over the broker that is named, or over its LAN
// door. heard hears how far what takes long is.
func (f *cameraFlag) way(ctx context.Context, name string, heard func(envelope.Reply)) (*way, error) {
	_, h, err := f.open()
	if err != nil {
		return nil, err
	}
	if isPort(name) {
		w, _, _, err := serialWay(ctx, h, name, f.Speed)
		return w, err
	}
	_, camera, err := h.camera(name)
	if err != nil {
		return nil, err
	}
	w, back, err := h.wayTo(camera)
	if err != nil {
		return nil, err
	}
	back.heard = heard
	if f.Broker != "" {
		w.carrier, err = f.connect(ctx, back)
		return w, err
	}
	if f.Address != "" {
		camera.Address = f.Address
	}
	d, err := camera.door(w.key)
	w.carrier = doorCarrier{d, back}
	return w, err
}

// wayTo is the way to a camera of ours, still without a carrier, and what opens the camera's answers.
func (h home) wayTo(camera pairedCamera) (*way, answers, error) {
	if len(h.Key) != ed25519.SeedSize || len(camera.ID) != envelope.IDSize {
		return nil, answers{}, errors.New("what is kept of the camera is damaged: camctl pair")
	}
	w := &way{key: ed25519.NewKeyFromSeed(h.Key), camera: camera, id: [envelope.IDSize]byte(camera.ID)}
	opener, err := envelope.NewOpener(w.key)
	return w, answers{topic: envelope.ReplyTopic(w.id, w.public()), opener: opener, camera: camera.Operational}, err
}

func (w *way) public() ed25519.PublicKey { return w.key.Public().(ed25519.PublicKey) }

// answers opens what a camera says to us.
type answers struct {
	topic  envelope.Topic
	opener *envelope.Opener
	camera ed25519.PublicKey
	heard  func(envelope.Reply) // hears of each reply that says how far something is; nil: nobody
}

func (a answers) progress(r envelope.Reply) {
	if a.heard != nil {
		a.heard(r)
	}
}

func (a answers) open(raw []byte, id [envelope.IDSize]byte) (envelope.Reply, error) {
	r, err := envelope.OpenReply(a.topic, raw, a.opener, a.camera)
	if err == nil && r.ID != id {
		err = errors.New("this answers another question")
	}
	return r, err
}

// ask asks, and once more with a larger counter where the camera has seen a larger one: from another machine with the
// same key, or another clock.
func (w *way) ask(ctx context.Context, operation string, args []byte) (envelope.Reply, error) {
	r, err := w.try(ctx, operation, args, uint64(time.Now().UnixMilli()))
	var seen struct{ Counter uint64 }
	if err == nil && r.Code == "replay" && json.Unmarshal(r.Result, &seen) == nil && seen.Counter > 0 {
		r, err = w.try(ctx, operation, args, seen.Counter+1)
	}
	return r, err
}

func (w *way) try(ctx context.Context, operation string, args []byte, counter uint64) (envelope.Reply, error) {
	now := time.Now()
	c := envelope.Command{
		Camera: w.id, Source: w.public(), Issued: now, Expires: now.Add(2 * time.Minute), Counter: counter,
		Operation: operation, Arguments: args,
	}
	_, _ = rand.Read(c.ID[:]) // never fails
	topic := envelope.CommandTopic(w.id, c.Source)
	raw, err := c.Seal(topic, w.key, w.camera.Operational)
	if err != nil {
		return envelope.Reply{}, err
	}
	return w.carry(ctx, topic, raw, c.ID)
}

// doorCarrier is the LAN door.
type doorCarrier struct {
	*door
	answers
}

func (d doorCarrier) carry(ctx context.Context, _ envelope.Topic, raw []byte, id [envelope.IDSize]byte) (
	envelope.Reply, error,
) {
	for {
		r, err := d.once(ctx, raw, id)
		if err != nil || r.Code != "accepted" || monotime.Pause(ctx, time.Second) != nil {
			return r, err
		}
		d.progress(r)
	}
}

// once asks; the camera answers the same envelope again by how far it is.
func (d doorCarrier) once(ctx context.Context, raw []byte, id [envelope.IDSize]byte) (envelope.Reply, error) {
	reply, err := d.ask(ctx, http.MethodPost, "/v1/envelope", raw)
	var no *refusal
	if errors.As(err, &no) && no.Status == http.StatusUnauthorized {
		return envelope.Reply{}, &fault{exitCredential,
			errors.New("the camera does not know your key: it was revoked, or there is another owner")}
	}
	if err != nil {
		return envelope.Reply{}, err
	}
	return d.answers.open(reply, id)
}

func (d doorCarrier) close() {}

// eventsCommand tells what happens.
type eventsCommand struct {
	cameraFlag
	Camera string        `arg:"" help:"How you call the camera, or its serial line."`
	Since  uint64        `help:"Number of the last event that you have seen."`
	For    time.Duration `placeholder:"TIME" help:"Stop after this time; without it, on Ctrl-C."`
}

// Run prints one line of JSON an event, as they come.
func (c *eventsCommand) Run(ctx context.Context, s streams) error {
	if c.For > 0 {
		short, cancel := context.WithTimeout(ctx, c.For)
		defer cancel()
		ctx = short
	}
	way, err := c.way(ctx, c.Camera, nil)
	if err != nil {
		return err
	}
	defer way.close()
	seen := map[string]bool{}
	for after := c.Since; ; {
		r, err := way.ask(ctx, "events", fmt.Appendf(nil, `{"after":%d}`, after))
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return err
		case r.Code != "ok":
			return &refusal{Code: r.Code, Text: r.Text}
		}
		if after, err = printEvents(s, r.Result, after, seen); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(time.Second):
		}
	}
}

// printEvents prints what was not seen yet and returns the largest number.
func printEvents(s streams, result []byte, after uint64, seen map[string]bool) (uint64, error) {
	var list []json.RawMessage
	if err := json.Unmarshal(result, &list); err != nil {
		return after, fmt.Errorf("events: %w", err)
	}
	for _, raw := range list {
		var e struct {
			ID  string
			Seq uint64
		}
		if err := json.Unmarshal(raw, &e); err != nil {
			return after, fmt.Errorf("events: %w", err)
		}
		if seen[e.ID] {
			continue
		}
		seen[e.ID] = true
		after = max(after, e.Seq)
		if _, err := fmt.Fprintf(s.out, "%s\n", raw); err != nil {
			return after, err
		}
	}
	return after, nil
}
