package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/ocellus/ocellus/internal/statefile"
)

// desireCommand leaves a configuration for cameras that may be away, looks what became of it, and takes it back
// (docs/control.md, "Desired and reported state").
type desireCommand struct {
	homeFlag
	brokerFlag
	Camera string        `arg:"" optional:"" help:"How you call the camera."`
	Words  []string      `arg:"" optional:"" name:"key=value" help:"What shall be, KEY=VALUE each; and more cameras."`
	All    bool          `help:"Every camera that is paired here."`
	Unset  []string      `placeholder:"KEY" help:"Put a key back to what the camera's config.yaml says."`
	Base   *uint64       `placeholder:"REVISION" help:"Only if the configuration is still at this revision, which --show tells."`
	For    time.Duration `placeholder:"TIME" help:"A camera that comes later leaves it alone; without it, it waits for good."`
	Wait   time.Duration `default:"40s" help:"For the word of a camera that is online; 0: not at all."`
	Show   bool          `xor:"what" help:"Show what is desired, what became of it, and what the camera reports."`
	Clear  bool          `xor:"what" help:"Take it back: what a camera has not taken yet, it won't."`
	JSON   bool          `name:"json" help:"A line of JSON a camera."`
}

// Run does it for each camera, and says one word of each.
func (c *desireCommand) Run(ctx context.Context, s streams) error {
	file, h, err := c.open()
	if err != nil {
		return err
	}
	names, set, err := c.split(h)
	if err != nil {
		return &fault{exitUsage, err}
	}
	shelf, err := c.openShelf(ctx, h, names)
	if err != nil {
		return err
	}
	defer shelf.close()
	switch {
	case c.Show:
		return c.showAll(s, shelf)
	case c.Clear:
		return c.clear(s, file, shelf)
	}
	return c.leave(ctx, s, file, shelf, set)
}

// split sorts the words: those with = are what shall be.
func (c *desireCommand) split(h home) (names []string, set map[string]*string, err error) {
	set = map[string]*string{}
	for _, word := range append([]string{c.Camera}, c.Words...) {
		key, value, isKey := strings.Cut(word, "=")
		switch {
		case word == "":
		case isKey:
			set[configKey(key)] = &value
		case isPort(word):
			return nil, nil, fmt.Errorf("%s: over a serial line there is nothing to leave: camctl call %s set KEY=VALUE", word,
				word)
		default:
			names = append(names, word)
		}
	}
	for _, key := range c.Unset {
		set[configKey(key)] = nil
	}
	if c.All {
		names = slices.Sorted(maps.Keys(h.Cameras))
	}
	if len(names) == 0 && len(h.Cameras) < 2 {
		names = []string{""} // the only one
	}
	return names, set, c.check(h, names, set)
}

// check says what is missing, or too much.
func (c *desireCommand) check(h home, names []string, set map[string]*string) error {
	looks := c.Show || c.Clear
	switch {
	case looks && len(set) > 0:
		return errors.New("--show and --clear take no KEY=VALUE")
	case !looks && len(set) == 0:
		return errors.New("what shall be? KEY=VALUE (camctl call CAMERA get lists the keys), --show or --clear")
	case len(names) == 0:
		return fmt.Errorf("which camera? There are %s; --all takes every one",
			strings.Join(slices.Sorted(maps.Keys(h.Cameras)), ", "))
	case len(names) > 1 && c.Base != nil:
		return errors.New("--base is the revision of one camera")
	case c.Broker == "":
		return errors.New("at which broker? --broker URL, the one of the camera's control.broker; a camera that is here takes " +
			"camctl call CAMERA set KEY=VALUE without any")
	}
	return nil
}

