package virt

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// Ports of the board.
const (
	rtspPort = 8554
	doorPort = 8443
)

// Label is the text of the label that belongs on the board, as the agent tells its own user.
func (b *Board) Label() string {
	b.t.Helper()
	r := b.RunAs(Agent(), "/usr/bin/agent", "label")
	if r.Code != 0 {
		b.t.Fatalf("agent label: exit code %d: %s", r.Code, r.Errs)
	}
	return strings.TrimSpace(r.Out)
}

// Claim makes the test the owner of the camera, with camctl at the LAN door, where it is not yet.
func (b *Board) Claim() {
	b.t.Helper()
	b.pair("")
}

// URL is a stream's address with the credential of the owner's own viewer. Who has no owner gets one first.
func (b *Board) URL(stream string) string {
	b.t.Helper()
	said := b.pair("viewer")
	user := regexp.MustCompile(`watch: (rtsp://[^ :]+:[^ @]+@)`).FindStringSubmatch(said)
	if user == nil {
		b.t.Fatalf("camctl pair tells no stream: %s", said)
	}
	return user[1] + b.Addr(rtspPort) + "/" + stream
}

// pair runs camctl pair until somebody answers at the door.
func (b *Board) pair(viewer string) string {
	b.t.Helper()
	const unreachable = 3 // camctl's exit code
	args := []string{"pair", "--home", b.home, "--name", "board", "--viewer", viewer, "--camera", b.Addr(doorPort),
		"--label", b.Label()}
	for end := time.Now().Add(bootLimit); ; time.Sleep(200 * time.Millisecond) {
		var out, errs bytes.Buffer
		camctl := b.outside(filepath.Join(b.programs(), "camctl"), args...)
		camctl.Stdout, camctl.Stderr = &out, &errs
		err := camctl.Run()
		var exit *exec.ExitError
		switch {
		case err == nil:
			return out.String()
		case !errors.As(err, &exit) || exit.ExitCode() != unreachable || time.Now().After(end):
			b.t.Fatalf("camctl pair: %v: %s", err, errs.String())
		}
	}
}

// Camctl runs camctl at the owner's, and returns what it prints. It fails the test where camctl does.
func (b *Board) Camctl(verb string, words ...string) string {
	b.t.Helper()
	camctl := b.outside(filepath.Join(b.programs(), "camctl"), append([]string{verb, "--home", b.home}, words...)...)
	var errs bytes.Buffer
	camctl.Stderr = &errs
	out, err := camctl.Output()
	if err != nil {
		b.t.Fatalf("camctl %s: %v: %s", verb, err, errs.String())
	}
	return string(out)
}

// Home is the folder where camctl keeps what the owner has.
func (b *Board) Home() string { return b.home }

// outside is a command that reaches the board: here, or inside its Network.
func (b *Board) outside(name string, args ...string) *exec.Cmd {
	if b.options.Network != nil {
		return b.options.Network.Command(name, args...)
	}
	return exec.CommandContext(b.t.Context(), name, args...)
}

// programs is OCELLUS_BIN, or bin/ beside dist/.
func (b *Board) programs() string {
	b.t.Helper()
	if dir := os.Getenv("OCELLUS_BIN"); dir != "" {
		return dir
	}
	return filepath.Join(filepath.Dir(distFolder(b.t)), "bin")
}
