package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"text/tabwriter"

	"github.com/ocellus/ocellus/board"
	"github.com/ocellus/ocellus/hal"
	"github.com/ocellus/ocellus/stream"
)

// probeVerb tells what the board has, mode by mode, and what the agent would choose and why. It starts nothing.
func probeVerb(ctx context.Context, w world, args []string) error {
	set := flags(w, "probe")
	name := set.String("board", "", "`board` to look at; found out if not given")
	state := stateFlag(set)
	config := set.String("config", "", "configuration `file`; config.yaml in the state directory if not given")
	file := set.String("file", "", "`clip` that the simulated camera plays")
	if _, err := parse(set, args, 0); err != nil {
		return err
	}
	b, c, _, err := choose(w.root, *name, *config, *state)
	if err != nil {
		return err
	}
	fmt.Fprintf(w.out, "board %s (%s)\n", b.Name, b.Title)
	if b.Note != "" {
		fmt.Fprintf(w.out, "  note: %s\n", b.Note)
	}
	for _, l := range board.Lacks() {
		fmt.Fprintf(w.out, "  this build lacks %s\n", l)
	}
	nodes, err := board.Survey(b)
	if err != nil {
		return err
	}
	for _, line := range nodes {
		fmt.Fprintf(w.out, "  %s\n", line)
	}
	devices, err := board.Open(b, board.Options{File: *file}, slog.New(slog.NewTextHandler(w.errs, nil)))
	if err != nil {
		return err
	}
	return probeDevices(ctx, w, devices, c)
}

func probeDevices(ctx context.Context, w world, devices hal.Devices, c Config) error {
	var faults []error
	for i, cam := range devices.Cameras {
		modes, err := cam.Modes(ctx)
		if err != nil {
			faults = append(faults, err)
			continue
		}
		fmt.Fprintf(w.out, "camera %d: %s\n", i, describe(cam.Info()))
		printModes(w, modes)
		printChoices(w, modes, devices.Encoders, c.Streams)
	}
	for i, e := range devices.Encoders {
		fmt.Fprintf(w.out, "encoder %d: %s, takes %v\n", i, describe(e.Info()), e.Inputs())
	}
	if len(devices.Encoders) == 0 {
		fmt.Fprintln(w.out, "no encoder")
	}
	return errors.Join(faults...)
}

func describe(i hal.DeviceInfo) string {
	s := fmt.Sprintf("%s (driver %s, %s", i.Name, i.Driver, i.Path)
	if i.Bus != "" {
		s += ", " + i.Bus
	}
	return s + ")"
}

// printModes prints a line for each format and size, with its rates.
func printModes(w world, modes []hal.Mode) {
	t := tabwriter.NewWriter(w.out, 0, 0, 2, ' ', 0)
	for i := 0; i < len(modes); {
		m := modes[i]
		fmt.Fprintf(t, "  %v\t%dx%d\t", m.Format, m.Width, m.Height)
		for ; i < len(modes) && same(modes[i], m); i++ {
			fmt.Fprintf(t, "%v ", modes[i].Rate)
		}
		fmt.Fprintln(t, "pictures/s")
	}
	_ = t.Flush()
}

func same(a, b hal.Mode) bool {
	return a.Format == b.Format && a.Width == b.Width && a.Height == b.Height
}

// printChoices asks the chooser as the source would, for each thing that somebody can want.
func printChoices(w world, modes []hal.Mode, encoders []hal.Encoder, c stream.Config) {
	facts := stream.FactsOf(encoders)
	wish := func(main, sub bool) []stream.Wish {
		var all []stream.Wish
		if c.Main.Enabled {
			all = append(all, stream.Wish{Name: "main", Output: c.Main, Wanted: main})
		}
		if c.Sub.Enabled {
			all = append(all, stream.Wish{Name: "sub", Output: c.Sub, Wanted: sub})
		}
		return all
	}
	for _, q := range []struct {
		what      string
		main, sub bool
		luma      bool
	}{
		{"main alone", true, false, false},
		{"sub alone", false, true, false},
		{"main and sub", true, true, false},
		{"main and pictures (snapshot, motion)", true, false, true},
		{"pictures alone", false, false, true},
	} {
		plan, err := stream.Choose(stream.Question{Modes: modes, Encoders: facts, Wishes: wish(q.main, q.sub), Luma: q.luma})
		answer := plan.Why
		if err != nil {
			answer = err.Error()
		}
		fmt.Fprintf(w.out, "  for %s: %s\n", q.what, answer)
	}
}
