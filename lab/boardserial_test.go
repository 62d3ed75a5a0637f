package lab

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ocellus/ocellus/lab/virt"
)

// boardSerial asks a board by frames over its UART, on which a person may have typed a moment ago.
func boardSerial(t *testing.T, b *virt.Board) {
	b.URL("main") // somebody owns it
	port := "tcp:" + b.Serial()
	ask := func(verb string, words ...string) string {
		t.Helper()
		r := tool(t, time.Minute, program("camctl"), append([]string{verb, "--home", b.Home(), port}, words...)...)
		if r.code != 0 {
			t.Errorf("%s %q: %d %s%s", verb, words, r.code, r.out, r.errs)
		}
		return r.out
	}
	says(t, ask("call", "status"), `"healthy": true`)
	says(t, ask("call", "capabilities"), "ota.install", "factory.label")
	picture := filepath.Join(t.TempDir(), "s.jpg")
	says(t, ask("call", "-o", picture, "snapshot"), picture)
	ask("events", "--for", "1500ms")
	says(t, consoleOf(t, b, t.TempDir(), "version"), "release ") // and it is a person's again
	r := tool(t, time.Minute, program("camctl"), "call", "--home", t.TempDir(), port, "status")
	if r.code != 4 || !strings.Contains(r.errs, "none of yours") {
		t.Errorf("a stranger: %d %s%s", r.code, r.out, r.errs)
	}
}

// pushSerial sends a delta over the board's UART, at its speed: what a field engineer with three wires has time for.
func (s *updated) pushSerial(t *testing.T, delta string) {
	t.Helper()
	s.b.Claim()
	out := s.p.path("serial.bundle")
	s.p.camctl("bundle", "--repo", s.p.path("repo"), "--root", s.p.newestRoot(), "-o", out, delta)
	begin := time.Now()
	r := tool(t, updateLimit, program("camctl"), "ota", "push", "--home", s.b.Home(), "--now", "tcp:"+s.b.Serial(), out)
	if r.code != 0 || !strings.Contains(r.errs, "at 115200 baud: about ") ||
		!strings.Contains(r.out, "is in the other slot and verified") {
		t.Fatalf("push over the serial line: %d %s%s", r.code, r.out, r.errs)
	}
	info, err := os.Stat(out)
	if err != nil {
		t.Fatal(err)
	}
	said, _, _ := strings.Cut(r.errs, "\n")
	t.Logf("a delta in a bundle of %d bytes, over 115200 baud, verified and written: %.1f s; said before: %q", info.Size(),
		time.Since(begin).Seconds(), said)
}
