package hal

import "context"

// Camera is one capture device (a V4L2 node, a simulated sensor).
//
// Law (haltest.Camera):
//   - Modes needs no stream and changes nothing. Ranges that the hardware takes are listed as the usual sizes inside
//     them and the largest one.
//   - Start delivers the nearest mode that the device really chose; Capture.Mode tells it, read back from the driver.
//   - Start while a Capture of the same device is open fails with ErrBusy; after its Close it works again.
type Camera interface {
	Info() DeviceInfo
	Modes(ctx context.Context) ([]Mode, error)
	Start(ctx context.Context, want Mode) (Capture, error)
}

// Capture is a started camera.
//
// Law (haltest.Camera):
//   - Next returns frames in capture order with a PTS that never goes back, and waits no longer than ctx allows. A
//     frame that the driver dropped is told in Frame.Lost, never hidden.
//   - Next after Close, or after the device went away, returns ErrClosed. Close unblocks a pending Next.
//   - An H.264 capture hands out whole access units as the driver delivered them; it may begin in the middle of a GOP
//     and may hold garbage: the caller parses.
//   - Control returns ErrUnsupported for what the device lacks.
type Capture interface {
	Mode() Mode
	Next(ctx context.Context) (Frame, error)
	Control(c Control, value int) error
	Close() error
}

// DeviceInfo says what a person wants to know about a device: for logs and for agent probe.
type DeviceInfo struct {
	Name   string // the card's name as its driver tells it
	Driver string // the driver's name
	Path   string // /dev/video0; "sim" where there is no node
	Bus    string // platform:fe980000.csi, usb-0000:01:00.0-1.2; may be empty
}

// Control is a knob of a camera, of an encoder, or of both where a camera has one built in.
type Control int

// The knobs. Values are ints as V4L2 has them.
const (
	Bitrate  Control = iota + 1 // bits per second (V4L2_CID_MPEG_VIDEO_BITRATE)
	GOP                         // pictures from one IDR to the next (V4L2_CID_MPEG_VIDEO_GOP_SIZE)
	ForceIDR                    // the next picture becomes an IDR; the value is ignored (V4L2_CID_MPEG_VIDEO_FORCE_KEY_FRAME)
	// Exposure is how much lighter than by the camera's own choice pictures are, in thousandths of EV: -2000 takes a quarter
	// of the light. 0 gives the choice back, and so does Close. A camera alone has it (V4L2_CID_AUTO_EXPOSURE_BIAS, or
	// V4L2_CID_EXPOSURE_ABSOLUTE beside V4L2_CID_EXPOSURE_AUTO).
	Exposure
)

func (c Control) String() string {
	switch c {
	case Bitrate:
		return "bitrate"
	case GOP:
		return "gop"
	case ForceIDR:
		return "force_idr"
	case Exposure:
		return "exposure"
	}
	return "unknown"
}
