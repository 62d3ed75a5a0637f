package qrtext

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/ocellus/ocellus/codec/label"
	"github.com/ocellus/ocellus/codec/qrcode"
	"github.com/ocellus/ocellus/internal/secret"
)

// goldenSealed is testSetup, sealed to testLabel with the nonce 00 01 ... 0b.
const goldenSealed = "OC1:100KB0*M0DY0W016C1X$N0J6/WR1NE1AF16N.LQ4DECI9SFG VTOUBJKA JN.:6547$QS2DFQC914W4MI6." +
	"LBJ4VDTUU5TDQ.MB:O4FY0%DE0KLQ26ASKEIK.U7BDAIGF.C5PMBQ0VBH1M4VZ$0 8A"

// seededKey makes a key pair of a seed of one repeated byte.
func seededKey(b byte) ed25519.PublicKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{b}, ed25519.SeedSize)).Public().(ed25519.PublicKey)
}

// testLabel is the golden label of codec/label.
func testLabel(t testing.TB) label.Label {
	t.Helper()
	s, err := label.ParseSecret("000G40R40M30E209")
	if err != nil {
		t.Fatal(err)
	}
	return label.Label{Model: "VIRT-ARM64", Fingerprint: label.FingerprintOf(seededKey(7)), Secret: s}
}

func testSetup() Setup {
	s := Setup{
		Network: Network{SSID: "HomeNet", Password: "p@ssw0rd!", Security: WPA},
		Country: "DE",
		Owner:   seededKey(9),
	}
	for i := range s.Token {
		s.Token[i] = byte(0xA0 + i)
	}
	return s
}

func TestSealedGolden(t *testing.T) {
	t.Parallel()
	nonce := []byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}
	got, err := Seal(bytes.NewReader(nonce), testLabel(t), testSetup())
	if err != nil || got != goldenSealed {
		t.Errorf("got %s, %v, want %s", got, err, goldenSealed)
	}
	back, err := OpenSealed(testLabel(t), goldenSealed)
	if err != nil || !reflect.DeepEqual(back, testSetup()) {
		t.Errorf("got %+v, %v", back, err)
	}
}

// TestSealedFits: an everyday network fits version 5, a long one version 6, the longest one code at all.
func TestSealedFits(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, password, most int
	}{{7, 9, 5}, {20, 23, 6}, {32, 63, 9}} {
		s := testSetup()
		s.Network.SSID, s.Network.Password = strings.Repeat("N", c.name), secret.Secret(strings.Repeat("p", c.password))
		text, err := Seal(rand.Reader, testLabel(t), s)
		if err != nil {
			t.Fatal(err)
		}
		code, err := qrcode.Encode(text, qrcode.L, 0)
		if err != nil || !qrcode.Alphanumeric(text) || code.Version > c.most {
			t.Errorf("%d+%d characters: version %d, %v, want at most %d", c.name, c.password, code.Version, err, c.most)
		}
	}
}

func TestSealedRoundTrips(t *testing.T) {
	t.Parallel()
	for _, n := range []Network{
		{SSID: name32, Password: secret.Secret(strings.Repeat("p", 63)), Security: WPA, Hidden: true},
		{SSID: "📷 $(reboot) \"'", Password: "\\;:,\"$`", Security: SAE},
		{SSID: "x", Password: secret.Secret(strings.Repeat("0123abCD", 8)), Security: WPA},
		{SSID: "guests", Security: Open},
	} {
		s := testSetup()
		s.Network, s.Country = n, ""
		text, err := Seal(rand.Reader, testLabel(t), s)
		if err != nil {
			t.Fatal(err)
		}
		if m, err := Parse(text); err != nil || m.Kind != Sealed {
			t.Errorf("%v, %v", m, err)
		}
		if got, err := OpenSealed(testLabel(t), text); err != nil || !reflect.DeepEqual(got, s) {
			t.Errorf("got %+v, %v", got, err)
		}
	}
}

func TestSealRefuses(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*Setup){
		"no name":     func(s *Setup) { s.Network.SSID = "" },
		"NUL":         func(s *Setup) { s.Network.SSID = "a\x00" },
		"no owner":    func(s *Setup) { s.Owner = nil },
		"country":     func(s *Setup) { s.Country = "de" },
		"identifier":  func(s *Setup) { s.Network.PasswordID = "me" },
		"no security": func(s *Setup) { s.Network.Security = "" },
	} {
		s := testSetup()
		change(&s)
		if _, err := Seal(rand.Reader, testLabel(t), s); err == nil {
			t.Errorf("%s: sealed", name)
		}
	}
	if _, err := Seal(bytes.NewReader(nil), testLabel(t), testSetup()); err == nil {
		t.Error("sealed without a nonce")
	}
}

