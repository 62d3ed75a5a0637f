package qrtext

import (
	"errors"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/ocellus/ocellus/codec/qrcode"
)

func TestPartsGolden(t *testing.T) {
	t.Parallel()
	got, err := Split("OC1:THE QUICK BROWN FOX JUMPS OVER THE LAZY DOG", 40)
	want := []string{"OCP1:TBEX7R:1:2:OC1:THE QUICK BROWN FOX", "OCP1:TBEX7R:2:2: JUMPS OVER THE LAZY DOG"}
	if err != nil || strings.Join(got, "|") != strings.Join(want, "|") {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestPartsAnyOrder(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(4, 4))
	for size := 60; size <= MaxPart; size += 15 {
		text := strings.Repeat("OC1:0123456789 ABCDEFGHIJKLMNOPQRSTUVWXYZ", 8)
		parts, err := Split(text, size)
		if err != nil {
			t.Fatal(err)
		}
		var p Parts
		complete := false
		for seen := map[int]bool{}; !complete; {
			i := rng.IntN(len(parts))
			if len(parts[i]) > size || !qrcode.Alphanumeric(parts[i]) {
				t.Fatalf("part %q", parts[i])
			}
			seen[i] = true
			var whole string
			whole, complete, err = p.Add(parts[i])
			if err != nil || complete != (len(seen) == len(parts)) || complete && whole != text {
				t.Fatalf("size %d, part %d of %d: %v, %v", size, i+1, len(parts), complete, err)
			}
			if missing, all := p.Missing(); !complete && (missing != len(parts)-len(seen) || all != len(parts)) {
				t.Fatalf("missing %d of %d", missing, all)
			}
		}
	}
}

func TestSplitRefuses(t *testing.T) {
	t.Parallel()
	if got, err := Split("SHORT", 40); err != nil || len(got) != 1 || got[0] != "SHORT" {
		t.Errorf("got %q, %v", got, err)
	}
	for _, c := range []struct{ n, size int }{{200, 30}, {200, 10}, {MaxText + 1, 200}} {
		if _, err := Split(strings.Repeat("A", c.n), c.size); err == nil {
			t.Errorf("%d in %d: split", c.n, c.size)
		}
	}
}

func TestPartsRefuse(t *testing.T) {
	t.Parallel()
	parts, err := Split(strings.Repeat("A", 100), 80)
	if err != nil || len(parts) != 2 {
		t.Fatal(parts, err)
	}
	bad := strings.Replace(parts[1], ":AAA", ":AAB", 1)
	for name, c := range map[string]struct {
		add  []string
		want error
	}{
		"changed":    {[]string{parts[0], bad}, ErrDamaged},
		"no part":    {[]string{"OC1:ABC"}, ErrUnknown},
		"a network":  {[]string{"WIFI:S:x;;"}, ErrUnknown},
		"newer":      {[]string{"OCP2:ABCDEF:1:2:A"}, ErrVersion},
		"one of one": {[]string{"OCP1:ABCDEF:1:1:A"}, ErrDamaged},
		"of nine":    {[]string{"OCP1:ABCDEF:1:9:A"}, ErrDamaged},
		"none":       {[]string{"OCP1:ABCDEF:0:2:A"}, ErrDamaged},
		"three of 2": {[]string{"OCP1:ABCDEF:3:2:A"}, ErrDamaged},
		"empty":      {[]string{"OCP1:ABCDEF:1:2:"}, ErrDamaged},
		"long":       {[]string{"OCP1:ABCDEF:1:2:" + strings.Repeat("A", MaxPart)}, ErrDamaged},
	} {
		var p Parts
		var err error
		for _, text := range c.add {
			_, _, err = p.Add(text)
		}
		if !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
	}
	// Parts of two texts never mix.
	other, err := Split(strings.Repeat("B", 100), 80)
	if err != nil {
		t.Fatal(err)
	}
	var p Parts
	for _, text := range []string{parts[0], other[1], parts[1], other[0]} {
		if _, complete, err := p.Add(text); complete || err != nil {
			t.Errorf("complete %v, %v", complete, err)
		}
	}
}

func FuzzParts(f *testing.F) {
	f.Add("OCP1:ABCDEF:1:2:A", "OCP1:ABCDEF:2:2:B", "OCP1:ABCDEF:1:2:A")
	f.Fuzz(func(t *testing.T, a, b, c string) {
		var p Parts
		for _, text := range []string{a, b, c} {
			whole, complete, err := p.Add(text)
			if complete != (whole != "") || err != nil && complete {
				t.Fatal("complete without a text")
			}
			if _, all := p.Missing(); all > MaxParts {
				t.Fatalf("%d parts", all)
			}
		}
	})
}
