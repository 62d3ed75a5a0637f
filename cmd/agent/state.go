package main

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/ocellus/ocellus/access"
	"github.com/ocellus/ocellus/internal/secret"
	"github.com/ocellus/ocellus/internal/statefile"
)

// Files of the state directory, beside viewers.json (access) and rtsps.pem (certificate.go).
const (
	lockName  = "agent.lock" // held while an agent runs
	portsName = "ports.json" // where the running agent listens
	// demoName is kept on the simulated board alone: the first viewer's password, so that every make run can print a
	// URL that works. A real camera shows its first password once and keeps nothing.
	demoName = "sim-viewer-password"
)

const firstViewer = "viewer"

// lockState makes sure that one agent at a time uses a state directory. The kernel lets go of the lock when the process
// ends, however it ends.
func lockState(state string) (unlock func(), err error) {
	f, err := os.OpenFile(filepath.Join(state, lockName), os.O_CREATE|os.O_RDWR|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("state directory: %w", err)
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		err = fmt.Errorf("another agent runs with the state in %s; stop it, or use another directory with --state", state)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return func() { _ = f.Close() }, nil
}

// ports is ports.json, for whoever started the agent with port 0. It is there while the agent listens.
type ports struct {
	PID    int    `json:"pid"`
	RTSP   string `json:"rtsp,omitempty"`
	RTSPS  string `json:"rtsps,omitempty"`
	Web    string `json:"web,omitempty"`
	Status string `json:"status,omitempty"`
}

// writePorts needs no flush: the file says nothing after a power cut.
func writePorts(state string, p ports) error {
	return statefile.New[ports](filepath.Join(state, portsName), 1).Store(p)
}

func removePorts(state string) { _ = os.Remove(filepath.Join(state, portsName)) }

// firstPassword returns the password to print at this start: that of the viewer whom the first start makes, or, on the
// simulated board, the one that was kept. Empty: there is nothing to show.
func firstPassword(g *access.Gate, state string, simulated bool) (secret.Secret, error) {
	kept := filepath.Join(state, demoName)
	if g.Fresh() {
		password, err := g.AddViewer(firstViewer, access.Watcher)
		if err == nil && simulated {
			err = statefile.WriteBytes(kept, []byte(password.Reveal()+"\n"), 0o600)
		}
		return password, err
	}
	if !simulated {
		return "", nil
	}
	raw, err := statefile.ReadBytes(kept)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	password := secret.Secret(strings.TrimSpace(string(raw)))
	if err != nil || !g.Knows(firstViewer, password) {
		return "", err
	}
	return password, nil
}

// streamURL spells a URL that a person can paste into a player. place is "HOST:PORT/STREAM".
func streamURL(name string, password secret.Secret, place string) string {
	return "rtsp://" + url.UserPassword(name, password.Reveal()).String() + "@" + place
}

// ownAddress is an address under which others reach this machine: the first that is neither loopback nor link-local.
func ownAddress() netip.Addr {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return netip.Addr{}
	}
	var found netip.Addr
	for _, a := range addrs {
		p, err := netip.ParsePrefix(a.String())
		if err != nil || !p.Addr().IsGlobalUnicast() {
			continue
		}
		if p.Addr().Is4() {
			return p.Addr()
		}
		if !found.IsValid() {
			found = p.Addr()
		}
	}
	return found
}

// silent is a logger for a verb that says everything itself.
func silent() *slog.Logger { return slog.New(slog.DiscardHandler) }
