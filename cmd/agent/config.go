package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/ocellus/ocellus/board"
	"github.com/ocellus/ocellus/console"
	"github.com/ocellus/ocellus/control"
	"github.com/ocellus/ocellus/internal/statefile"
	"github.com/ocellus/ocellus/stream"
	"github.com/ocellus/ocellus/stream/rtsp"
	"github.com/ocellus/ocellus/web"
)

// configSchema is the number of the configuration's format. It grows when a key gets a new meaning or a new key comes.
const configSchema = 1

// Config is config.yaml. Every key stands in docs/configuration.md (TestEveryKeyDocumented).
type Config struct {
	Schema  int            `yaml:"schema"`
	Board   string         `yaml:"board"`
	Log     slog.Level     `yaml:"log"`
	Streams stream.Config  `yaml:"streams"`
	RTSP    rtsp.Config    `yaml:"rtsp"`
	Web     web.Config     `yaml:"web"`
	Status  statusConfig   `yaml:"status"`
	Update  updateConfig   `yaml:"update"`
	Network networkConfig  `yaml:"network"`
	Control control.Config `yaml:"control"`
	Console console.Config `yaml:"console"`
}

// statusConfig is the door of /healthz and /metrics.
type statusConfig struct {
	Address string `yaml:"address"`
}

// Validate reports all faults at once.
func (c statusConfig) Validate() error {
	if c.Address == "off" {
		return nil
	}
	host, port, err := net.SplitHostPort(c.Address)
	if n, perr := strconv.Atoi(port); err != nil || perr != nil || n < 0 || n > 65535 {
		return fmt.Errorf("address: %q: want ADDRESS:PORT, or off", c.Address)
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return fmt.Errorf("address: %q: want a loopback address (127.0.0.1): the status has no password", c.Address)
	}
	return nil
}

// defaultConfig is what holds on a board where nobody says otherwise.
func defaultConfig(b board.Board) Config {
	c := Config{
		Schema:  configSchema,
		Log:     slog.LevelInfo,
		Streams: stream.DefaultConfig(),
		RTSP:    rtsp.DefaultConfig(),
		Web:     web.DefaultConfig(),
		Status:  statusConfig{Address: statusListens},
		Update:  defaultUpdate(),
		Console: console.DefaultConfig(),
	}
	c.Control = control.DefaultConfig()
	if b.Simulated {
		c.Control.Embedded = "127.0.0.1:8883"
	}
	set := func(o *stream.Output, s board.Stream) {
		o.Width, o.Height, o.FPS, o.Bitrate = s.Width, s.Height, s.FPS, stream.Bitrate(s.BitrateBPS)
	}
	if b.Name != "" {
		set(&c.Streams.Main, b.Main)
		set(&c.Streams.Sub, b.Sub)
	}
	return c
}

// sections are the parts of the configuration that their features judge. A section can be put back to its default
// alone.
func (c *Config) sections(defaults Config) []section {
	return []section{
		{"streams", c.Streams.Validate, func() { c.Streams = defaults.Streams }},
		{"rtsp", c.RTSP.Validate, func() { c.RTSP = defaults.RTSP }},
		{"web", c.Web.Validate, func() { c.Web = defaults.Web }},
		{"status", c.Status.Validate, func() { c.Status = defaults.Status }},
		{"update", c.Update.Validate, func() { c.Update = defaults.Update }},
		{"network", c.Network.Validate, func() { c.Network = defaults.Network }},
		{"control", c.Control.Validate, func() { c.Control = defaults.Control }},
		{"console", c.Console.Validate, func() { c.Console = defaults.Console }},
	}
}

type section struct {
	key      string
	validate func() error
	reset    func()
}

// configError is a configuration that a person has to correct.
type configError struct {
	path   string
	faults []fault
}

func (e *configError) Error() string {
	lines := make([]string, 0, len(e.faults))
	for _, f := range e.faults {
		lines = append(lines, "  "+f.String())
	}
	return fmt.Sprintf("configuration %s has %d fault(s):\n%s", e.path, len(e.faults), strings.Join(lines, "\n"))
}

