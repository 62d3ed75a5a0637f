package enumerated_test

import (
	"bytes"
	"slices"
	"testing"

	"github.com/ocellus/ocellus/codec/bootstate/enumerated"
)

// TestFile: what is written is what is read, and a file that ends in its middle or has other letters is none.
func TestFile(t *testing.T) {
	t.Parallel()
	all := []enumerated.State{
		{Slots: [2]string{enumerated.Good, enumerated.Empty}, Copies: [2][]byte{[]byte("one"), []byte("two")}},
		{Slots: [2]string{enumerated.Flipped, enumerated.Good}, Copies: [2][]byte{make([]byte, 3), []byte("six")}},
	}
	var file bytes.Buffer
	if err := enumerated.Write(&file, all); err != nil {
		t.Fatal(err)
	}
	got, err := enumerated.Read(bytes.NewReader(file.Bytes()), 3)
	same := func(a, b enumerated.State) bool { return bytes.Equal(a.Bytes(), b.Bytes()) && a.Slots == b.Slots }
	if err != nil || !slices.EqualFunc(got, all, same) {
		t.Errorf("got %v, %v", got, err)
	}
	for _, size := range []int{4, 2} { // it ends in its middle; the second state begins elsewhere
		if got, err := enumerated.Read(bytes.NewReader(file.Bytes()), size); err == nil {
			t.Errorf("copies of %d bytes: got %v", size, got)
		}
	}
	if _, err := enumerated.Read(bytes.NewReader(file.Bytes()[:5]), 3); err == nil {
		t.Error("half a file is one")
	}
}
