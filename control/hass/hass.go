// Package hass lets a camera appear in Home Assistant by itself, by its MQTT discovery: one retained message for the
// whole device (https://www.home-assistant.io/integrations/mqtt/, "Device discovery payload").
//
// Home Assistant can't sign, so this is the one way by which plain messages do something. It is off by default, and
// what may be done is the list Actions and nothing else. Everything is published in the clear: whoever runs the broker
// reads it, a snapshot too.
//
//	PREFIX/device/CAMERA/config      what there is, retained; an empty one takes it away
//	ocellus/1/CAMERA/state           availability, the session's own
//	ocellus/1/CAMERA/ha/state        figures, retained
//	ocellus/1/CAMERA/ha/picture      the snapshot that was asked for, never retained
//	ocellus/1/CAMERA/ha/ACTION/set   an action
package hass

import (
	"context"
	"encoding/json"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ocellus/ocellus/codec/envelope"
	"github.com/ocellus/ocellus/control"
	"github.com/ocellus/ocellus/internal/monotime"
)

// Action is something that a plain message may do.
type Action string

// The actions: all that there are. They are wire format.
const (
	Bitrate  Action = "bitrate"  // of the main stream, one of those in the list
	Identify Action = "identify" // let the lamp show which camera this is
	Snapshot Action = "snapshot" // publish a picture
	Restart  Action = "restart"
	Install  Action = "install" // an update that the camera has found and verified already
)

// Actions lists them, with how often each may be done.
func Actions() map[Action]Limit {
	return map[Action]Limit{
		Bitrate: {10, time.Minute}, Identify: {6, time.Minute}, Snapshot: {20, time.Minute}, Restart: {3, time.Hour},
		Install: {3, time.Hour},
	}
}

// Limit is so many in a time.
type Limit struct {
	Times int
	In    time.Duration
}

// Facts are the figures of a moment. A nil figure is one that this camera has not: there is no entity for it.
type Facts struct {
	Bitrate     string   `json:"bitrate"` // of the main stream: 2M
	Problem     bool     `json:"problem"`
	Uptime      int64    `json:"uptime"`                // in seconds
	Viewers     int      `json:"viewers"`               // sessions that play
	Egress      uint64   `json:"egress"`                // bytes of pictures sent since the start
	Signal      *int     `json:"signal,omitempty"`      // dBm
	Temperature *float64 `json:"temperature,omitempty"` // degrees Celsius, of the processor
	Storage     *uint64  `json:"storage,omitempty"`     // free bytes
	Update      *Update  `json:"update,omitempty"`
}

// Update is what Home Assistant's update entity reads. The names are Home Assistant's.
type Update struct {
	Installed  string `json:"installed_version"`
	Latest     string `json:"latest_version"`
	Title      string `json:"title"`
	InProgress bool   `json:"in_progress"`
	Percentage *int   `json:"update_percentage"`
}

// Camera is what the bridge asks of the camera. The functions return within their context's time.
type Camera struct {
	Model, Release string
	Page           string // URL of the camera's own page; empty: none
	Lamp           bool   // Identify shows something
	Facts          func() Facts
	// Act does an action; value is what the message said. It returns a picture for Snapshot.
	Act func(ctx context.Context, action Action, value string) (picture []byte, err error)
	Log *slog.Logger
}

// Bridge implements control.Bridge. New is the only door.
type Bridge struct {
	Camera
	asked chan request // of Home Assistant; capacity 8, what finds no room is dropped
	birth chan struct{}
	began time.Time

	mu   sync.Mutex // guards past
	past map[Action][]time.Time
}

type request struct {
	action Action
	value  string
}

// How often figures are told, and how long an action may take.
const (
	every    = 30 * time.Second
	patience = 15 * time.Second
	spread   = 2 * time.Second // many cameras hear the same birth
	maxValue = 64
)

// New makes a bridge.
func New(c Camera) *Bridge {
	c.Log = c.Log.With("part", "home_assistant")
	return &Bridge{Camera: c, asked: make(chan request, 8), birth: make(chan struct{}, 1), past: map[Action][]time.Time{},
		began: time.Now()}
}

