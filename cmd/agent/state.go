package main

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/ocellus/ocellus/internal/secret"
	"github.com/ocellus/ocellus/internal/statefile"
)

// Files of the state directory, beside the owner's (identity.go) and RTSPS's certificate (certificate.go).
const (
	lockName  = "agent.lock" // held while an agent runs
	portsName = "ports.json" // where the running agent listens
)

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
	MQTT   string `json:"mqtt,omitempty"`
	Status string `json:"status,omitempty"`
}

// writePorts needs no flush: the file says nothing after a power cut.
func writePorts(state string, p ports) error {
	return statefile.New[ports](filepath.Join(state, portsName), 1).Store(p)
}

func removePorts(state string) { _ = os.Remove(filepath.Join(state, portsName)) }

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
