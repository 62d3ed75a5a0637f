package board

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"

	"github.com/ocellus/ocellus/hal"
	"github.com/ocellus/ocellus/hal/v4l2"
)

// camera is the board's V4L2 camera, wherever its node is now. It looks for the node at each Modes and Start, since a
// camera that was unplugged comes back under another number, and one that is plugged in later was not there before.
type camera struct {
	board Board
	log   *slog.Logger
	find  func() ([]v4l2.Node, error)
	open  func(path string, log *slog.Logger) (hal.Camera, error)

	mu   sync.Mutex // guards last
	last hal.DeviceInfo
}

// noCameraError: the board has none now; one may be plugged in later, so it is an hal.ErrClosed.
type noCameraError struct{ text string }

func (e noCameraError) Error() string { return "no camera: " + e.text }

func (e noCameraError) Is(target error) bool { return target == hal.ErrClosed }

// current opens the camera that the board prefers among those that are there.
func (c *camera) current() (hal.Camera, error) {
	nodes, err := c.find()
	if err != nil {
		return nil, err
	}
	cameras := preferred(nodes, v4l2.Capture, c.board.Cameras)
	var faults []error
	for _, n := range cameras {
		dev, err := c.open(n.Path, c.log)
		if err != nil {
			faults = append(faults, err)
			continue
		}
		c.mu.Lock()
		c.last = dev.Info()
		c.mu.Unlock()
		return dev, nil
	}
	if len(faults) > 0 {
		return nil, fmt.Errorf("open camera: %w", errors.Join(faults...))
	}
	return nil, noCamera(c.board, nodes)
}

// noCamera says what was found instead, and what to do.
func noCamera(b Board, nodes []v4l2.Node) error {
	text := "there is no /dev/video*: connect a camera or load its driver"
	for i, n := range nodes {
		if i == 0 {
			text = "none of the video nodes is a camera:"
		}
		text += fmt.Sprintf(" %s (%s, %s)", n.Path, n.Info.Driver, n.Why)
	}
	if b.Note != "" {
		text += "; " + b.Note
	}
	return noCameraError{text}
}

// preferred sorts the nodes of one kind: those with a format that the agent can use first, then the board's drivers in
// its order, then the others.
func preferred(nodes []v4l2.Node, kind v4l2.Kind, drivers []string) []v4l2.Node {
	nodes = slices.DeleteFunc(slices.Clone(nodes), func(n v4l2.Node) bool { return n.Kind != kind })
	rank := func(n v4l2.Node) int {
		r := slices.Index(drivers, n.Info.Driver)
		if r < 0 {
			r = len(drivers)
		}
		if kind == v4l2.Capture && !slices.ContainsFunc(n.Formats, usable) {
			r += 1000 // raw Bayer, most often
		}
		return r
	}
	slices.SortStableFunc(nodes, func(a, b v4l2.Node) int { return rank(a) - rank(b) })
	return nodes
}

// usable reports whether the agent can make a stream of a format. NM12 and YM12 are NV12 and YU12 with a buffer a
// plane.
func usable(f hal.PixelFormat) bool {
	return f.Coded() || f.Raw() || f == hal.MJPEG || f == hal.FourCC("NM12") || f == hal.FourCC("YM12")
}

// Info tells the camera that was there last.
func (c *camera) Info() hal.DeviceInfo {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.last
}

// Modes asks the camera that is there now.
func (c *camera) Modes(ctx context.Context) ([]hal.Mode, error) {
	dev, err := c.current()
	if err != nil {
		return nil, err
	}
	return dev.Modes(ctx)
}

// Start starts the camera that is there now.
func (c *camera) Start(ctx context.Context, want hal.Mode) (hal.Capture, error) {
	dev, err := c.current()
	if err != nil {
		return nil, err
	}
	return dev.Start(ctx, want)
}

// Survey says in a line for each what every video node of this machine is, the ones that are of no use too.
func Survey(b Board) ([]string, error) {
	if b.Simulated {
		return nil, nil
	}
	nodes, err := v4l2.Find()
	if err != nil {
		return nil, err
	}
	lines := make([]string, 0, len(nodes))
	for _, n := range nodes {
		lines = append(lines, surveyLine(n))
	}
	return lines, nil
}

func surveyLine(n v4l2.Node) string {
	line := fmt.Sprintf("%s: %s, %s (driver %s)", n.Path, n.Kind, n.Info.Name, n.Info.Driver)
	switch {
	case n.Kind == v4l2.Other:
		line += ": " + n.Why
	case n.Kind == v4l2.M2MEncoder:
		line += fmt.Sprintf(": %v to %v", n.Inputs, n.Formats)
	case !slices.ContainsFunc(n.Formats, usable):
		line += fmt.Sprintf(": gives only %v, which the agent can't use", n.Formats)
	default:
		line += fmt.Sprintf(": %v", n.Formats)
	}
	if n.MultiPlanar {
		line += ", multi-planar"
	}
	if n.MediaController {
		line += ", behind a media controller: its pipeline is set up from outside (media-ctl)"
	}
	return line
}
