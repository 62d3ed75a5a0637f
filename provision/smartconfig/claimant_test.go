package smartconfig

import (
	"strings"
	"testing"

	"github.com/ocellus/ocellus/internal/secret"
)

func TestClaimant(t *testing.T) {
	t.Parallel()
	var c Claimant
	for i := range c.Token {
		c.Token[i] = 0xa0 + byte(i)
	}
	for i := range c.Owner {
		c.Owner[i] = byte(i)
	}
	const golden = "06GA38N3MJJTD9X8N6NAQB5DNTQG00820C20A1G7104GM2RC1M70Y40H289G"
	if got := c.Text().Reveal(); got != golden || len(got) > MaxReserved {
		t.Errorf("got %s, want %s", got, golden)
	}
	if got, ok := ParseClaimant(golden); !ok || got != c {
		t.Errorf("got %v, %v", got, ok)
	}
	for name, text := range map[string]string{
		"empty": "", "short": golden[:59], "long": golden + "0", "another version": "08" + golden[2:],
		"small letters": strings.ToLower(golden), "no base 32": "U" + golden[1:], "somebody's": "US000000000101",
		"line ends": golden[:58] + "\n\n",
	} {
		if _, ok := ParseClaimant(secret.Secret(text)); ok {
			t.Errorf("%s: taken", name)
		}
	}
}

func FuzzParseClaimant(f *testing.F) {
	f.Add(Claimant{Token: [16]byte{1}, Owner: [20]byte{2}}.Text().Reveal())
	f.Add("US000000000101")
	f.Fuzz(func(t *testing.T, text string) {
		if c, ok := ParseClaimant(secret.Secret(text)); ok && c.Text().Reveal() != text {
			t.Fatalf("%q is read and written as %q", text, c.Text().Reveal())
		}
	})
}
