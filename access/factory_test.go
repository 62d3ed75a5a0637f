package access

import (
	"errors"
	"testing"
)

// TestFactoryLabel: the label's text is there until it is printed, and then for nobody, through power cuts and a reset.
func TestFactoryLabel(t *testing.T) {
	t.Parallel()
	var c camera
	o := c.start(t)
	for range 2 { // the line may have broken off
		if l, err := o.FactoryLabel(); err != nil || l != o.Hardware().Label() {
			t.Fatalf("new camera: got %v, %v", l, err)
		}
		o = c.start(t)
	}
	if err := o.LeaveFactory(); err != nil {
		t.Fatal(err)
	}
	for name, o := range map[string]*Ownership{"done": o, "done, after a power cut": c.start(t)} {
		if _, err := o.FactoryLabel(); !errors.Is(err, ErrDone) {
			t.Errorf("%s: the label is told, %v", name, err)
		}
		if err := o.LeaveFactory(); !errors.Is(err, ErrDone) {
			t.Errorf("%s: done once more, %v", name, err)
		}
	}
	var sold camera
	o, _ = claimed(t, &sold)
	if _, err := o.FactoryLabel(); !errors.Is(err, ErrDone) {
		t.Errorf("a camera that somebody owns: got %v", err)
	}
	if _, err := o.Disown(func() error { return nil }); err != nil {
		t.Fatal(err)
	}
	sold.owner.content = nil
	o = sold.start(t)
	if _, err := o.FactoryLabel(); !errors.Is(err, ErrDone) {
		t.Errorf("after a reset: got %v", err)
	}
	if err := o.LeaveFactory(); !errors.Is(err, ErrDone) {
		t.Errorf("after a reset: got %v", err)
	}
}