// TestSealedTamper: another camera's label, another hardware key, and every single changed character are refused.
func TestSealedTamper(t *testing.T) {
	t.Parallel()
	l := testLabel(t)
	text, err := Seal(rand.Reader, l, testSetup())
	if err != nil {
		t.Fatal(err)
	}
	other := l
	other.Fingerprint[19] ^= 1
	if _, err := OpenSealed(other, text); !errors.Is(err, ErrDamaged) {
		t.Errorf("another hardware key: %v", err)
	}
	if other.Secret, err = label.NewSecret(rand.Reader); err != nil {
		t.Fatal(err)
	}
	other.Fingerprint = l.Fingerprint
	if _, err := OpenSealed(other, text); !errors.Is(err, ErrDamaged) {
		t.Errorf("another secret: %v", err)
	}
	for i := len(sealedPrefix); i < len(text); i++ {
		changed := []byte(text)
		changed[i] = alphabet45[(strings.IndexByte(alphabet45, text[i])+1)%45]
		if _, err := OpenSealed(l, string(changed)); !errors.Is(err, ErrDamaged) {
			t.Fatalf("character %d changed: %v", i, err)
		}
	}
	for name, c := range map[string]struct {
		text string
		want error
	}{
		"newer":        {"OC2:" + text[4:], ErrVersion},
		"a network":    {"WIFI:S:x;;", ErrUnknown},
		"cut":          {text[:len(text)-3], ErrDamaged},
		"only a head":  {"OC1:", ErrDamaged},
		"not base 45":  {"OC1:abc", ErrDamaged},
		"base 45, big": {"OC1:GGW" + ":::", ErrDamaged},
	} {
		if _, err := OpenSealed(l, c.text); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
	}
}

// TestParseSetup: what a holder of the label could seal and no writer of ours does.
func TestParseSetup(t *testing.T) {
	t.Parallel()
	good := testSetup().plaintext()
	for name, change := range map[string]func(b []byte) []byte{
		"flag of later":  func(b []byte) []byte { b[0] |= 8; return b },
		"security 3":     func(b []byte) []byte { b[0] = 6; return b },
		"country":        func(b []byte) []byte { b[1] = 'd'; return b },
		"half a country": func(b []byte) []byte { b[2] = 0; return b },
		"short":          func(b []byte) []byte { return b[:fixedSize] },
		"padding":        func(b []byte) []byte { b[len(b)-1] = 1; return b },
		"long padding":   func(b []byte) []byte { return append(b, make([]byte, bucket)...) },
		"name past end":  func(b []byte) []byte { b[fixedSize] = 32; return b[:fixedSize+20] },
	} {
		if _, err := parseSetup(change(bytes.Clone(good))); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestSetupDoesNotPrint(t *testing.T) {
	t.Parallel()
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		s := fmt.Sprintf(verb, testSetup()) + fmt.Sprintf(verb, testSetup().Token)
		if strings.Contains(s, "p@ss") || strings.Contains(s, "0xa1, 0xa2") || strings.Contains(s, "161 162") {
			t.Errorf("%s: %s", verb, s)
		}
	}
	b, err := json.Marshal(testSetup())
	if err != nil || bytes.Contains(b, []byte("p@ss")) || bytes.Contains(b, []byte("161,162")) {
		t.Errorf("%s, %v", b, err)
	}
}

// TestBase45 has the vectors of RFC 9285 4.3 and 4.4.
func TestBase45(t *testing.T) {
	t.Parallel()
	for plain, want := range map[string]string{
		"AB": "BB8", "Hello!!": "%69 VD92EX0", "base-45": "UJCLQE7W581", "ietf!": "QED8WEX0", "": "",
	} {
		if got := encode45([]byte(plain)); got != want {
			t.Errorf("%q: got %q, want %q", plain, got, want)
		}
		if got, err := decode45(want); err != nil || string(got) != plain {
			t.Errorf("%q: got %q, %v", want, got, err)
		}
	}
	for _, bad := range []string{"A", "::", ":::", "GGW", "bb8", "BB8B"} {
		if _, err := decode45(bad); err == nil {
			t.Errorf("%q decodes", bad)
		}
	}
}

func FuzzOpenSealed(f *testing.F) {
	f.Add(goldenSealed)
	f.Add("OC1:%69 VD92EX0")
	l := testLabel(f)
	f.Fuzz(func(t *testing.T, text string) {
		if s, err := OpenSealed(l, text); err == nil && s.check() != nil {
			t.Fatal("opened a bad setup")
		}
	})
}

func FuzzParseSetup(f *testing.F) {
	f.Add(testSetup().plaintext())
	f.Fuzz(func(t *testing.T, b []byte) {
		if s, err := parseSetup(b); err == nil && !bytes.Equal(s.plaintext(), b) {
			t.Fatal("read and written differ")
		}
	})
}
