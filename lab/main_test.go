package lab

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// programs are where the binaries under test lie; TestMain sets it before any test runs.
var programs string

func TestMain(m *testing.M) {
	flag.Parse()
	// The parallel tests mostly wait: for a minute of copying, for a camera's clock. More at once would starve the
	// encoders of a small machine.
	if err := flag.Set("test.parallel", "5"); err != nil {
		panic(err)
	}
	os.Exit(runTests(m))
}

func runTests(m *testing.M) int {
	// Where Debian keeps what looks after file systems: e2fsck, debugfs.
	if err := os.Setenv("PATH", os.Getenv("PATH")+":/usr/sbin:/sbin"); err != nil {
		panic(err)
	}
	programs = os.Getenv("OCELLUS_BIN")
	if programs != "" {
		return m.Run()
	}
	dir, err := os.MkdirTemp("", "ocellus-lab-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	programs = dir
	build := exec.Command("go", "build", "-trimpath", "-o", dir+string(filepath.Separator), "./cmd/agent", "./cmd/camctl",
		"./cmd/mkimage",
		"./lab/peer")
	build.Dir = ".."
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build the programs under test: %v\n%s", err, out)
		return 1
	}
	if err := os.Setenv("OCELLUS_BIN", dir); err != nil { // for lab/virt
		panic(err)
	}
	return m.Run()
}

func program(name string) string { return filepath.Join(programs, name) }
