package virt

import (
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// TestNetworkIsApart: what is in the network is not on the host, and nothing of it outlives the test.
func TestNetworkIsApart(t *testing.T) {
	var held string
	t.Run("while it lives", func(t *testing.T) {
		n := NewNetwork(t)
		held = filepath.Join("/proc", strconv.Itoa(n.holder.Process.Pid), "ns/net")
		n.Serve()
		out, err := n.Command("ip", "-o", "link").CombinedOutput()
		if err != nil || strings.Count(string(out), "\n") != 2 || !strings.Contains(string(out), "tap0") {
			t.Errorf("in the network: %v: %s", err, out)
		}
		if _, err := net.InterfaceByName("tap0"); err == nil {
			t.Error("the tap is on the host")
		}
		if here, _ := os.Readlink("/proc/self/ns/net"); here == "" || here == readlink(t, held) {
			t.Errorf("the network is the host's own: %s", here)
		}
	})
	if held == "" {
		t.Skip("no network")
	}
	if _, err := os.Readlink(held); err == nil {
		t.Errorf("%s is still there", held)
	}
}

func readlink(t *testing.T, name string) string {
	t.Helper()
	to, err := os.Readlink(name)
	if err != nil {
		t.Fatal(err)
	}
	return to
}
