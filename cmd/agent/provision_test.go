package main

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"testing"
	"time"

	"github.com/ocellus/ocellus/access"
	"github.com/ocellus/ocellus/hal"
	"github.com/ocellus/ocellus/provision"
	"github.com/ocellus/ocellus/provision/smartconfig"
)

func TestNetworkConfig(t *testing.T) {
	t.Parallel()
	for country, ok := range map[string]bool{"": true, "DE": true, "de": false, "DEU": false, "D1": false, "D": false} {
		if err := (networkConfig{Country: country}).Validate(); err == nil != ok {
			t.Errorf("%q: got %v", country, err)
		}
	}
	if got := (networkConfig{}).Legacy.protocols(); got != 0 {
		t.Errorf("by default on: %v", got)
	}
	all := legacyConfig{true, true, true, true}.protocols()
	if all != smartconfig.Legacy() {
		t.Errorf("all on: got %v, want %v", all, smartconfig.Legacy())
	}
}

// TestReach: a host that answers, and one that does not.
func TestReach(t *testing.T) {
	t.Parallel()
	in, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	if err := reach(t.Context(), in.Addr().String()); err != nil {
		t.Error(err)
	}
	const nobody = "127.0.0.1:1" // no port that the kernel would give to anybody meanwhile
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := reach(ctx, nobody); !errors.Is(err, provision.ErrUnreached) {
		t.Errorf("nobody there: got %v", err)
	}
	if err := (&agent{}).reachBroker(t.Context(), hal.Link{}); err != nil {
		t.Errorf("no broker before: got %v", err)
	}
}

// TestNoWiFi: a camera without a radio says so, to whoever may ask.
func TestNoWiFi(t *testing.T) {
	t.Parallel()
	a := &agent{}
	for _, c := range []struct {
		name string
		role access.Role
		want string
	}{
		{"network.status", access.Owner, codeUnsupported},
		{"network.scan", access.Member, codeUnsupported},
		{"network.join", access.Owner, codeUnsupported},
		{"network.forget", access.Owner, codeUnsupported},
		{"network.join", access.Member, codeDenied},
		{"network.join", access.Installer, codeDenied},
		{"network.forget", access.Installer, codeDenied},
		{"network.status", access.Watcher, codeDenied},
	} {
		_, err := do(t.Context(), a.commands(), access.Identity{Role: c.role}, c.name, json.RawMessage("{}"))
		if got := codeOf(err); got != c.want {
			t.Errorf("%s as %s: got %s, want %s", c.name, c.role, got, c.want)
		}
	}
}
