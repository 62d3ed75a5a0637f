package main

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/ocellus/ocellus/codec/label"
	"github.com/ocellus/ocellus/codec/qrcode"
	"github.com/ocellus/ocellus/console/link/caller"
	"github.com/ocellus/ocellus/internal/monotime"
	"github.com/ocellus/ocellus/internal/secret"
)

// factoryCommands are for whoever makes cameras (docs/factory.md).
type factoryCommands struct {
	Run factoryRun `cmd:"" default:"withargs" help:"Finish a tray of new boards: self-test, label, report."`
	Key factoryKey `cmd:"" help:"Make the factory's key, and print its public half, which goes into the image."`
}

// factoryKey makes a key.
type factoryKey struct {
	File string `arg:"" help:"Where the secret half goes; it must not be there yet."`
}

// Run makes the key and prints the public half, as make image FACTORY=FILE wants it.
func (c *factoryKey) Run(s streams) error {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(c.File, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(f, "%x\n", private.Seed())
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	_, err = fmt.Fprintf(s.out, "%x\n", []byte(public))
	return err
}

func readFactoryKey(path string) (ed25519.PrivateKey, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	seed, err := hex.DecodeString(strings.TrimSpace(string(raw)))
	if err != nil || len(seed) != ed25519.SeedSize {
		return nil, fmt.Errorf("%s: no key that camctl factory key made", path)
	}
	return ed25519.NewKeyFromSeed(seed), nil
}

// factoryRun finishes boards.
type factoryRun struct {
	speedFlag
	Key      string   `name:"key" required:"" type:"existingfile" help:"The factory's key (camctl factory key)."`
	Out      string   `short:"o" required:"" placeholder:"DIR" help:"Where labels and reports go. It holds secrets."`
	Untested bool     `help:"Label boards without their self-test: another station tests them."`
	Ports    []string `arg:"" help:"A serial port a board: /dev/ttyUSB0, tcp:HOST:PORT."`
}

// boardReport is what is kept of a board: no secret. Its keys are only ever added.
type boardReport struct {
	Port        string          `json:"port"`
	Result      string          `json:"result"` // done, refused, failed
	Text        string          `json:"text,omitempty"`
	Model       string          `json:"model,omitempty"`
	Release     string          `json:"release,omitempty"`
	Fingerprint string          `json:"fingerprint,omitempty"`
	Time        time.Time       `json:"time"`
	Selftest    json.RawMessage `json:"selftest,omitempty"`
}

// The results.
const (
	boardDone    = "done"
	boardRefused = "refused" // it is no new board
	boardFailed  = "failed"
)

// Run does all boards at once and prints a line of JSON a board.
func (c *factoryRun) Run(ctx context.Context, s streams) error {
	key, err := readFactoryKey(c.Key)
	if err == nil {
		err = os.MkdirAll(c.Out, 0o700)
	}
	if err != nil {
		return err
	}
	var all sync.WaitGroup
	reports := make(chan boardReport) // unbuffered: they are printed one after the other
	for _, port := range c.Ports {
		all.Go(func() {
			b := &newBoard{run: c, key: key, boardReport: boardReport{Port: port, Time: time.Now().UTC().Truncate(time.Second)}}
			reports <- b.finish(ctx)
		})
	}
	go func() {
		all.Wait()
		close(reports)
	}()
	var faults []error
	lines := json.NewEncoder(s.out)
	for r := range reports {
		if r.Result != boardDone {
			faults = append(faults, fmt.Errorf("%s: %s: %s", r.Port, r.Result, r.Text))
		}
		faults = append(faults, c.keep(r), lines.Encode(r))
	}
	return errors.Join(faults...)
}

// keep writes the report of a board that told who it is.
func (c *factoryRun) keep(r boardReport) error {
	if r.Fingerprint == "" || r.Result == boardRefused { // the report of the first time stays
		return nil
	}
	raw, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return writeWhole(c.path(r.Fingerprint, "json"), append(raw, '\n'))
}

func (c *factoryRun) path(fingerprint, kind string) string {
	return filepath.Join(c.Out, fingerprint+"."+kind)
}

// writeWhole replaces a file in one step; it is on the disk when it returns.
func writeWhole(path string, content []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*") // readable for its owner alone
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		err = errors.Join(err, os.Remove(f.Name()))
	}
	return err
}

// newBoard is one board on the tray.
type newBoard struct {
	run *factoryRun
	key ed25519.PrivateKey
	boardReport
	labelled bool // its label was written in this run
}

const (
	boardTries = 5
	boardLimit = 5 * time.Minute
)

