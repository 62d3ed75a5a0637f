package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ocellus/ocellus/lab/hand/wire"
)

func TestRunProgram(t *testing.T) {
	t.Parallel()
	plain := filepath.Join(t.TempDir(), "plain")
	if err := os.WriteFile(plain, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		argv      []string
		code      int
		out, errs string
		fault     string
	}{
		"outputs":        {[]string{"/bin/sh", "-c", "echo out; echo errs >&2; exit 3"}, 3, "out\n", "errs\n", ""},
		"signal":         {[]string{"/bin/sh", "-c", "kill -9 $$"}, 137, "", "", ""},
		"no program":     {[]string{"/no/such"}, 127, "", "fork/exec /no/such: no such file or directory", ""},
		"not executable": {[]string{plain}, 126, "", "fork/exec " + plain + ": permission denied", ""},
		"no words":       {nil, 0, "", "", "no program"},
		"too long":       {[]string{"/bin/sh", "-c", "echo a; sleep 100 & sleep 100"}, 0, "a\n", "", "not done within"},
		"child left":     {[]string{"/bin/sh", "-c", "sleep 3 & echo a"}, 0, "a\n", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, err := runProgram(&wire.Run{Argv: c.argv, Limit: 2 * time.Second})
			if string(a.Data) != c.out || string(a.Errs) != c.errs || c.fault == "" && a.Code != c.code {
				t.Errorf("got %q, %q, code %d", a.Data, a.Errs, a.Code)
			}
			if (err == nil) != (c.fault == "") || err != nil && !strings.Contains(err.Error(), c.fault) {
				t.Errorf("got %v, want %q", err, c.fault)
			}
		})
	}
}

func TestOutputIsBounded(t *testing.T) {
	t.Parallel()
	var b bounded
	for range 3 {
		if n, err := b.Write(make([]byte, wire.MaxOut/2+1)); n != wire.MaxOut/2+1 || err != nil {
			t.Fatal(n, err)
		}
	}
	if b.Len() != wire.MaxOut {
		t.Errorf("got %d bytes, want %d", b.Len(), wire.MaxOut)
	}
}

func TestFilesInPieces(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "file")
	for i, piece := range []string{"old and longer", "new", " end"} {
		if err := writePiece(&wire.Write{Name: name, Data: []byte(piece), Mode: 0o640, Append: i == 2}); err != nil {
			t.Fatal(err)
		}
	}
	a, err := readPiece(&wire.Read{Name: name, Offset: 1})
	if err != nil || string(a.Data) != "ew end" || !a.Last {
		t.Errorf("got %+v, %v", a, err)
	}
	if err := os.WriteFile(name, make([]byte, wire.Chunk), 0o600); err != nil {
		t.Fatal(err)
	}
	a, err = readPiece(&wire.Read{Name: name})
	if err != nil || !bytes.Equal(a.Data, make([]byte, wire.Chunk)) || a.Last {
		t.Errorf("got %d bytes, last %v, %v", len(a.Data), a.Last, err)
	}
	if _, err := readPiece(&wire.Read{Name: name + "x"}); err == nil {
		t.Error("a file that is not there is read")
	}
}

func TestDispatch(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{nil, {"bootstate"}, {"bootstate", "try", "b"}, {"slot", "erase", "a"}} {
		if err := dispatch(args); err == nil {
			t.Errorf("%q is a verb", args)
		}
	}
}
