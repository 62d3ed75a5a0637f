package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync/atomic"
	"time"

	"github.com/ocellus/ocellus/access"
	"github.com/ocellus/ocellus/board"
	"github.com/ocellus/ocellus/hal"
	"github.com/ocellus/ocellus/internal/blackbox"
	"github.com/ocellus/ocellus/internal/logring"
	"github.com/ocellus/ocellus/internal/redact"
	"github.com/ocellus/ocellus/internal/supervise"
	"github.com/ocellus/ocellus/internal/timefloor"
	"github.com/ocellus/ocellus/provision"
	"github.com/ocellus/ocellus/stream"
	"github.com/ocellus/ocellus/stream/rtsp"
)

// agent is the running camera: what the commands and the status need of it.
type agent struct {
	board      board.Board
	gate       *access.Gate
	owner      *access.Ownership // nil where the camera does not know who it is
	unlabelled bool              // its label was made at this start
	safe       *safe             // nil where owner is
	power      power
	pressable  bool          // the board has a button
	anew       chan struct{} // capacity 1: told once is enough; see startAnew
	log        *slog.Logger
	state      string        // the directory
	dogged     bool          // the board has a watchdog
	pressed    chan struct{} // capacity 1, a second press is the first: somebody pressed the button
	supports   supports
	root       string // "/", where /proc and /sys are looked for
	logged     uint64 // number of the last line of the log that the start before left
	words      *lastWords
	box        *blackbox.Box // nil: the camera does not remember how it began
	start      blackbox.Start
	crash      *blackbox.Crash        // how the start before ended, if that was a crash
	ending     atomic.Pointer[string] // why it ends in order, in words; nil: somebody stops it
	source     *stream.Source
	server     *rtsp.Server
	door       net.Addr // of the LAN door; nil for nowhere
	listens    string   // where RTSP is, as the configuration and the kernel have it; empty for nowhere
	began      time.Time
	supervisor *supervise.Supervisor
	lasting    lasting
	floor      *timefloor.Floor // nil where persist can't be read
	updates    *updates
	network    *provision.Engine // nil where the camera's network is not the agent's business
	hadBroker  atomic.Bool       // when its owner gave it another network
	journal    *logring.Ring
	hidden     *redact.Redactor // what no log and no support bundle may say
	settings   *settings        // the configuration, with what commands set of it
	control    *controls
	again      func() // ends the agent so that it starts anew
}

// runOptions are the flags of agent run.
type runOptions struct {
	board, state, config, file, hold, air, serial, factory string
}

func runVerb(ctx context.Context, w world, args []string) error {
	var o runOptions
	set := flags(w, "run")
	set.StringVar(&o.board, "board", "", "`board` to run on; found out if not given (agent version --json lists them)")
	set.StringVar(&o.state, "state", defaultState, "`directory` of state and configuration")
	set.StringVar(&o.config, "config", "", "configuration `file`; config.yaml in the state directory if not given")
	set.StringVar(&o.file, "file", "", "H.264 or MP4 `clip` that the simulated camera plays in a loop")
	set.StringVar(&o.hold, "hold", "", "PNG `image` that is held before the simulated lens while there is such a file; "+
		"with it, the simulated camera looks for a network, too")
	set.StringVar(&o.air, "air", "", "`capture` (pcap, radiotap) that the simulated radio hears again and again, as --hold")
	set.StringVar(&o.serial, "serial", "", "serial `port` of the console, whatever the board's own is")
	set.StringVar(&o.factory, "factory", "", "`file` with the public key of who makes the cameras, "+
		"in hexadecimal; the image's own if not given")
	if _, err := parse(set, args, 0); err != nil {
		return err
	}
	for {
		if err := run(ctx, w, o); !errors.Is(err, errRestart) {
			return err
		}
	}
}

// run is the whole life of an agent. It returns when ctx has ended, or with what ended it before.
func run(ctx context.Context, w world, o runOptions) error {
	began := time.Now()
	if err := makeState(o.state); err != nil {
		return err
	}
	unlock, err := lockState(o.state)
	if err != nil {
		return err
	}
	defer unlock()
	endReset(w, o.state)
	damaged := setAsideDamaged(o.config, o.state)
	b, config, warnings, err := choose(w.root, o.board, o.config, o.state)
	if err != nil {
		return err
	}
	hidden, level := &redact.Redactor{}, &slog.LevelVar{}
	level.Set(config.Log)
	kept := logring.New(hidden)
	log := slog.New(kept.Both(slog.NewTextHandler(w.errs, &slog.HandlerOptions{Level: level})))
	if damaged != "" {
		log.Error("configuration damaged", "text", damaged)
	}
	for _, line := range warnings {
		log.Warn("configuration", "text", line)
	}
	limit := boundMemory(w.root, b.MemoryPercent, w.getenv)
	a := &agent{board: b, began: began, power: powerOn(w.root, b.Simulated, began), anew: make(chan struct{}, 1),
		journal: kept, hidden: hidden, log: log, root: w.root, state: o.state,
		pressed: make(chan struct{}, 1)}
	if a.words, err = listenForLastWords(o.state); err != nil {
		log.Error("a crash of this agent leaves no words", "err", err)
	}
	a.meet(o.state, log)
	a.hideFirst(config)
	config = a.openSettings(config, level)
	devices, err := board.Open(b, board.Options{File: o.file, Hold: o.hold, Air: o.air, Serial: o.serial}, log)
	if err != nil {
		a.words.close()
		return err
	}
	a.supervisor = supervise.New(log, supervise.Options{Panicked: a.panicked})
	a.openLog()
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	a.again = func() { end(errRestart) }
	a.useGadgets(&devices)
	defer a.awaitAnew(ctx, end)()
	defer removePorts(o.state)
	listening, err := a.build(o.state, config, devices, log)
	if err != nil {
		a.abandon()
		return err
	}
	a.openProvision(config.Network, devices, o.hold != "" || o.air != "", log)
	a.openConsole(config.Console, w, o, devices.Serial, log)
	a.announce(w, o.state, listening, log)
	log.Info("agent runs", "release", release, "board", b.Name, "memory_limit_bytes", limit,
		"start_us", time.Since(began).Microseconds())
	return a.live(ctx, w, devices, log)
}

