package v4l2

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/ocellus/ocellus/codec/h264"
	"github.com/ocellus/ocellus/hal"
	"github.com/ocellus/ocellus/hal/haltest"
	"github.com/ocellus/ocellus/internal/monotime"
	"golang.org/x/sys/unix"
)

// The law of hal, on the fake kernel at every run and on real nodes where there are some. These tests count the
// goroutines and descriptors of the process, so they are not parallel.

func TestLawOfCamera(t *testing.T) {
	for name, typ := range map[string]uint32{"single-planar": typeCapture, "multi-planar": typeCaptureMP} {
		t.Run(name, func(t *testing.T) {
			k := fakeCamera(typ, uint32(hal.H264), uint32(hal.MJPEG))
			k.controls[cidBitrate] = queryCtrl{min: 1000, max: 10_000_000, step: 1}
			k.controls[cidForceKey] = queryCtrl{}
			ctx, cancel := context.WithCancel(t.Context())
			var fed sync.WaitGroup
			fed.Go(func() { play(ctx, k) })
			defer fed.Wait()
			defer cancel()
			haltest.Camera(t, func(t *testing.T) hal.Camera {
				c, err := openCamera(k.opener, "/dev/video0", testLog(t))
				if err != nil {
					t.Fatal(err)
				}
				return c
			}, haltest.CameraOptions{
				Unplug: func() error {
					k.set(func() {
						k.hangUp = unix.POLLHUP | unix.POLLERR
						k.fail[0] = []error{unix.ENODEV}
						k.fail[vidiocQBuf] = []error{unix.ENODEV}
						k.fail[vidiocDQBuf] = []error{unix.ENODEV}
					})
					return nil
				},
				Replug: func() error {
					k.set(func() { k.hangUp = 0; clear(k.fail) })
					return nil
				},
			})
		})
	}
}

// play delivers a picture every 5 ms while the fake streams.
func play(ctx context.Context, k *fakeKernel) {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for n := uint32(0); ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			k.deliver(filledBuffer{sequence: n, flags: bufTimeMono, at: monotime.Now()}, []byte{0, 0, 0, 1, 0x65, byte(n)})
		}
	}
}

func TestLawOfEncoder(t *testing.T) {
	haltest.Encoder(t, func(t *testing.T) hal.Encoder {
		k := fakeM2M(typeCaptureMP, &fakeEncoder{}, uint32(hal.NV12), fourCCYM12)
		e, err := openEncoder(k.opener, "/dev/video0", hal.H264, testLog(t))
		if err != nil {
			t.Fatal(err)
		}
		return e
	}, haltest.EncoderOptions{Skips: map[string]string{
		"the bitrate changes": "the fake's access units have no size to speak of",
	}})
}

func TestHardwareLawOfCamera(t *testing.T) {
	for _, n := range cameras(t) {
		t.Run(n.Path, func(t *testing.T) {
			o := haltest.CameraOptions{}
			if n.Info.Driver == "vivid" && virtualBoard() {
				o.Unplug, o.Replug = unplugVivid(t, n.Path)
			}
			haltest.Camera(t, func(t *testing.T) hal.Camera {
				c, err := OpenCamera(n.Path, testLog(t))
				if err != nil {
					t.Fatal(err)
				}
				return c
			}, o)
		})
	}
}

// unplugVivid takes vivid away by its own control. It comes back when its last user has closed it, hence a second one.
func unplugVivid(t *testing.T, path string) (unplug, replug func() error) {
	var user *device
	unplug = func() error {
		d, err := openDevice(openNode, path)
		if err != nil {
			return err
		}
		user = d
		_ = d.setControl(0, vividDisconnect) // the device is gone before it answers
		return nil
	}
	replug = func() error {
		if user == nil {
			return errors.New("it was not unplugged")
		}
		return user.close()
	}
	return unplug, replug
}

func TestHardwareLawOfEncoder(t *testing.T) {
	for _, n := range encoders(t) {
		t.Run(n.Path, func(t *testing.T) {
			o := haltest.EncoderOptions{Pictures: 8}
			if codedBy(n) != hal.H264 {
				const why = "FWHT has no NAL units"
				o.Skips = map[string]string{"the first access unit is an IDR": why, "the GOP is kept": why, "the GOP changes": why}
			}
			haltest.Encoder(t, func(t *testing.T) hal.Encoder {
				e, err := OpenEncoderFor(n.Path, codedBy(n), testLog(t))
				if err != nil {
					t.Fatal(err)
				}
				if codedBy(n) != hal.H264 {
					return disguised{e}
				}
				return e
			}, o)
		})
	}
}

// disguised makes FWHT look like H.264, for the laws that don't look inside.
type disguised struct{ hal.Encoder }

func (d disguised) Open(ctx context.Context, c hal.EncoderConfig) (hal.Encoding, error) {
	e, err := d.Encoder.Open(ctx, c)
	if err != nil {
		return nil, err
	}
	return disguisedEncoding{e}, nil
}

type disguisedEncoding struct{ hal.Encoding }

func (d disguisedEncoding) Encode(ctx context.Context, raw hal.Frame) (hal.Frame, error) {
	f, err := d.Encoding.Encode(ctx, raw)
	return disguise(f), err
}

func (d disguisedEncoding) Drain(ctx context.Context) (hal.Frame, error) {
	f, err := d.Encoding.Drain(ctx)
	return disguise(f), err
}

func disguise(f hal.Frame) hal.Frame {
	if f.Data == nil {
		return f
	}
	f.Format = hal.H264
	f.Data = h264.AppendAnnexB(nil, h264.Escape([]byte{0x65}, f.Data))
	return f
}
