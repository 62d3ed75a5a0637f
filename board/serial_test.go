package board

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/ocellus/ocellus/hal"
)

// TestSerialPort: the console has the board's port, or the one that a person named, and leaves the kernel's to the kernel.
func TestSerialPort(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ board, named, active, want string }{
		"none":                   {"", "", "tty0", ""},
		"the board's":            {"/dev/ttyS1", "", "tty0", "/dev/ttyS1"},
		"the kernel's":           {"/dev/ttyS1", "", "tty0 ttyS1", ""},
		"the kernel has another": {"/dev/ttyS1", "", "ttyS11", "/dev/ttyS1"},
		"a person's":             {"/dev/ttyS1", "/dev/pts/7", "ttyS1", "/dev/pts/7"},
	} {
		root := t.TempDir()
		if err := os.MkdirAll(filepath.Join(root, "sys/class/tty/console"), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(root, "sys/class/tty/console/active"), []byte(c.active+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		var d hal.Devices
		openSerial(&d, Board{Serial: c.board}, c.named, root, slog.New(slog.DiscardHandler))
		got := ""
		if d.Serial != nil {
			got = d.Serial.Name()
		}
		if got != c.want {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
}