// abandon closes what the parts have opened already: each runs with a context that has ended.
func (a *agent) abandon() {
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	_ = a.supervisor.Run(ended) // there is a better error already
	a.words.close()
}

// live runs the parts until ctx ends, and tells systemd.
func (a *agent) live(ctx context.Context, w world, devices hal.Devices, log *slog.Logger) error {
	systemd := supervise.NewNotifier(w.getenv)
	a.supervisor.WithSystemd(systemd)
	disarm := func() error { return nil }
	if devices.Watchdog != nil {
		stop, err := a.supervisor.WithWatchdog(devices.Watchdog, 30*time.Second)
		if err != nil { // a camera without its watchdog is better than none
			log.Error("watchdog not armed: a hang will not restart the board", "err", err)
		} else {
			disarm = stop
		}
	}
	tell := func(state string) {
		if err := systemd.Send(state); err != nil {
			log.Warn("systemd not told", "err", err)
		}
	}
	tell("READY=1\nSTATUS=board " + a.board.Name)
	stop := context.AfterFunc(ctx, func() {
		if beginsAgain(ctx) == nil {
			tell("STOPPING=1")
		}
	})
	defer stop()
	err := a.supervisor.Run(ctx)
	if err != nil {
		a.words.close()
		return err // the watchdog stays armed: if nobody starts the agent again, the board restarts
	}
	log.Info("agent stopped")
	a.ended(beginsAgain(ctx))
	if err := errors.Join(disarm(), a.updates.close()); err != nil {
		return err
	}
	return beginsAgain(ctx)
}

// beginsAgain says why an agent that ends is to begin again; nil: it is not.
func beginsAgain(ctx context.Context) error {
	for _, why := range []error{errRestart, errAnew} {
		if errors.Is(context.Cause(ctx), why) {
			return why
		}
	}
	return nil
}

// places spells where the streams are for a client now: HOST:PORT/STREAM.
func (a *agent) places() []string {
	if a.listens == "" {
		return nil
	}
	var places []string
	for _, h := range a.source.Hubs() {
		places = append(places, urlHost(a.listens, a.board.Simulated)+"/"+h.Name())
	}
	return places
}

// build makes the features, hands each what it owns, and opens the doors, RTSP first.
func (a *agent) build(state string, config Config, devices hal.Devices, log *slog.Logger) (ports, error) {
	p := ports{PID: os.Getpid()}
	a.source = stream.NewSource(stream.Options{
		Camera: devices.Cameras[0], Encoders: devices.Encoders, Config: config.Streams, Log: log, Stamp: a.board.Simulated,
	})
	hubs := map[string]*stream.Hub{}
	for _, h := range a.source.Hubs() {
		hubs[h.Name()] = h
	}
	var err error
	a.server, err = rtsp.New(rtsp.Options{Config: config.RTSP, Hubs: hubs, Gate: a.gate, TLS: a.certificates(log).tls(),
		Log: log})
	if err == nil {
		err = a.server.Listen()
	}
	if err != nil {
		return p, fmt.Errorf("%w; choose other addresses with rtsp.address and rtsp.tls_address", err)
	}
	p.RTSP, p.RTSPS = address(a.server.Addr()), address(a.server.TLSAddr())
	if at := a.server.Addr(); at != nil {
		a.listens = at.String()
	}
	a.supervisor.Add(supervise.Part{Name: "rtsp", Run: a.server.Run, Alive: func() error {
		a.server.Stats() // takes its locks
		return nil
	}})
	a.supervisor.Add(supervise.Part{Name: "stream", Run: a.source.Run, Lasting: true, Alive: a.source.Alive})
	if config.Status.Address != "off" {
		s, err := a.openStatus(config.Status.Address, log)
		if err != nil {
			return p, err
		}
		p.Status = address(s.in.Addr())
		a.supervisor.Add(supervise.Part{Name: "status", Run: s.Run, Lasting: true})
	}
	a.openFloor(log)
	a.openUpdates(state, config.Update, p.RTSP, log)
	a.openBox(devices.Watchdog)
	d, err := openDoor(state, a.localCommands(), log)
	if err != nil {
		return p, err
	}
	a.supervisor.Add(supervise.Part{Name: "socket", Run: d.Run, Lasting: true})
	a.door, err = a.openWeb(config.Web, log)
	p.Web = address(a.door)
	a.openTime(config.Control, log)
	p.MQTT = address(a.openControl(state, devices.LED, log))
	return p, err
}

// address spells where something listens, so that a program of this machine can connect to it; "" where it does not.
func address(a net.Addr) string {
	if a == nil {
		return ""
	}
	return urlHost(a.String(), true)
}