func base(camera [envelope.IDSize]byte) string { return envelope.Camera(camera) + "/ha/" }

// Filters is what the bridge listens to: its actions, and Home Assistant's birth.
func (b *Bridge) Filters(config control.HomeAssistantConfig, camera [envelope.IDSize]byte) []string {
	return []string{base(camera) + "+/set", config.Prefix + "/status"}
}

// Traces are the retained topics.
func (b *Bridge) Traces(config control.HomeAssistantConfig, camera [envelope.IDSize]byte) []string {
	return []string{discoveryTopic(config, camera), base(camera) + "state"}
}

func discoveryTopic(config control.HomeAssistantConfig, camera [envelope.IDSize]byte) string {
	return config.Prefix + "/device/" + id(camera) + "/config"
}

// id is the camera's pseudonym: what its topics have, and nothing of its serial number or address.
func id(camera [envelope.IDSize]byte) string {
	return "ocellus_" + envelope.Camera(camera)[len("ocellus/1/"):]
}

// Take takes a message. Commands that the broker kept are nobody's.
func (b *Bridge) Take(topic string, payload []byte, retained bool) {
	if rest, ok := strings.CutSuffix(topic, "/status"); ok && !strings.Contains(rest, "/ha/") {
		if string(payload) == "online" {
			poke(b.birth)
		}
		return
	}
	rest, ok := strings.CutSuffix(topic, "/set")
	action := Action(rest[strings.LastIndexByte(rest, '/')+1:])
	limit, known := Actions()[action]
	if !ok || !known || retained || len(payload) > maxValue {
		b.Log.Debug("plain message refused", "topic", topic, "retained", retained)
		return
	}
	if !b.allowed(action, limit, time.Now()) {
		b.Log.Warn("plain message refused: too often", "action", action)
		return
	}
	select {
	case b.asked <- request{action, string(payload)}:
	default:
	}
}

func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// allowed counts an action. A restart forgets what was counted, so it has to be that long ago that nobody can keep the
// camera restarting.
func (b *Bridge) allowed(action Action, limit Limit, now time.Time) bool {
	if action == Restart && now.Sub(b.began) < limit.In/time.Duration(limit.Times) {
		return false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	past := slices.DeleteFunc(b.past[action], func(at time.Time) bool { return now.Sub(at) > limit.In })
	fine := len(past) < limit.Times
	if fine {
		past = append(past, now)
	}
	b.past[action] = past
	return fine
}

// Run announces the camera and tells its figures until ctx ends.
func (b *Bridge) Run(ctx context.Context, config control.HomeAssistantConfig, camera [envelope.IDSize]byte,
	publish control.Publish,
) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	shown := ""
	tell := func(again bool) error {
		facts := b.Facts()
		if d := string(b.Discovery(camera, facts)); again || d != shown {
			if err := publish(discoveryTopic(config, camera), []byte(d), true); err != nil {
				return err
			}
			shown = d
		}
		raw, err := json.Marshal(facts)
		if err != nil {
			return err
		}
		return publish(base(camera)+"state", raw, true)
	}
	if err := tell(true); err != nil {
		return err
	}
	for {
		var err error
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			err = tell(false)
		case <-b.birth:
			if monotime.Pause(ctx, rand.N(spread)) == nil {
				err = tell(true)
			}
		case r := <-b.asked:
			b.act(ctx, r, base(camera)+"picture", publish)
			err = tell(false)
		}
		if err != nil && ctx.Err() == nil {
			b.Log.Warn("not told", "err", err)
		}
	}
}

func (b *Bridge) act(ctx context.Context, r request, pictures string, publish control.Publish) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if r.action == Bitrate && !slices.Contains(bitrates(b.Facts().Bitrate), r.value) {
		b.Log.Warn("plain message refused: no such bit rate")
		return
	}
	picture, err := b.Act(ctx, r.action, r.value)
	if err == nil && len(picture) > 0 {
		err = publish(pictures, picture, false)
	}
	b.Log.Info("plain message", "action", r.action, "err", err)
}
