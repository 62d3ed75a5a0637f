package board

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"

	"github.com/ocellus/ocellus/hal"
	"github.com/ocellus/ocellus/hal/wifi"
)

// Where the board's services for a radio are.
const (
	supplicantFolder = "run/wpa_supplicant"
	earFolder        = "run/ear"
)

// openWiFi names the radio where the board has one and wpa_supplicant is set up for it. Nothing is opened before it is
// used, and nothing sent. Where the board has no ear, only root hears.
func openWiFi(d *hal.Devices, w *WiFi, root string, log *slog.Logger) {
	if w == nil {
		return
	}
	for _, needed := range []string{filepath.Join("sys/class/net", w.Interface), supplicantFolder} {
		if _, err := os.Stat(filepath.Join(root, needed)); err != nil {
			log.Warn("radio left aside", "interface", w.Interface, "err", err)
			return
		}
	}
	o := wifi.Options{Interface: w.Interface, Control: filepath.Join(root, supplicantFolder)}
	if _, err := os.Stat(filepath.Join(root, earFolder)); err == nil {
		o.Ear = filepath.Join(root, earFolder, w.Interface)
	}
	radio, monitor := wifi.New(o)
	d.Radio, d.EasyConnect = radio, radio
	if w.Monitor {
		d.Monitor = monitor
	}
}

// ServeEar hears for the one user uid, until ctx ends: it needs CAP_NET_ADMIN and CAP_NET_RAW, and the agent then
// neither. It takes the place of a socket that one before it left; the folder says who may come to it.
func ServeEar(ctx context.Context, socket, iface string, uid uint32) error {
	if err := os.Remove(socket); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("ear: %w", err)
	}
	l, err := net.ListenUnix("unixpacket", &net.UnixAddr{Name: socket, Net: "unixpacket"})
	if err != nil {
		return fmt.Errorf("ear: %w", err)
	}
	if err := os.Chmod(socket, 0o666); err != nil {
		return errors.Join(fmt.Errorf("ear: %w", err), l.Close())
	}
	return wifi.ServeEar(ctx, l, wifi.EarOptions{Interface: iface, UID: uid})
}
