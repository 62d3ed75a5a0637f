// Package board knows the boards. A board is data: one file with one literal, every line with its source. Open turns it
// into the devices of hal; it is the one place that knows the drivers.
//
// A driver is named as VIDIOC_QUERYCAP tells it (v4l2_capability.driver), never by a /dev/video number, which changes
// with the order in which drivers come up.
package board

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/ocellus/ocellus/hal/gpio"
)

// Board is what is known about a board before it is asked.
type Board struct {
	Name  string // as --board takes it
	Title string // as a person knows it
	// Compatible holds the strings of the device tree's root node (Devicetree Specification 2.3.1) that mean this board.
	Compatible []string
	// Simulated: no hardware at all, hal/sim.
	Simulated bool
	// Cameras are the V4L2 drivers of the board's own cameras in the order of preference. What has another driver (a USB
	// camera) comes after them.
	Cameras []string
	// Encoders are the V4L2 drivers of the board's memory-to-memory encoders in the order of preference.
	Encoders []string
	// Watchdog is the node of the hardware watchdog, empty for none. It is the agent's alone: nobody else may have it open.
	Watchdog string
	// LED is the indicator lamp, Button the push button; nil for none.
	LED, Button *gpio.Line
	// Serial is the node of the serial port that the console has, empty for none: not the one of the kernel's messages,
	// which is root's.
	Serial string
	// WiFi is the radio; nil for none.
	WiFi *WiFi
	// Main and Sub are the streams that the board carries without effort; the configuration may say otherwise.
	Main, Sub Stream
	// MemoryPercent is the share of the board's memory that the agent may take.
	MemoryPercent int
	// Note tells a person what has to be set up outside of the agent; agent probe prints it.
	Note string
}

// Stream is what a board encodes by default.
type Stream struct {
	Width, Height int // in pixels
	FPS           int
	BitrateBPS    int
}

// WiFi is a radio with which the board joins networks by wpa_supplicant.
type WiFi struct {
	Interface string // as the kernel names it
	Monitor   bool   // its driver hears every frame of a channel
}

// Boards lists the boards that this release knows.
func Boards() []Board {
	return []Board{simulated(), generic(), qemuVirt(), rpiZero2W(), rpi4(), dragonboard410c()}
}

// ErrUnknown: no board of this name, or none that this machine could be.
var ErrUnknown = errors.New("unknown board")

// Named returns the board of a name.
func Named(name string) (Board, error) {
	var names []string
	for _, b := range Boards() {
		if b.Name == name {
			return b, nil
		}
		names = append(names, b.Name)
	}
	return Board{}, fmt.Errorf("%w %q, there are: %s", ErrUnknown, name, strings.Join(names, ", "))
}

// Detect finds out on which board this is: by the device tree's compatible strings under root ("/"), the most specific
// first, else generic where there is a video node.
func Detect(root string) (Board, error) {
	const treePath = "proc/device-tree/compatible"
	tree, err := os.ReadFile(filepath.Join(root, treePath))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return Board{}, fmt.Errorf("detect board: %w", err)
	}
	compatible := strings.FieldsFunc(string(tree), func(r rune) bool { return r == 0 })
	for _, c := range compatible {
		for _, b := range Boards() {
			if slices.Contains(b.Compatible, c) {
				return b, nil
			}
		}
	}
	nodes, err := filepath.Glob(filepath.Join(root, "dev/video*"))
	if err != nil {
		return Board{}, fmt.Errorf("detect board: %w", err)
	}
	if len(nodes) > 0 {
		return generic(), nil
	}
	what := "it has no device tree"
	if len(compatible) > 0 {
		what = "its device tree says " + strings.Join(compatible, ", ")
	}
	return Board{}, fmt.Errorf("%w: %s, and there is no /dev/video*; connect a camera, load its driver, "+
		"or try the simulated one with --board sim", ErrUnknown, what)
}
