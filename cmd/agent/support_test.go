package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ocellus/ocellus/hal"
	"github.com/ocellus/ocellus/hal/sim"
)

// TestTarball: the format is what others read: Go's own reader, and tar.
func TestTarball(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	var files []supported
	for _, n := range []int{0, 1, 511, 512, 513, 70_000} {
		files = append(files, supported{Name: strings.Repeat("n", 1+n%50) + ".txt", text: bytes.Repeat([]byte("x"), n)})
	}
	raw, err := packed("support", files, now)
	if err != nil {
		t.Fatal(err)
	}
	z, err := gzip.NewReader(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	r := tar.NewReader(z)
	for _, f := range files {
		h, err := r.Next()
		if err != nil || h.Name != "support/"+f.Name || h.Mode != 0o600 || !h.ModTime.Equal(now) || h.Uid != 0 {
			t.Fatalf("got %+v, %v", h, err)
		}
		if text, err := io.ReadAll(r); err != nil || !bytes.Equal(text, f.text) {
			t.Errorf("%s: %d bytes, %v", f.Name, len(text), err)
		}
	}
	if _, err := r.Next(); !errors.Is(err, io.EOF) {
		t.Errorf("behind the last file: %v", err)
	}
	cmd := exec.Command("tar", "-tzf", "-")
	cmd.Stdin = bytes.NewReader(raw)
	if out, err := cmd.CombinedOutput(); err != nil || strings.Count(string(out), "\n") != len(files) {
		t.Errorf("tar: %v\n%s", err, out)
	}
	if _, err := packed("support", []supported{{Name: strings.Repeat("n", 100)}}, now); err == nil {
		t.Error("a name that does not fit")
	}
}

// TestSupportPieces: a bundle comes whole in pieces, and only to who asks for that one.
func TestSupportPieces(t *testing.T) {
	t.Parallel()
	r := startAlone(t, t.TempDir())
	owner := becomeOwner(t, r.ports.Web, r.label)
	var about, piece supportAnswer
	if code := owner.ask(t, "support", none{}, &about); code != codeOK || len(about.Files) < 8 || about.Data != nil ||
		about.Hidden == "" {
		t.Fatalf("%s %+v", code, about)
	}
	var whole []byte
	for len(whole) < about.Bytes {
		code := owner.ask(t, "support", supportArgs{about.ID, len(whole)}, &piece)
		if code != codeOK || len(piece.Data) == 0 {
			t.Fatalf("at %d: %s", len(whole), code)
		}
		whole = append(whole, piece.Data...)
	}
	if sum := sha256.Sum256(whole); hex.EncodeToString(sum[:]) != about.SHA256 {
		t.Error("it is damaged")
	}
	for args, want := range map[supportArgs]string{{"0123456789abcdef", 0}: codeNotFound, {about.ID, -1}: codeBadRequest,
		{about.ID, about.Bytes + 1}: codeBadRequest, {about.ID, about.Bytes}: codeOK} {
		if code := owner.ask(t, "support", args, nil); code != want {
			t.Errorf("%+v: got %s, want %s", args, code, want)
		}
	}
}

// TestSupportWaits: a bundle is not kept for ever.
func TestSupportWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var s supports
		s.keep(&supportBundle{id: "old"})
		time.Sleep(supportLasts / 2)
		s.keep(&supportBundle{id: "new"})
		time.Sleep(supportLasts * 3 / 4)
		if s.find("old") != nil || s.find("new") == nil {
			t.Error("the wrong one is kept")
		}
		time.Sleep(supportLasts)
		if s.find("new") != nil {
			t.Error("it is kept for ever")
		}
	})
}

// TestSelftest: what is there passes, what is not is absent, what is broken fails and says why.
func TestSelftest(t *testing.T) {
	t.Parallel()
	state := t.TempDir()
	r := startAlone(t, state)
	owner := becomeOwner(t, r.ports.Web, r.label)
	var got selfTest
	if code := owner.ask(t, "selftest", none{}, &got); code != codeOK || !got.Passed {
		t.Errorf("%s %+v", code, got)
	}
	want := map[string]verdict{"lamp": absent, "button": absent, "camera": passed, "radio": absent, "storage": passed,
		"vault": passed, "watchdog": absent}
	for _, p := range got.Parts {
		if p.Result != want[p.Part] || p.Text == "" {
			t.Errorf("got %+v, want %s", p, want[p.Part])
		}
		delete(want, p.Part)
	}
	if len(want) > 0 {
		t.Errorf("not tested: %v", want)
	}
	if err := os.Mkdir(filepath.Join(state, ".selftest.tmp"), 0o700); err != nil {
		t.Fatal(err)
	}
	if code := owner.ask(t, "selftest", none{}, &got); code != codeOK || got.Passed || got.Parts[4].Result != failed {
		t.Errorf("a disk that takes no file: %s %+v", code, got)
	}
}

// TestPressed: a button is tested by a press that comes after the question.
func TestPressed(t *testing.T) {
	t.Parallel()
	for name, pressed := range map[string]bool{"pressed": true, "not pressed": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				a := &agent{pressable: true, pressed: make(chan struct{}, 1)}
				a.pressed <- struct{}{} // of before
				if pressed {
					time.AfterFunc(pressWaits/2, func() { a.pressed <- struct{}{} })
				}
				began := time.Now()
				_, err := a.testButton(t.Context(), true)
				if (err == nil) != pressed || time.Since(began) < pressWaits/2 {
					t.Errorf("got %v after %v", err, time.Since(began))
				}
			})
		})
	}
}

// TestTestLamp: it flickers for a second, over what it shows else, and a lamp that fails is told.
func TestTestLamp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		led := &sim.LED{}
		l := newLamp(led)
		a := &agent{control: &controls{lamp: l}}
		if err := l.Show(hal.Ready); err != nil {
			t.Fatal(err)
		}
		if _, err := a.testLamp(t.Context()); err != nil || led.Shown() != hal.Ready {
			t.Errorf("got %v, it shows %q", err, led.Shown())
		}
		if err := led.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := a.testLamp(t.Context()); !errors.Is(err, hal.ErrClosed) {
			t.Errorf("a lamp that is gone: %v", err)
		}
	})
}
