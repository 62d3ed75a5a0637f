package lab

import (
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