// finish does what is to be done, again from the beginning where the line broke off: until the board was told that it
// is done, each step can be done twice.
func (b *newBoard) finish(ctx context.Context) boardReport {
	ctx, cancel := context.WithTimeout(ctx, boardLimit)
	defer cancel()
	var err error
	for try := 0; try < boardTries; try++ {
		if err = b.once(ctx); err == nil || !errors.Is(err, caller.ErrGone) && !away(err) ||
			monotime.Pause(ctx, portPause) != nil {
			break
		}
	}
	var no *refusal
	switch {
	case err == nil, b.labelled && errors.As(err, &no) && no.Code == "done": // the answer to "done" was lost
		b.Result = boardDone
	case errors.Is(err, errNotNew), errors.As(err, &no) && no.Code == "done":
		b.Result, b.Text = boardRefused, err.Error()
	default:
		b.Result, b.Text = boardFailed, err.Error()
	}
	return b.boardReport
}

var errNotNew = errors.New("this board has an owner: it is not new")

// once is one try.
func (b *newBoard) once(ctx context.Context) error {
	c, err := dialPort(ctx, b.Port, b.run.Speed)
	if err != nil {
		return err
	}
	defer c.Close()
	b.Model, b.Release = c.Camera().Model, c.Camera().Release
	r, err := riddle(ctx, c)
	if err != nil {
		return err
	}
	if c.Camera().Claimed || r.Hardware == nil {
		return errNotNew
	}
	b.Fingerprint = r.Hardware.String()
	if err := solve(ctx, c, r, *r.Hardware, b.key); err != nil {
		return fmt.Errorf("%w: is this the key that its image knows, was it never claimed?", err)
	}
	d := serialDoor{c}
	if err := b.selftest(ctx, d); err != nil {
		return err
	}
	var l struct{ Text secret.Secret }
	if err := d.command(ctx, "factory.label", nil, &l); err != nil {
		return err
	}
	if err := b.writeLabel(l.Text, *r.Hardware); err != nil {
		return err
	}
	b.labelled = true
	return d.command(ctx, "factory.done", nil, &struct{}{})
}

// selftest has the board test itself. One that fails gets no label.
func (b *newBoard) selftest(ctx context.Context, d serialDoor) error {
	if b.run.Untested {
		return nil
	}
	if err := d.command(ctx, "selftest", nil, &b.Selftest); err != nil {
		return fmt.Errorf("self-test: %w", err)
	}
	var verdict struct {
		Passed bool
		Parts  []struct{ Part, Result, Text string }
	}
	if err := json.Unmarshal(b.Selftest, &verdict); err != nil {
		return fmt.Errorf("self-test: %w", err)
	}
	if verdict.Passed {
		return nil
	}
	var bad []string
	for _, p := range verdict.Parts {
		if p.Result == "fail" {
			bad = append(bad, p.Part+": "+p.Text)
		}
	}
	return fmt.Errorf("self-test failed: %s", strings.Join(bad, "; "))
}

// writeLabel writes the label in three forms; all of them are on the disk when it returns.
func (b *newBoard) writeLabel(text secret.Secret, hardware label.Fingerprint) error {
	l, err := label.Parse(text.Reveal())
	if err == nil && l.Fingerprint != hardware {
		err = errors.New("it is another board's")
	}
	if err != nil {
		return fmt.Errorf("label: %w", err)
	}
	code, err := qrcode.Encode(text.Reveal(), qrcode.M, 0)
	if err != nil {
		return fmt.Errorf("label: %w", err)
	}
	return errors.Join(
		writeWhole(b.run.path(b.Fingerprint, "txt"), labelText(l, text)),
		writeWhole(b.run.path(b.Fingerprint, "svg"), labelSVG(l, code)),
		writePNG(b.run.path(b.Fingerprint, "png"), code),
	)
}

// fours prints a setup secret as a person types it.
func fours(l label.Label) string {
	s := l.Secret.Printed().Reveal()
	var parts []string
	for ; len(s) > 4; s = s[4:] {
		parts = append(parts, s[:4])
	}
	return strings.Join(append(parts, s), " ")
}

func labelText(l label.Label, text secret.Secret) []byte {
	return fmt.Appendf(nil, "%s\n%s\n%s\n", text.Reveal(), l.Model, fours(l))
}

// labelSVG draws the code with model and setup secret under it; a module is a unit.
func labelSVG(l label.Label, code *qrcode.Code) []byte {
	const q, lines = qrcode.QuietZone, 9
	side := code.Size() + 2*q
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" shape-rendering="crispEdges">`,
		side, side+lines)
	fmt.Fprintf(&b, `<rect width="%d" height="%d" fill="#fff"/><path d="`, side, side+lines)
	for y := range code.Size() {
		for x := range code.Size() {
			if code.Dark(x, y) {
				fmt.Fprintf(&b, "M%d %dh1v1h-1z", x+q, y+q)
			}
		}
	}
	b.WriteString(`"/>`)
	for i, line := range []string{l.Model, fours(l)} { // letters, digits and hyphens alone: nothing to escape
		fmt.Fprintf(&b, `<text x="%d" y="%d" font-family="monospace" font-size="3.2" text-anchor="middle">%s</text>`,
			side/2, side+1+4*i, line)
	}
	b.WriteString("</svg>\n")
	return []byte(b.String())
}
