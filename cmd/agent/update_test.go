package main

import (
	"bufio"
	"context"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ocellus/ocellus/board"
	"github.com/ocellus/ocellus/internal/statefile"
	"github.com/ocellus/ocellus/ota"
	"github.com/ocellus/ocellus/stream"
)

func TestWindow(t *testing.T) {
	t.Parallel()
	at := func(text string) time.Time {
		now, err := time.Parse("15:04", text)
		if err != nil {
			t.Fatal(err)
		}
		return now
	}
	for _, c := range []struct{ window, in, out string }{
		{"02:00-04:30", "02:00 03:59 04:29", "01:59 04:30 14:00"},
		{"23:00-01:00", "23:00 00:00 00:59", "01:00 22:59 12:00"},
		{"", "", "00:00 12:00"},
	} {
		var w window
		if err := w.UnmarshalText([]byte(c.window)); err != nil {
			t.Fatal(err)
		}
		for text := range strings.FieldsSeq(c.in) {
			if !w.holds(at(text)) {
				t.Errorf("%s is not in %s", text, c.window)
			}
		}
		for text := range strings.FieldsSeq(c.out) {
			if w.holds(at(text)) {
				t.Errorf("%s is in %s", text, c.window)
			}
		}
	}
	for _, bad := range []string{"2-4", "02:00", "02:00-24:30", "02:00-02:00", "02:00 - 03:00"} {
		var w window
		if err := w.UnmarshalText([]byte(bad)); err == nil {
			t.Errorf("%q is a window", bad)
		}
	}
}

func TestUpdateConfig(t *testing.T) {
	t.Parallel()
	if err := defaultUpdate().Validate(); err != nil {
		t.Error(err)
	}
	bad := updateConfig{Repository: "ftp://example.com/", CA: "none", Every: time.Second, Trial: time.Hour}
	err := bad.Validate()
	for _, key := range []string{"repository: ", "ca: ", "every: ", "trial: "} {
		if err == nil || !strings.Contains(err.Error(), key) {
			t.Errorf("got %v, want it to name %s", err, key)
		}
	}
}

// TestSecure: a clock that is before the system's own time is not believed, a later one is.
func TestSecure(t *testing.T) {
	t.Parallel()
	late := time.Now().Add(time.Hour)
	for _, built := range []time.Time{{}, late} {
		c, err := defaultUpdate().secure(built)
		if err != nil {
			t.Fatal(err)
		}
		if now := c.Time(); now.Before(built) || built.IsZero() && time.Since(now) > time.Minute {
			t.Errorf("built %v: got %v", built, now)
		}
	}
}

// TestAnswersRTSP: only the answer of a server that is well counts.
func TestAnswersRTSP(t *testing.T) {
	t.Parallel()
	for answer, good := range map[string]bool{
		"RTSP/1.0 200 OK\r\nCSeq: 1\r\n\r\n": true, "RTSP/1.0 503 Busy\r\n\r\n": false, "HTTP/1.1 200 OK\r\n\r\n": false, "": false,
	} {
		in, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			conn, err := in.Accept()
			if err != nil {
				return
			}
			_, _ = bufio.NewReader(conn).ReadString('\n')
			_, _ = conn.Write([]byte(answer))
			_ = conn.Close()
		}()
		if err := answersRTSP(t.Context(), in.Addr().String()); (err == nil) != good {
			t.Errorf("%q: got %v", answer, err)
		}
		_ = in.Close()
		<-done
		if err := answersRTSP(t.Context(), in.Addr().String()); err == nil {
			t.Error("nobody listens, and RTSP is well")
		}
	}
	if err := answersRTSP(t.Context(), ""); err == nil {
		t.Error("RTSP is off, and well")
	}
}

// TestFrames: pictures are wanted by looking, for a while, and a stream that nobody feeds is not well.
func TestFrames(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := &health{hub: stream.NewHub("main", stream.HubOptions{}), state: t.TempDir(),
			petted: func() bool { return true }, down: func() []string { return []string{"record"} },
			broker: func() error { return errNoAnswer }}
		good := map[string]bool{}
		begin := time.Now()
		for _, f := range h.facts(t.Context()) {
			good[f.Name] = f.OK
		}
		if took := time.Since(begin); took < firstLook || took > firstLook+rtspWaits {
			t.Errorf("looked for %v, want %v for the first pictures", took, firstLook)
		}
		if good["frames"] || good["rtsp"] || good["parts"] || good["control"] || !good["space"] || !good["watchdog"] {
			t.Errorf("got %v", good)
		}
		if !h.watching() || h.hub.Stats().Subscribers != 1 {
			t.Error("nobody wants the pictures")
		}
		time.Sleep(2 * wantedFor)
		synctest.Wait()
		if h.watching() || h.hub.Stats().Subscribers != 0 {
			t.Error("pictures are wanted for ever")
		}
		h.look()
		h.stop()
		h.ended.Wait()
	})
}

// TestMoment: the restart waits for whoever watches, and not for the health's own eye; the owner does not wait.
func TestMoment(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hub := stream.NewHub("main", stream.HubOptions{})
		u := &updates{hubs: []*stream.Hub{hub}, health: &health{hub: hub}}
		wait := func() time.Duration {
			begin := time.Now()
			if err := u.moment(t.Context(), ota.Status{}); err != nil {
				t.Error(err)
			}
			return time.Since(begin)
		}
		watcher := hub.Subscribe(4)
		time.AfterFunc(time.Hour, watcher.Close)
		if took := wait(); took < time.Hour+9*time.Second || took > time.Hour+11*time.Second {
			t.Errorf("waited %v for a watcher of an hour", took)
		}
		u.health.look()
		if took := wait(); took > 11*time.Second {
			t.Errorf("waited %v for its own eye", took)
		}
		watcher = hub.Subscribe(4)
		u.now.Store(true)
		if took := wait(); took > 2*time.Second {
			t.Errorf("the owner waited %v", took)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		u.now.Store(false)
		if err := u.moment(ctx, ota.Status{}); err == nil {
			t.Error("somebody watches, and the camera may restart")
		}
		watcher.Close()
		u.health.stop()
		u.health.ended.Wait()
	})
}

// TestRolloutID: it is made once, and stays.
func TestRolloutID(t *testing.T) {
	t.Parallel()
	l, err := openLasting(board.Board{Simulated: true}, t.TempDir(), silent())
	if err != nil {
		t.Fatal(err)
	}
	first, err := rolloutID(l.persist)
	if err != nil || len(first) != 16 {
		t.Fatalf("got %x, %v", first, err)
	}
	if again, err := rolloutID(l.persist); err != nil || string(again) != string(first) {
		t.Errorf("got %x, %v, want %x", again, err, first)
	}
}

// TestCheckUpdates: agent check reads ota.json, and says when it can't.
func TestCheckUpdates(t *testing.T) {
	t.Parallel()
	state := t.TempDir()
	if _, out, _ := agentVerb(t, "check", "--state", state); !strings.Contains(out, "updates: none yet\n") {
		t.Errorf("got %s", out)
	}
	path := state + "/" + otaName
	if err := statefile.WriteBytes(path, []byte(`{"version":1,"state":"failed","update":{"version":"1.4.0"}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, out, _ := agentVerb(t, "check", "--state", state); code != 0 || !strings.Contains(out, "updates: failed\n") {
		t.Errorf("got %s", out)
	}
	if err := statefile.WriteBytes(path, []byte(`{"version":1,"state":`), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, out, _ := agentVerb(t, "check", "--state", state); code != 1 || !strings.Contains(out, "updates: load ") {
		t.Errorf("got %d %s", code, out)
	}
}
