package board

import (
	"context"
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

// TestServeEar: on a socket that it is given it serves nobody but its user, and ends with its context.
func TestServeEar(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "ear")
	l, err := net.ListenUnix("unixpacket", &net.UnixAddr{Name: path, Net: "unixpacket"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	socket, err := l.File()
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1) // capacity 1: for the one call
	go func() { ended <- ServeEar(ctx, socket, "none0", uint32(os.Getuid())+1) }()
	c, err := net.DialUnix("unixpacket", nil, &net.UnixAddr{Name: path, Net: "unixpacket"})
	if err != nil {
		t.Fatal(err)
	}
	if n, err := c.Read(make([]byte, 1)); n != 0 || err == nil {
		t.Errorf("a stranger reads %d bytes, %v", n, err)
	}
	_ = c.Close()
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	if err := ServeEar(t.Context(), null, "none0", 1); err == nil {
		t.Error("no socket is a socket")
	}
}
