package board

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/ocellus/ocellus/hal"
	"github.com/ocellus/ocellus/hal/blockslot"
	"github.com/ocellus/ocellus/hal/sim"
	"github.com/ocellus/ocellus/hal/ubootenv"
)

// Boot is how a board boots, and what it has booted: what an update changes.
type Boot struct {
	Env    hal.BootEnv
	Slots  hal.Slots
	How    string // ocellus.boot of the kernel's command line
	System System

	// Restart restarts the board in order; nil: ending the agent and starting it anew is all that there is to it.
	Restart func(ctx context.Context) error
	// Proved tells whoever watches over a trial that it is over.
	Proved func() error
	// Close closes the devices.
	Close func() error
}

// System is what the system that runs says of itself.
type System struct {
	Variant string    // which board it is made for
	Version string    // of its release
	Root    []byte    // the update root; none: it takes no updates
	Built   time.Time // when it was made
}

// The files by which an image says what it is (cmd/mkimage), and the pipe through which its init takes orders (cmd/init).
const (
	releaseFile = "etc/os-release"
	rootFile    = "etc/ocellus/update-root.json"
	initPipe    = "run/init"
)

// endedNote is where the board's init leaves how the agent ended last (cmd/init).
const endedNote = "run/ended/agent"

// LastEnd is how the agent ended the last time since the board began, in the words of its init: "by signal 9". Below a
// root directory; empty where nobody knows.
func LastEnd(root string) string {
	text, err := readBrought(filepath.Join(root, endedNote))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}

// kernelNote is where init puts what the kernel before said when it died.
const kernelNote = "run/ended/kernel"

// LastPanic is what the kernel before said when it died, as pstore has it (Documentation/admin-guide/ramoops.rst). Below a
// root directory; empty where it did not, or nobody knows.
func LastPanic(root string) string {
	text, err := readBrought(filepath.Join(root, kernelNote))
	if err != nil {
		return ""
	}
	return string(text)
}

// maxBrought bounds what is read of a file that an image brings, in bytes.
const maxBrought = 64 << 10

// OpenBoot opens what a board boots by. A board without slots is hal.ErrUnsupported. The simulated board is switched on
// by it: its boot loader runs, and chooses a slot.
func OpenBoot(b Board, state string) (Boot, error) {
	if b.Simulated {
		return bootSim(filepath.Join(state, "sim"))
	}
	nodes, err := blockslot.Find("")
	if errors.Is(err, fs.ErrNotExist) {
		return Boot{}, fmt.Errorf("this system has no slots for updates: %w", hal.ErrUnsupported)
	}
	if err != nil {
		return Boot{}, err
	}
	booted, err := blockslot.Booted()
	if err != nil {
		return Boot{}, err
	}
	boot := Boot{Slots: blockslot.New(booted, nodes), Restart: restart, Proved: func() error { return order("confirmed") }}
	if boot.System, err = readSystem("/"); err != nil {
		return Boot{}, err
	}
	if boot.How, err = bootWord("ocellus.boot="); err != nil {
		return Boot{}, err
	}
	node, err := ubootenv.Find("")
	if err != nil {
		return Boot{}, err
	}
	env, err := ubootenv.Open(node)
	if err != nil {
		return Boot{}, err
	}
	boot.Env, boot.Close = env, env.Close
	return boot, nil
}

// bootSim switches the simulated board on. Out of the box its slot A has a release without a root.
func bootSim(dir string) (Boot, error) {
	m, err := sim.PowerOn(dir, sim.System{Compatible: "sim", Version: "1.0.0", Built: time.Unix(0, 0)})
	if err != nil {
		return Boot{}, err
	}
	return Boot{Env: m.Env, Slots: m.Slots, How: string(m.How), Close: m.Close, Proved: func() error { return nil },
		System: System{m.System.Compatible, m.System.Version, m.System.Root, m.System.Built}}, nil
}

// readSystem reads what an image says of itself (os-release(5)), below a root directory.
func readSystem(root string) (System, error) {
	path := filepath.Join(root, releaseFile)
	text, err := readBrought(path)
	if err != nil {
		return System{}, err
	}
	info, err := os.Stat(path)
	if err != nil {
		return System{}, err
	}
	s := System{Built: info.ModTime()}
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		switch name {
		case "VARIANT_ID":
			s.Variant = strings.Trim(value, `"`)
		case "VERSION_ID":
			s.Version = strings.Trim(value, `"`)
		}
	}
	s.Root, err = readBrought(filepath.Join(root, rootFile))
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	return s, err
}

func readBrought(path string) ([]byte, error) {
	b, err := os.ReadFile(path)
	if err == nil && len(b) > maxBrought {
		return nil, fmt.Errorf("read %s: %d bytes, at most %d", path, len(b), maxBrought)
	}
	return b, err
}

// bootWord is the rest of the last word of the kernel's command line that begins so.
func bootWord(begins string) (string, error) {
	line, err := os.ReadFile("/proc/cmdline")
	if err != nil {
		return "", err
	}
	word := ""
	for w := range strings.FieldsSeq(string(line)) {
		if value, ok := strings.CutPrefix(w, begins); ok {
			word = value
		}
	}
	return word, nil
}

// restart asks init, and waits to be ended by it.
func restart(ctx context.Context) error {
	if err := order("reboot"); err != nil {
		return err
	}
	<-ctx.Done()
	return ctx.Err()
}

// order gives init an order.
func order(word string) error {
	f, err := os.OpenFile(filepath.Join("/", initPipe), os.O_WRONLY, 0)
	if err != nil {
		return fmt.Errorf("ask init: %w", err)
	}
	_, err = f.WriteString(word + "\n")
	return errors.Join(err, f.Close())
}

// cardPartition is the GPT name of a partition that holds a bundle with an update and nothing before it, on whatever card
// or stick: there is no file system that the kernel would have to believe.
const cardPartition = "update"

// simCard is the directory in which a bundle is a card of the simulated board's.
const simCard = "sim/card"

// Card returns the node of a bundle that somebody has put into a slot for cards; fs.ErrNotExist for none. On the
// simulated board it is the first file of sim/card in the state directory.
func Card(b Board, state string) (string, error) {
	if !b.Simulated {
		return blockslot.Partition(cardPartition)
	}
	dir := filepath.Join(state, simCard)
	files, err := os.ReadDir(dir)
	if err != nil {
		return "", err
	}
	if len(files) == 0 {
		return "", fs.ErrNotExist
	}
	return filepath.Join(dir, files[0].Name()), nil
}
