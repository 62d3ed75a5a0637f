package claim

import (
	"errors"
	"reflect"
	"testing"

	"github.com/ocellus/ocellus/codec/label"
	"github.com/ocellus/ocellus/codec/pack"
)

func TestUnlock(t *testing.T) {
	t.Parallel()
	raw := anUnlock().Sign(key("owner"))
	got, err := ParseUnlock(raw)
	if err != nil || !reflect.DeepEqual(got, anUnlock()) {
		t.Fatalf("got %+v, %v", got, err)
	}
	if len(raw) > 256 {
		t.Errorf("%d bytes: too many for a line that a person pastes", len(raw))
	}
	// Signed by another key than it names, and an order is no unlock.
	forged, m, err := pack.ParseSigned(raw, MaxSize, 1)
	if err != nil {
		t.Fatal(err)
	}
	other := pack.Sign(kindUnlock, m, key("thief"))
	forged.Signatures = other.Signatures
	for name, raw := range map[string][]byte{
		"forged": forged.Marshal(), "another kind": pack.Sign(kindOrder, m, key("owner")).Marshal(),
	} {
		if _, err := ParseUnlock(raw); !errors.Is(err, ErrSignature) {
			t.Errorf("%s: got %v, want %v", name, err, ErrSignature)
		}
	}
	if _, err := ParseUnlock(anOrder().Sign(key("owner"))); !errors.Is(err, pack.ErrMalformed) {
		t.Errorf("an order: got %v", err)
	}
}

func TestRiddle(t *testing.T) {
	t.Parallel()
	print := label.FingerprintOf(public(key("hardware")))
	for _, want := range []Riddle{aRiddle(), {Nonce: nonce(8), Hardware: &print}} {
		if got, err := ParseRiddle(want.Marshal()); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v, %v, want %+v", got, err, want)
		}
	}
	// Which camera it is, is said in one way.
	for _, bad := range []Riddle{{Nonce: nonce(8)}, {Nonce: nonce(8), Hardware: &print, ID: &[IDSize]byte{1}}} {
		if got, err := ParseRiddle(bad.Marshal()); !errors.Is(err, pack.ErrMalformed) {
			t.Errorf("got %+v, %v", got, err)
		}
	}
}
