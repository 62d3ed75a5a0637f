package tty

import (
	"os"
	"strings"
	"testing"

	"github.com/ocellus/ocellus/hal/haltest"
)

// TestHardwareLaw runs over two UARTs whose wires are joined; OCELLUS_UART names them: NEAR,FAR. Not parallel: the suite
// counts descriptors.
func TestHardwareLaw(t *testing.T) {
	near, far, ok := strings.Cut(os.Getenv("OCELLUS_UART"), ",")
	if !ok {
		t.Skip("OCELLUS_UART names no two UARTs: scripts/board-test has them")
	}
	haltest.Serial(t, func(t *testing.T) haltest.SerialBench {
		peer, err := New(far).Open(115200)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = peer.Close() })
		return haltest.SerialBench{Port: New(near), Peer: peer}
	}, haltest.SerialOptions{Skips: map[string]string{"a port that goes away is closed": "a UART is soldered in"}})
}
