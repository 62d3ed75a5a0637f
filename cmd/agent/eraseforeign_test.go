package main

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// TestEraseForeignFile: a configuration that root's editor wrote anew is not the agent's to overwrite. It goes, and the
// reset comes to its end: until then nobody could claim the camera.
func TestEraseForeignFile(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can make a file that is not his own")
	}
	const agent = 1000
	state := t.TempDir()
	if err := errors.Join(os.Chown(state, agent, agent), os.Chmod(filepath.Dir(state), 0o755)); err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(state, "config.yaml")
	if err := os.WriteFile(config, []byte("schema: 1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	erased := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with this function, and its user with it
		if err := unix.Setfsuid(agent); err != nil {
			erased <- err
			return
		}
		erased <- eraseFiles(state, false, silent())
	}()
	if err := <-erased; err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(state); err != nil || len(left) > 0 {
		t.Errorf("%v is left, %v", left, err)
	}
}
