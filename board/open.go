package board

import (
	"log/slog"

	"github.com/ocellus/ocellus/hal"
	"github.com/ocellus/ocellus/hal/v4l2"
)

// Options are what a person may say about the devices.
type Options struct {
	File string // the simulated camera plays this H.264 or MP4 file instead of drawing the test card
	Hold string // this PNG image is held before the simulated camera's lens
	Air  string // this capture is what the simulated radio hears, again and again

	Serial string // the console is on this port, whatever the board's own is
}

// Open opens the devices of a board. A camera that is not there yet is no error: it is looked for whenever it is
// wanted.
func Open(b Board, o Options, log *slog.Logger) (hal.Devices, error) {
	d, err := openDevices(b, o, log)
	if err == nil {
		openSerial(&d, b, o.Serial, "/", log)
	}
	return d, err
}

func openDevices(b Board, o Options, log *slog.Logger) (hal.Devices, error) {
	if b.Simulated {
		return openSim(o, log)
	}
	switch {
	case o.File != "":
		return hal.Devices{}, errFileNeedsSim
	case o.Hold != "":
		return hal.Devices{}, errHoldNeedsSim
	case o.Air != "":
		return hal.Devices{}, errAirNeedsSim
	}
	cam := &camera{board: b, log: log, find: v4l2.Find, open: v4l2.OpenCamera,
		last: hal.DeviceInfo{Name: "no camera yet", Path: "no node"}}
	nodes, err := v4l2.Find()
	if err != nil {
		return hal.Devices{}, err
	}
	d := hal.Devices{Cameras: []hal.Camera{cam}}
	openGadgets(&d, b, log)
	openWiFi(&d, b.WiFi, "/", log)
	for _, n := range preferred(nodes, v4l2.M2MEncoder, b.Encoders) {
		e, err := v4l2.OpenEncoder(n.Path, log)
		if err != nil {
			log.Warn("encoder left aside", "path", n.Path, "err", err)
			continue
		}
		d.Encoders = append(d.Encoders, e)
	}
	d.Encoders = append(d.Encoders, softwareEncoders(log)...)
	return d, nil
}