// decodeConfig reads a configuration over the defaults. What a person wrote is taken strictly: the error is a
// *configError with every fault. What a newer release wrote (its schema is higher) is taken as far as it goes: unknown
// keys and values that this release can't use are warned of and left alone, so that a roll-back never loses a camera.
func decodeConfig(path string, raw []byte, defaults Config) (c Config, warnings []string, err error) {
	c = defaults
	d := decodeYAML(raw, &c)
	newer := c.Schema > configSchema
	if c.Schema < 1 {
		d.add(d.lines["schema"], "schema", "%d: want %d", c.Schema, configSchema)
	}
	if c.Board != "" {
		if _, err := board.Named(c.Board); err != nil {
			d.add(d.lines["board"], "board", "%v", err)
			c.Board = ""
		}
	}
	for _, s := range c.sections(defaults) {
		if err := s.validate(); err != nil {
			d.addAll(s.key, err)
			s.reset()
		}
	}
	if len(d.faults) == 0 {
		return c, nil, nil
	}
	if !newer {
		return defaults, nil, &configError{path, d.faults}
	}
	warnings = append(warnings, fmt.Sprintf("%s was written by a newer release (schema %d, this one knows %d)",
		path, c.Schema, configSchema))
	for _, f := range d.faults {
		what := "the default holds"
		if f.unknown {
			what = "left alone"
		}
		warnings = append(warnings, fmt.Sprintf("%s: %v: %s", path, f, what))
	}
	return c, warnings, nil
}

// addAll adds the faults that a feature found in its section; each text begins with the key that it is about.
func (d *decoder) addAll(section string, err error) {
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		for _, e := range many.Unwrap() {
			d.addAll(section, e)
		}
		return
	}
	key, text, ok := strings.Cut(err.Error(), ": ")
	if !ok {
		key, text = "", err.Error()
	}
	path := strings.TrimSuffix(section+"."+key, ".")
	line := d.lines[path]
	if line == 0 {
		line = d.lines[section]
	}
	d.add(line, path, "%s", text)
}

// configPath is FILE of --config, or config.yaml in the state directory.
func configPath(flag, state string) string {
	if flag != "" {
		return flag
	}
	return filepath.Join(state, "config.yaml")
}

// loadConfig reads the configuration file. A file that nobody asked for may be absent.
func loadConfig(flag, state string, defaults Config) (Config, []string, error) {
	path := configPath(flag, state)
	raw, err := statefile.ReadBytes(path)
	if errors.Is(err, fs.ErrNotExist) && flag == "" {
		return defaults, nil, nil
	}
	if err != nil {
		return defaults, nil, err
	}
	if !isText(raw) {
		return defaults, nil, fmt.Errorf("configuration %s: %w: it is no text", path, statefile.ErrCorrupt)
	}
	return decodeConfig(path, raw, defaults)
}

// isText tells what a person or a program wrote from what a damaged disk made of it.
func isText(raw []byte) bool {
	control := func(r rune) bool { return r < ' ' && r != '\n' && r != '\r' && r != '\t' }
	return utf8.Valid(raw) && !bytes.ContainsFunc(raw, control)
}

// setAsideDamaged moves a configuration that the disk has damaged out of the way and says so: a camera with defaults is
// better than none. A file that was named with --config is its owner's business.
func setAsideDamaged(flag, state string) (warning string) {
	if flag != "" {
		return ""
	}
	_, _, err := loadConfig("", state, defaultConfig(board.Board{}))
	if !errors.Is(err, statefile.ErrCorrupt) {
		return ""
	}
	aside, asideErr := statefile.SetAside(configPath("", state))
	if asideErr != nil {
		return fmt.Sprintf("%v; it can't be set aside: %v", err, asideErr)
	}
	return fmt.Sprintf("%v: set aside as %s, the defaults hold", err, aside)
}

// choose finds the board: the flag's word, then the configuration's, then what the machine says. The configuration is
// read a second time over the defaults of the board that was found.
func choose(root, boardFlag, configFlag, state string) (board.Board, Config, []string, error) {
	c, warnings, err := loadConfig(configFlag, state, defaultConfig(board.Board{}))
	if err != nil {
		return board.Board{}, c, nil, err
	}
	var b board.Board
	switch {
	case boardFlag != "":
		b, err = board.Named(boardFlag)
	case c.Board != "":
		b, err = board.Named(c.Board)
	default:
		b, err = board.Detect(root)
	}
	if err != nil {
		return b, c, warnings, err
	}
	c, warnings, err = loadConfig(configFlag, state, defaultConfig(b))
	return b, c, warnings, err
}

// makeState makes the state directory, readable for its owner alone.
func makeState(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("state directory: %w; choose another one with --state DIR", err)
	}
	return nil
}
