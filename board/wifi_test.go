package board

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/ocellus/ocellus/hal"
)

// TestWiFiIsOptional: a radio is named where the board has its interface and a wpa_supplicant, else it is left aside.
func TestWiFiIsOptional(t *testing.T) {
	t.Parallel()
	log := slog.New(slog.DiscardHandler)
	for name, c := range map[string]struct {
		wifi           *WiFi
		there          []string
		radio, monitor bool
	}{
		"none":              {nil, nil, false, false},
		"no driver":         {&WiFi{"wlan0", true}, []string{supplicantFolder}, false, false},
		"no wpa_supplicant": {&WiFi{"wlan0", true}, []string{"sys/class/net/wlan0"}, false, false},
		"all":               {&WiFi{"wlan0", true}, []string{"sys/class/net/wlan0", supplicantFolder, earFolder}, true, true},
		"no monitor":        {&WiFi{"wlan0", false}, []string{"sys/class/net/wlan0", supplicantFolder}, true, false},
	} {
		root := t.TempDir()
		for _, dir := range c.there {
			if err := os.MkdirAll(filepath.Join(root, dir), 0o700); err != nil {
				t.Fatal(err)
			}
		}
		var d hal.Devices
		openWiFi(&d, c.wifi, root, log)
		if (d.Radio != nil) != c.radio || (d.EasyConnect != nil) != c.radio || (d.Monitor != nil) != c.monitor {
			t.Errorf("%s: got %+v", name, d)
		}
	}
}

// TestServeEar: it takes the place of an ear that was killed, serves nobody but its user, and ends with its context.
func TestServeEar(t *testing.T) {
	t.Parallel()
	socket := filepath.Join(t.TempDir(), "ear")
	if err := os.WriteFile(socket, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1) // capacity 1: for the one call
	go func() { ended <- ServeEar(ctx, socket, "none0", uint32(os.Getuid())+1) }()
	for {
		c, err := net.DialUnix("unixpacket", nil, &net.UnixAddr{Name: socket, Net: "unixpacket"})
		if err == nil {
			if n, err := c.Read(make([]byte, 1)); n != 0 || err == nil {
				t.Errorf("a stranger reads %d bytes, %v", n, err)
			}
			_ = c.Close()
			break
		}
		select {
		case err := <-ended:
			t.Fatal(err)
		default:
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if err := ServeEar(t.Context(), filepath.Join(t.TempDir(), "no", "ear"), "none0", 1); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}
