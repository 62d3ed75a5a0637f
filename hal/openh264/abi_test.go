//go:build cgo && linux && (amd64 || arm64 || arm)

package openh264

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestABI compares abi.h with the headers of the library that is linked, for every machine whose compiler is there.
func TestABI(t *testing.T) {
	t.Parallel()
	dir, err := exec.Command("go", "list", "-f", "{{.Dir}}", "github.com/pion/mediadevices/pkg/codec/openh264").Output()
	if err != nil {
		t.Skip("no go command beside the test:", err)
	}
	include := filepath.Join(strings.TrimSpace(string(dir)), "include")
	for _, cc := range []string{"cc", "arm-linux-gnueabihf-gcc", "aarch64-linux-gnu-gcc"} {
		t.Run(cc, func(t *testing.T) {
			t.Parallel()
			if _, err := exec.LookPath(cc); err != nil {
				t.Skip("no such compiler:", err)
			}
			//nolint:gosec // the arguments are ours
			out, err := exec.Command(cc, "-fsyntax-only", "-I"+include, "testdata/abi_check.c").CombinedOutput()
			if err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}
