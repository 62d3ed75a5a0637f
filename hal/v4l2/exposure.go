package v4l2

import (
	"errors"
	"fmt"
	"math"
	"sync"
	"unsafe"

	"github.com/ocellus/ocellus/hal"
)

// exposure is what a capture changed of its camera's exposure, and has to give back.
type exposure struct {
	mu      sync.Mutex // guards the rest, held over the requests
	changed bool
	chosen  int32 // by the camera itself before, in units of 100 us
}

// set makes pictures lighter by thousandths of EV: by the bias of the camera's own choice where there is one, else by a
// time of our own in place of the time that it chose.
func (e *exposure) set(d *device, milliEV int) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	err := e.setBias(d, milliEV)
	if errors.Is(err, hal.ErrUnsupported) {
		err = e.setTime(d, milliEV)
	}
	if err == nil {
		e.changed = milliEV != 0
	}
	return err
}

// restore gives the choice back.
func (e *exposure) restore(d *device) {
	e.mu.Lock()
	changed := e.changed
	e.mu.Unlock()
	if changed {
		_ = e.set(d, 0) // the device may have gone
	}
}

// setBias chooses the nearest value of the menu.
func (e *exposure) setBias(d *device, milliEV int) error {
	q, err := d.queryControl(cidExposureBias)
	if err != nil {
		return err
	}
	best, off := q.initial, math.MaxInt
	for i := q.min; i <= q.max; i++ {
		m := queryMenu{id: cidExposureBias, index: uint32(i)}
		if err := d.k.ioctl(vidiocQueryMenu, unsafe.Pointer(&m)); lacks(err) {
			continue // menus have gaps
		} else if err != nil {
			return fault("query menu of", d.path, err)
		}
		bias := int(int64(uint64(m.value[0]) | uint64(m.value[1])<<32))
		if far := max(bias-milliEV, milliEV-bias); far < off {
			best, off = i, far
		}
	}
	return d.setControl(int(best), cidExposureBias)
}

// setTime takes the choice away from the camera, or gives it back. One that has no way to choose by itself is left as
// it is.
func (e *exposure) setTime(d *device, milliEV int) error {
	auto, err := d.queryControl(cidExposureAuto)
	if err != nil {
		return err
	}
	if _, err := d.queryControl(cidExposureTime); err != nil {
		return err
	}
	if auto.initial == exposureManual {
		return fmt.Errorf("%s exposes by hand alone: %w", d.path, hal.ErrUnsupported)
	}
	if milliEV == 0 {
		return d.setControl(int(auto.initial), cidExposureAuto)
	}
	if !e.changed {
		if e.chosen, err = d.getControl(cidExposureTime); err != nil {
			return err
		}
	}
	if err := d.setControl(exposureManual, cidExposureAuto); err != nil {
		return err
	}
	e.changed = true
	return d.setControl(int(math.Round(float64(e.chosen)*math.Exp2(float64(milliEV)/1000))), cidExposureTime)
}
