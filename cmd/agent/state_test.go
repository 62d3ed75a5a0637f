package main

import (
	"testing"

	"github.com/ocellus/ocellus/codec/label"
)

// TestOneIdentity: whoever looks at a camera that was never started, all at the same moment, sees the same label.
func TestOneIdentity(t *testing.T) {
	t.Parallel()
	const crowd = 8
	state, made := t.TempDir(), make(chan label.Label, crowd)
	for range crowd {
		go func() {
			_, o, _, err := recognize(simBoard(t), state, silent())
			if err != nil {
				t.Error(err)
				made <- label.Label{}
				return
			}
			made <- o.Hardware().Label()
		}()
	}
	first := <-made
	for range crowd - 1 {
		if next := <-made; next.Fingerprint != first.Fingerprint {
			t.Errorf("two labels: %v, %v", next.Fingerprint, first.Fingerprint)
		}
	}
}
