package hal

import "context"

// Encoder is something that turns raw pictures into H.264: a V4L2 M2M device, OpenH264.
//
// Law (haltest.Encoder): Open fails with ErrUnsupported for a format, size or rate that the device can't take. Several
// encodings may be open at once where the device allows it, else Open fails with ErrBusy.
type Encoder interface {
	Info() DeviceInfo
	// Inputs lists the raw formats that Open takes, the cheapest for the device first.
	Inputs() []PixelFormat
	Open(ctx context.Context, c EncoderConfig) (Encoding, error)
}

// EncoderConfig says what goes in and what should come out.
type EncoderConfig struct {
	Input         PixelFormat // one of Encoder.Inputs
	Width, Height int         // in pixels, both even
	Rate          Rate        // nominal; the real timing is each frame's PTS
	BitrateBPS    int
	GOP           int // pictures from one IDR to the next; 0 leaves it to the device
}

// Encoding is an opened encoder.
//
// Law (haltest.Encoder):
//   - Encode takes one raw frame, whose Data it does not keep after it returns, and returns at most one access unit
//     (Format H264, Annex B, Data nil while the pipeline fills). PTS, Seq and Lost of the result are those of the
//     picture it codes. No B-frames: access units come out in the order in which pictures went in.
//   - The first access unit is an IDR with SPS and PPS in front; so is the first that is encoded after ForceIDR.
//   - Drain returns what is still inside, one access unit a call, then io.EOF. Nothing is lost: as many access units
//     come out as pictures went in, unless the encoder's rate control may skip, which Lost of the next one tells.
//   - Bitrate takes effect without an interruption. Close unblocks a pending Encode.
type Encoding interface {
	Encode(ctx context.Context, raw Frame) (Frame, error)
	Drain(ctx context.Context) (Frame, error)
	Control(c Control, value int) error
	Close() error
}