// leave leaves it for each camera, and then waits for those that are there.
func (c *desireCommand) leave(ctx context.Context, s streams, file *statefile.File[home], shelf *shelf,
	set map[string]*string,
) error {
	var faults []error
	var left, there []*place
	for _, p := range shelf.places {
		if p.look().presence == "online" {
			there = append(there, p)
		}
		if err := c.leaveOne(file, shelf, p, set); err != nil {
			faults = append(faults, fmt.Errorf("%s: %w", p.name, err))
			continue
		}
		left = append(left, p)
	}
	shelf.await(ctx, c.Wait, there)
	for _, p := range left {
		if err := c.say(s, p, slices.Contains(there, p)); err != nil {
			faults = append(faults, err)
		}
	}
	return oneOf(faults)
}

// oneOf joins faults; a single one keeps its exit code.
func oneOf(faults []error) error {
	if len(faults) == 1 {
		return faults[0]
	}
	return errors.Join(faults...)
}

// leaveOne leaves it for a camera.
func (c *desireCommand) leaveOne(file *statefile.File[home], shelf *shelf, p *place, set map[string]*string) error {
	if err := p.look().knows(set); err != nil {
		return &fault{exitUsage, err}
	}
	want, err := p.together(set, c.Base)
	if err != nil {
		return err
	}
	left, raw, err := p.seal(want, c.For)
	if err != nil {
		return err
	}
	if err := p.remember(file, &want); err != nil {
		return err
	}
	return shelf.put(p, left, raw)
}

// together is what shall be, with what the camera has not taken yet: there is one place for each person, and the last
// word counts.
func (p *place) together(set map[string]*string, base *uint64) (leftState, error) {
	v, id := p.look(), randomID()
	want := leftState{ID: id[:], Set: set, Base: base}
	if !v.pending(time.Now()) {
		return want, nil
	}
	before := p.known(v)
	if before == nil {
		return want, fmt.Errorf("another machine with your key left something at %s that the camera has not taken yet, and "+
			"only the camera can read it: wait for the camera, or take it back first with --clear",
			v.left.Issued.Local().Format(time.DateTime))
	}
	want.Set = maps.Clone(before.Set)
	maps.Copy(want.Set, set)
	if base == nil {
		want.Base = before.Base
	}
	return want, nil
}

// knows reports the first key that the camera's configuration does not have, as far as the camera ever reported it.
func (v view) knows(set map[string]*string) error {
	for _, key := range slices.Sorted(maps.Keys(set)) {
		if _, ok := v.reported.Config[key]; !ok && len(v.reported.Config) > 0 {
			return fmt.Errorf("the configuration of release %s has no key %.60q: camctl call CAMERA get lists them",
				plain(v.reported.Release), key)
		}
	}
	return nil
}

// remember keeps what was left for a camera; nil: nothing.
func (p *place) remember(file *statefile.File[home], left *leftState) error {
	p.way.camera.Left = left
	return file.Update(func(h *home) error {
		camera := h.Cameras[p.name]
		camera.Left = left
		h.Cameras[p.name] = camera
		return nil
	})
}

// await waits until the cameras that were there have said what they made of it. One that goes to another broker for it is
// back here if that does not take it.
func (b *shelf) await(ctx context.Context, within time.Duration, places []*place) {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	for slices.ContainsFunc(places, func(p *place) bool { return p.look().pending(time.Now()) }) && b.wait(ctx, within) {
	}
}

// clear takes it back.
func (c *desireCommand) clear(s streams, file *statefile.File[home], shelf *shelf) error {
	var faults []error
	for _, p := range shelf.places {
		v := p.look()
		err := shelf.put(p, nil, nil)
		if err == nil {
			err = p.remember(file, nil)
		}
		if err != nil {
			faults = append(faults, fmt.Errorf("%s: %w", p.name, err))
			continue
		}
		word := "taken back before the camera took it"
		switch {
		case v.left == nil:
			word = "nothing was desired"
		case !v.pending(time.Now()):
			word = "taken away; " + v.verdict(time.Now()).words()
		}
		fmt.Fprintf(s.out, "%s: %s\n", p.name, word)
	}
	return oneOf(faults)
}
