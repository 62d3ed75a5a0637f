package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ocellus/ocellus/access"
	"github.com/ocellus/ocellus/hal"
)

func table() []command {
	return []command{
		{"echo", access.Watch, time.Second, with(func(_ context.Context, v viewerArgs) (any, error) { return v, nil })},
		{"admit", access.Admit, time.Second, with(func(context.Context, none) (any, error) { return "in", nil })},
		{"slow", access.Watch, 10 * time.Millisecond, with(func(ctx context.Context, _ none) (any, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		})},
		{"panic", access.Watch, time.Second, with(func(context.Context, none) (any, error) { panic("boom") })},
		{"luma", access.Watch, time.Second, with(func(context.Context, none) (any, error) {
			return nil, hal.ErrUnsupported
		})},
	}
}

func TestDo(t *testing.T) {
	t.Parallel()
	owner, viewer := access.Identity{Name: "o", Role: access.Owner}, access.Identity{Name: "v", Role: access.Watcher}
	for name, c := range map[string]struct {
		who           access.Identity
		command, args string
		code, text    string
	}{
		"fine":             {viewer, "echo", `{"name":"a"}`, codeOK, ""},
		"no arguments":     {viewer, "echo", ``, codeOK, ""},
		"unknown":          {owner, "reboot", ``, codeUnknown, "reboot"},
		"not allowed":      {viewer, "admit", ``, codeDenied, "may not admit"},
		"allowed":          {owner, "admit", ``, codeOK, ""},
		"nobody":           {access.Identity{}, "echo", ``, codeDenied, ""},
		"unknown argument": {viewer, "echo", `{"nmae":"a"}`, codeBadRequest, "nmae"},
		"not JSON":         {viewer, "echo", `{`, codeBadRequest, ""},
		"too much JSON":    {viewer, "echo", `{} {}`, codeBadRequest, "behind"},
		"late":             {viewer, "slow", ``, codeTimeout, ""},
		"panic":            {viewer, "panic", ``, codeFailed, "boom"},
		"unsupported":      {viewer, "luma", ``, codeUnsupported, ""},
	} {
		_, err := do(t.Context(), table(), c.who, c.command, json.RawMessage(c.args))
		if got := codeOf(err); got != c.code || err != nil && !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: got %s, %v; want %s, %q", name, got, err, c.code, c.text)
		}
	}
}

// TestCommandTable: each row is complete, and names are used once.
func TestCommandTable(t *testing.T) {
	t.Parallel()
	var pages strings.Builder
	files, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		raw, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		pages.Write(raw)
	}
	seen := map[string]bool{}
	for _, c := range (&agent{}).commands() {
		if !strings.Contains(pages.String(), c.name) {
			t.Errorf("%s stands on no page", c.name)
		}
		if s := c.status(); len(s.Roles) == 0 || s.DeadlineS <= 0 {
			t.Errorf("row %+v", s)
		}
		if seen[c.name] || c.name == "" || c.deadline <= 0 || c.needs == "" || c.run == nil {
			t.Errorf("row %+v", c)
		}
		if !access.Owner.May(c.needs) {
			t.Errorf("%s: not even the owner may", c.name)
		}
		seen[c.name] = true
	}
}

// openTestDoor runs a door in a state directory of its own.
func openTestDoor(t *testing.T, state string) {
	t.Helper()
	d, err := openDoor(state, table(), silent())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- d.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestSocket(t *testing.T) {
	t.Parallel()
	deep := filepath.Join(t.TempDir(), strings.Repeat("d", 120)) // longer than a socket address
	if err := os.Mkdir(deep, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, state := range map[string]string{"short path": t.TempDir(), "long path": deep} {
		openTestDoor(t, state)
		var got viewerArgs
		if err := call(t.Context(), state, "echo", viewerArgs{Name: "anna"}, &got); err != nil || got.Name != "anna" {
			t.Errorf("%s: got %+v, %v", name, got, err)
		}
		var refused *answerError
		if err := call(t.Context(), state, "reboot", none{}, &got); !errors.As(err, &refused) || refused.code != codeUnknown {
			t.Errorf("%s: got %v, want code %s", name, err, codeUnknown)
		}
		if info, err := os.Stat(filepath.Join(state, socketName)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: got %v, %v; want mode 0600", name, info.Mode(), err)
		}
	}
	if err := call(t.Context(), t.TempDir(), "echo", none{}, nil); !errors.Is(err, errNotRunning) {
		t.Errorf("no agent: got %v, want %v", err, errNotRunning)
	}
}

// TestSocketBadClients: whatever a client sends, it gets an answer or is dropped, and others are served.
func TestSocketBadClients(t *testing.T) {
	t.Parallel()
	state := t.TempDir()
	openTestDoor(t, state)
	for name, sent := range map[string]string{
		"not JSON":      "hello\n",
		"empty":         "\n",
		"unknown field": `{"command":"echo","sudo":true}` + "\n",
		"two values":    `{"command":"echo"}{"command":"echo"}` + "\n",
		"too long":      strings.Repeat("x", maxRequest+10) + "\n",
	} {
		conn, err := net.Dial("unix", filepath.Join(state, socketName))
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(conn, sent) // the door may have had enough before the end
		raw, _ := io.ReadAll(conn)
		var r response
		if err := json.Unmarshal(raw, &r); len(raw) > 0 && (err != nil || r.Code != codeBadRequest) {
			t.Errorf("%s: got %q", name, raw)
		}
		_ = conn.Close()
	}
	for range 3 * maxLocal { // connected, and silent for ever
		conn, err := net.Dial("unix", filepath.Join(state, socketName))
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.Close()
	}
	var got viewerArgs
	if err := call(t.Context(), state, "echo", viewerArgs{Name: "b"}, &got); err != nil || got.Name != "b" {
		t.Errorf("afterwards: got %+v, %v", got, err)
	}
}

func FuzzRequest(f *testing.F) {
	for _, s := range []string{`{"command":"status"}`, `{"command":"viewer.add","args":{"name":"a"}}` + "\n", "",
		"\n", `{"args":5}`, `[`, `null`} {
		f.Add([]byte(s))
	}
	owner := access.Identity{Name: "o", Role: access.Owner}
	f.Fuzz(func(t *testing.T, raw []byte) {
		req, err := readRequest(bufio.NewReaderSize(bytes.NewReader(raw), maxRequest+1))
		var result any
		if err == nil && req.Command != "slow" {
			result, err = do(t.Context(), table(), owner, req.Command, req.Args)
		}
		var r response
		if bad := json.Unmarshal(encodeResponse(result, err), &r); bad != nil || r.Code == "" {
			t.Errorf("answer %+v, %v", r, bad)
		}
	})
}
