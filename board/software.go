package board

import (
	"errors"
	"fmt"
	"log/slog"

	"github.com/ocellus/ocellus/hal"
	"github.com/ocellus/ocellus/hal/openh264"
	"github.com/ocellus/ocellus/hal/sim"
)

var (
	errFileNeedsSim = errors.New("a file plays on the simulated board alone: --board sim --file CLIP")
	errAirNeedsSim  = errors.New("a capture is heard by the simulated radio alone: --board sim --air CAPTURE")
	errHoldNeedsSim = errors.New("an image is held before the simulated lens alone: --board sim --hold IMAGE")
)

// openSim makes the simulated camera: a test card, or a clip in its place. One network is on the air around it.
func openSim(o Options, log *slog.Logger) (hal.Devices, error) {
	cam, err := sim.NewCamera(sim.Options{Clip: o.File, Hold: o.Hold})
	if err != nil {
		return hal.Devices{}, fmt.Errorf("simulated camera: %w", err)
	}
	radio := sim.NewRadio()
	radio.Raise(sim.AccessPoint{Network: hal.Network{SSID: "HomeNet"}, Passphrase: "p@ssw0rd!"})
	if o.Air != "" {
		if err := radio.Monitor().Replay(o.Air); err != nil {
			return hal.Devices{}, fmt.Errorf("simulated radio: %w", err)
		}
	}
	return hal.Devices{Cameras: []hal.Camera{cam}, Encoders: softwareEncoders(log), Radio: radio, Monitor: radio.Monitor(),
			EasyConnect: radio},
		nil
}

// softwareEncoders returns what this build encodes with where no hardware does.
func softwareEncoders(log *slog.Logger) []hal.Encoder {
	e, err := openh264.New()
	if err != nil {
		log.Warn("no software encoder", "err", err)
		return nil
	}
	return []hal.Encoder{e}
}

// Lacks says what this build has not, and why.
func Lacks() []string {
	if _, err := openh264.New(); err != nil {
		return []string{fmt.Sprintf("a software encoder: %v (what gives H.264 by itself still works, and --file)", err)}
	}
	return nil
}
