package label

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/ocellus/ocellus/codec/qrcode"
)

// golden is the label of a hardware key whose seed is 32 bytes of 7, with the setup secret 00 01 ... 09.
const golden = "OCELLUS:L1:VIRT-ARM64:ZT0JR4QKND6EDB2XPTDC6MQS0V5HP4FF:000G40R40M30E209:68CK"

func testLabel(t *testing.T) Label {
	t.Helper()
	s, err := NewSecret(bytes.NewReader([]byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}))
	if err != nil {
		t.Fatal(err)
	}
	key := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, ed25519.SeedSize)).Public().(ed25519.PublicKey)
	return Label{Model: "VIRT-ARM64", Fingerprint: FingerprintOf(key), Secret: s}
}

// TestGolden pins the text and every derived key: labels are printed once and last as long as the camera.
func TestGolden(t *testing.T) {
	t.Parallel()
	l := testLabel(t)
	text, err := l.Text()
	if err != nil || text.Reveal() != golden {
		t.Errorf("got %s, %v, want %s", text.Reveal(), err, golden)
	}
	got, err := Parse(golden)
	if err != nil || got != l {
		t.Errorf("got %v, %v", got, err)
	}
	if p := l.Secret.Printed().Reveal(); p != "000G40R40M30E209" || len(p) != SecretChars {
		t.Errorf("printed %s", p)
	}
	for _, c := range []struct {
		name, want string
		key        func() ([KeySize]byte, error)
	}{
		{"seal", "6d9b01aaff4962b2814fd802b977d60b583f0a9251984118a5d27131cca86e62", l.SealKey},
		{"claim", "7a8b08a39bce66a48fe18278ffc2bf4f22d93e1f44ae7832dca3c3d9321a6814", l.ClaimKey},
	} {
		k, err := c.key()
		if got := hex.EncodeToString(k[:]); err != nil || got != c.want {
			t.Errorf("%s key: got %s, %v, want %s", c.name, got, err, c.want)
		}
	}
}

// TestFitsAlphanumeric: a printer of small labels needs no more than version 4.
func TestFitsAlphanumeric(t *testing.T) {
	t.Parallel()
	l := testLabel(t)
	l.Model = strings.Repeat("M", MaxModel)
	text, err := l.Text()
	if err != nil {
		t.Fatal(err)
	}
	c, err := qrcode.Encode(text.Reveal(), qrcode.M, 0)
	if err != nil || !qrcode.Alphanumeric(text.Reveal()) || c.Version > 4 {
		t.Errorf("version %d, %v", c.Version, err)
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	other := "1" + golden[len("OCELLUS:L1:VIRT-ARM64:")+1:]
	for _, c := range []struct {
		name, text string
		want       error
	}{
		{"empty", "", ErrNotLabel},
		{"a network", "WIFI:S:x;;", ErrNotLabel},
		{"Wi-Fi Easy Connect", "DPP:C:81/6;M:020000000200;V:2;K:MDkwEwYHKoZIzj0CAQ==;;", ErrDPP},
		{"newer", strings.Replace(golden, ":L1:", ":L2:", 1), ErrVersion},
		{"newer, more fields", "OCELLUS:L10:A:B:C:D:E:F", ErrVersion},
		{"short", golden[:len(golden)-1], ErrDamaged},
		{"cut in the middle", golden[:30], ErrDamaged},
		{"another key", golden[:len("OCELLUS:L1:VIRT-ARM64:")] + other, ErrDamaged},
		{"small letters", strings.ToLower(golden), ErrNotLabel},
		{"one field more", golden + ":X", ErrDamaged},
		{"long", golden + strings.Repeat("X", MaxText), ErrNotLabel},
	} {
		if _, err := Parse(c.text); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", c.name, err, c.want)
		}
	}
}

func TestParseSecret(t *testing.T) {
	t.Parallel()
	want := testLabel(t).Secret
	for _, typed := range []string{"000G40R40M30E209", "000g-40r4-0m30-e209", "OOOG 4OR4 0M3O E2O9"} {
		if got, err := ParseSecret(typed); err != nil || got != want {
			t.Errorf("%s: %v", typed, err)
		}
	}
	for _, typed := range []string{"", "000G40R40M30E20", "000G40R40M30E2099", "000G40R40M30E20U", "000G40R40M30E20é",
		strings.Repeat("-", 100)} {
		if _, err := ParseSecret(typed); !errors.Is(err, ErrDamaged) {
			t.Errorf("%q: got %v", typed, err)
		}
	}
}

func TestSecretDoesNotPrint(t *testing.T) {
	t.Parallel()
	l := testLabel(t)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x"} {
		if s := fmt.Sprintf(verb, l) + fmt.Sprintf(verb, l.Secret) + fmt.Sprintf(verb, &l); strings.Contains(s, "000G40R4") {
			t.Errorf("%s shows the secret: %s", verb, s)
		}
	}
}

func TestKeysDiffer(t *testing.T) {
	t.Parallel()
	l := testLabel(t)
	other := l
	other.Fingerprint[0] ^= 1
	seen := map[[KeySize]byte]bool{}
	for _, k := range []func() ([KeySize]byte, error){l.SealKey, l.ClaimKey, other.SealKey, other.ClaimKey} {
		key, err := k()
		if err != nil || seen[key] {
			t.Errorf("two keys are one, or %v", err)
		}
		seen[key] = true
	}
	if _, err := (Label{}).SealKey(); err == nil {
		t.Error("a key from no secret")
	}
}

func FuzzParse(f *testing.F) {
	f.Add(golden)
	f.Add("DPP:V:2;;")
	f.Fuzz(func(t *testing.T, text string) {
		l, err := Parse(text)
		if err != nil {
			return
		}
		if back, err := l.Text(); err != nil || back.Reveal() != text {
			t.Fatalf("read %q, wrote %q, %v", text, back.Reveal(), err)
		}
	})
}
