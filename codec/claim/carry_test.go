package claim

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/ocellus/ocellus/codec/pack"
)

func anInvitation() Invitation {
	return Invitation{Address: "192.0.2.7:8443", Model: "SIM", Operational: public(key("operational")),
		Grant: aGrant().Sign(key("owner"))}
}

func anOffer() Offer { return Offer{Address: "192.0.2.7:8443", Model: "SIM", Challenge: challenge()} }

// TestGoldenTexts pins what people send to one another.
func TestGoldenTexts(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"invitation": anInvitation().Text(), "offer": anOffer().Text(), "answer": AnswerText(signedClaim()),
	} {
		want, err := os.ReadFile(filepath.Join("testdata", name+".txt"))
		if err != nil {
			t.Fatal(err)
		}
		if text != strings.TrimSpace(string(want)) {
			t.Errorf("%s is written as\n%s", name, text)
		}
	}
}

func TestTexts(t *testing.T) {
	t.Parallel()
	i, err := ParseInvitation(" " + anInvitation().Text() + "\n")
	if err != nil || !reflect.DeepEqual(i, anInvitation()) {
		t.Errorf("got %+v, %v", i, err)
	}
	o, err := ParseOffer(anOffer().Text())
	if err != nil || !reflect.DeepEqual(o, anOffer()) {
		t.Errorf("got %+v, %v", o, err)
	}
	a, err := ParseAnswer(AnswerText(signedClaim()))
	if err != nil || string(a) != string(signedClaim()) {
		t.Errorf("got %x, %v", a, err)
	}
	parse := func(s string) []error {
		_, err1 := ParseInvitation(s)
		_, err2 := ParseOffer(s)
		_, err3 := ParseAnswer(s)
		return []error{err1, err2, err3}
	}
	for name, bad := range map[string]struct {
		text string
		want [3]error
	}{
		"nothing":   {"", [3]error{ErrNotText, ErrNotText, ErrNotText}},
		"an offer":  {anOffer().Text(), [3]error{ErrNotText, nil, ErrNotText}},
		"half":      {wordOffer + "A", [3]error{ErrNotText, ErrNotText, ErrNotText}},
		"junk":      {wordOffer + "AAAA", [3]error{ErrNotText, pack.ErrMalformed, ErrNotText}},
		"too large": {wordOffer + strings.Repeat("A", MaxText), [3]error{ErrNotText, ErrNotText, ErrNotText}},
		"cut":       {anOffer().Text()[:80], [3]error{ErrNotText, pack.ErrMalformed, ErrNotText}},
	} {
		for i, err := range parse(bad.text) {
			if !errors.Is(err, bad.want[i]) {
				t.Errorf("%s, parser %d: got %v, want %v", name, i, err, bad.want[i])
			}
		}
	}
}

func FuzzTexts(f *testing.F) {
	f.Add(anInvitation().Text())
	f.Add(anOffer().Text())
	f.Add(AnswerText(signedClaim()))
	f.Fuzz(func(t *testing.T, s string) {
		if i, err := ParseInvitation(s); err == nil && i.Text() != strings.TrimSpace(s) {
			t.Errorf("%q is written as %q", s, i.Text())
		}
		if o, err := ParseOffer(s); err == nil && o.Text() != strings.TrimSpace(s) {
			t.Errorf("%q is written as %q", s, o.Text())
		}
		_, _ = ParseAnswer(s)
	})
}
