package access

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/ocellus/ocellus/codec/label"
)

// The factory's part of the gate: a camera gives its label's text away until somebody says that it is printed, and
// never again, whoever asks. Between the two it may be read more than once, since a line may break off or a printer
// jam, and a label that nobody has makes the camera scrap.

// ErrDone: the factory is through with this camera.
var ErrDone = errors.New("the factory is through with this camera")

// FactoryLabel is what has to be printed on the camera: ErrDone once that was done, or once the camera had an owner.
func (o *Ownership) FactoryLabel() (label.Label, error) {
	last, _, err := o.persist.Load()
	switch {
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return label.Label{}, fmt.Errorf("label: %w", err)
	case last.Labelled || !o.FactoryFresh():
		return label.Label{}, fmt.Errorf("label: %w", ErrDone)
	}
	return o.hardware.Label(), nil
}

// LeaveFactory notes that the label is on the camera: ErrDone if that was noted before.
func (o *Ownership) LeaveFactory() error {
	if !o.FactoryFresh() {
		return fmt.Errorf("leave factory: %w", ErrDone)
	}
	return o.persist.Update(func(v *lasting) error {
		if v.Labelled {
			return fmt.Errorf("leave factory: %w", ErrDone)
		}
		v.Labelled = true
		return nil
	})
}
