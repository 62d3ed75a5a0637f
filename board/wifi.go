package board

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"time"

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

// earIdle is short beside what an ear costs while it waits, and long beside the pauses between an agent's requests.
const earIdle = 30 * time.Second

// ServeEar hears for the one user uid, until ctx ends or nobody has asked for a while: it needs CAP_NET_ADMIN and
// CAP_NET_RAW, and the agent then neither. The socket is kept by whoever starts an ear for those who come to it.
func ServeEar(ctx context.Context, socket *os.File, iface string, uid uint32) error {
	l, err := net.FileListener(socket)
	if err != nil {
		return fmt.Errorf("ear: init hands no listening socket over as %s: %w", socket.Name(), err)
	}
	u, ok := l.(*net.UnixListener)
	if !ok {
		return errors.Join(fmt.Errorf("ear: %s is no unix socket", socket.Name()), l.Close())
	}
	return wifi.ServeEar(ctx, u, wifi.EarOptions{Interface: iface, UID: uid, Idle: earIdle})
}
