package v4l2

import (
	"errors"
	"slices"
	"testing"

	"github.com/ocellus/ocellus/hal"
	"golang.org/x/sys/unix"
)

// Automatic exposure in the way of most USB cameras: by aperture.
const exposureByAperture = 3 // V4L2_EXPOSURE_APERTURE_PRIORITY

// exposing is a camera with a control of each kind.
func exposing(times bool, biases []int64) *fakeKernel {
	k := fakeCamera(typeCapture, uint32(hal.YUYV))
	if times {
		k.controls[cidExposureAuto] = queryCtrl{id: cidExposureAuto, max: 3, initial: exposureByAperture}
		k.controls[cidExposureTime] = queryCtrl{id: cidExposureTime, min: 3, max: 2047, step: 1, initial: 200}
	}
	if biases != nil {
		k.controls[cidExposureBias] = queryCtrl{id: cidExposureBias, max: int32(len(biases) - 1), initial: 2}
		k.menus = map[uint32][]int64{cidExposureBias: biases}
	}
	return k
}

// TestExposure: a bias before a time, and what was changed is given back, by 0 and by Close.
func TestExposure(t *testing.T) {
	t.Parallel()
	biases := []int64{-3000, -1500, 0, noItem, 3000}
	for name, c := range map[string]struct {
		kernel *fakeKernel
		asked  []int
		want   map[uint32][]int32
	}{
		"bias":           {exposing(true, biases), []int{-2000, -9000, 0}, map[uint32][]int32{cidExposureBias: {1, 0, 2}}},
		"bias and close": {exposing(false, biases), []int{2000}, map[uint32][]int32{cidExposureBias: {4, 2}}},
		"time": {exposing(true, nil), []int{-2000, -3000, 9000, 0}, map[uint32][]int32{
			cidExposureAuto: {exposureManual, exposureManual, exposureManual, exposureByAperture},
			cidExposureTime: {50, 25, 2047}}},
		"time and close": {exposing(true, nil), []int{-9000}, map[uint32][]int32{
			cidExposureAuto: {exposureManual, exposureByAperture}, cidExposureTime: {3}}},
		"nothing": {exposing(true, nil), nil, map[uint32][]int32{}},
	} {
		s := start(t, c.kernel.camera(t), vga(hal.YUYV))
		for _, ev := range c.asked {
			if err := s.Control(hal.Exposure, ev); err != nil {
				t.Errorf("%s: %d: %v", name, ev, err)
			}
		}
		if err := s.Close(); err != nil {
			t.Errorf("%s: close: %v", name, err)
		}
		for _, id := range []uint32{cidExposureAuto, cidExposureTime, cidExposureBias} {
			if got := c.kernel.values[id]; !slices.Equal(got, c.want[id]) {
				t.Errorf("%s: control %#x was set to %v, want %v", name, id, got, c.want[id])
			}
		}
	}
}

func TestNoExposure(t *testing.T) {
	t.Parallel()
	byHand := exposing(true, nil)
	byHand.controls[cidExposureAuto] = queryCtrl{id: cidExposureAuto, max: 1, initial: exposureManual}
	noTime := exposing(true, nil)
	delete(noTime.controls, cidExposureTime)
	for name, k := range map[string]*fakeKernel{"none": exposing(false, nil), "by hand": byHand, "no time": noTime} {
		s := start(t, k.camera(t), vga(hal.YUYV))
		for _, ev := range []int{-2000, 0} {
			if err := s.Control(hal.Exposure, ev); !errors.Is(err, hal.ErrUnsupported) {
				t.Errorf("%s: %d: got %v", name, ev, err)
			}
		}
		if err := s.Close(); err != nil || len(k.values) > 0 {
			t.Errorf("%s: %v, set %v", name, err, k.values)
		}
	}
	k := exposing(true, nil)
	s := start(t, k.camera(t), vga(hal.YUYV))
	k.fail[vidiocGCtrl] = []error{unix.EIO}
	if err := s.Control(hal.Exposure, -1000); err == nil || len(k.values) > 0 {
		t.Errorf("a time that can't be read: %v, set %v", err, k.values)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}
