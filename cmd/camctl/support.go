package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unicode"

	"github.com/ocellus/ocellus/codec/envelope"
)

// supportCommand fetches a support bundle.
type supportCommand struct {
	cameraFlag
	Camera string `arg:"" help:"How you call the camera."`
	Out    string `short:"o" placeholder:"FILE" help:"Where the bundle goes; CAMERA-support-DATE.tar.gz if not given."`
	Yes    bool   `help:"Do not ask."`
}

// maxSupport bounds a bundle, in bytes: what no camera of ours sends.
const maxSupport = 8 << 20

// supportAnswer is what a camera says of a bundle.
type supportAnswer struct {
	ID     string `json:"id"`
	Bytes  int    `json:"bytes"`
	SHA256 string `json:"sha256"`
	Files  []struct {
		Name  string `json:"name"`
		About string `json:"about"`
		Bytes int    `json:"bytes"`
	} `json:"files"`
	Hidden string `json:"hidden"`
	Offset int    `json:"offset"`
}

// Run lets the camera make a bundle, says what is in it, and saves it if that is what the person wants. It sends it to
// nobody.
func (c *supportCommand) Run(ctx context.Context, s streams) error {
	way, err := c.way(ctx, c.Camera, nil)
	if err != nil {
		return err
	}
	defer way.close()
	about, _, err := askSupport(ctx, way, nil)
	if err != nil {
		return err
	}
	if about.Bytes < 1 || about.Bytes > maxSupport {
		return fmt.Errorf("support bundle of %d bytes, want at most %d", about.Bytes, maxSupport)
	}
	out := c.Out
	if out == "" {
		out = strings.Map(fileLetter, c.Camera) + "-support-" + time.Now().Format("20060102-150405") + ".tar.gz"
	}
	printSupport(s.err, about)
	if !c.Yes && !agreed(s, fmt.Sprintf("Save it as %s? Nothing is sent to anybody. [y/N] ", out)) {
		return errors.New("not saved")
	}
	raw, err := fetchSupport(ctx, way, about)
	if err != nil {
		return err
	}
	if out == "-" {
		_, err := s.out.Write(raw)
		return err
	}
	if err := os.WriteFile(out, raw, 0o600); err != nil {
		return err
	}
	_, err = fmt.Fprintf(s.out, "%s: %d bytes\n", out, len(raw))
	return err
}

// fileLetter is what the name of a file may have of the name of a camera.
func fileLetter(r rune) rune {
	if strings.ContainsRune(`/\:*?"<>|`, r) || r < ' ' {
		return '_'
	}
	return r
}

// askSupport asks once.
func askSupport(ctx context.Context, w *way, args []byte) (a supportAnswer, piece []byte, err error) {
	r, err := w.ask(ctx, "support", args)
	if err != nil {
		return a, nil, err
	}
	if r.Code != "ok" {
		return a, nil, answerFault(r)
	}
	if err := json.Unmarshal(r.Result, &a); err != nil {
		return a, nil, fmt.Errorf("support: answer: %w", err)
	}
	return a, r.Blob, nil
}

// answerFault is a camera's no.
func answerFault(r envelope.Reply) error {
	no := &refusal{Code: r.Code, Text: r.Text}
	if r.Code == "unknown_key" || r.Code == "denied" {
		return &fault{exitCredential, no}
	}
	return no
}

// printSupport says in plain words what is in a bundle. What a camera says is shown as text, whatever it holds.
func printSupport(to io.Writer, a supportAnswer) {
	fmt.Fprintf(to, "The camera has made a support bundle of %d bytes:\n", a.Bytes)
	for _, f := range a.Files {
		fmt.Fprintf(to, "  %-14s %7d bytes  %s\n", plain(f.Name), f.Bytes, plain(f.About))
	}
	fmt.Fprintf(to, "%s\nLook into it before you pass it on: it is a tar.gz with texts.\n", plain(a.Hidden))
}

// plain is a text without what a terminal would obey.
func plain(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '?'
	}, text)
}

// agreed asks a person.
func agreed(s streams, question string) bool {
	fmt.Fprint(s.err, question)
	line, err := bufio.NewReader(io.LimitReader(s.in, 16)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return false
	}
	answer := strings.ToLower(strings.TrimSpace(line))
	return answer == "y" || answer == "yes"
}

// fetchSupport fetches a bundle piece by piece, and checks that it is whole.
func fetchSupport(ctx context.Context, w *way, about supportAnswer) ([]byte, error) {
	var b bytes.Buffer
	for b.Len() < about.Bytes {
		args, err := json.Marshal(struct {
			ID     string `json:"id"`
			Offset int    `json:"offset"`
		}{about.ID, b.Len()})
		if err != nil {
			return nil, err
		}
		a, piece, err := askSupport(ctx, w, args)
		if err != nil {
			return nil, err
		}
		if len(piece) == 0 || a.Offset != b.Len() {
			return nil, fmt.Errorf("support: %d bytes at %d, want more at %d", len(piece), a.Offset, b.Len())
		}
		b.Write(piece)
	}
	if sum := sha256.Sum256(b.Bytes()); hex.EncodeToString(sum[:]) != about.SHA256 {
		return nil, errors.New("support: the bundle is damaged: another sum than the camera says")
	}
	return b.Bytes(), nil
}
