package provision

import (
	"crypto/ed25519"
	"errors"
	"strings"
	"testing"

	"github.com/ocellus/ocellus/codec/label"
	"github.com/ocellus/ocellus/codec/qrtext"
	"github.com/ocellus/ocellus/internal/secret"
	"github.com/ocellus/ocellus/provision/smartconfig"
)

func TestReadParts(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	key := ed25519.NewKeyFromSeed(make([]byte, 32)).Public().(ed25519.PublicKey)
	parts, err := qrtext.Split(w.sealedCode(w.label, wpa("HomeNet", homePassword), key), 80)
	if err != nil || len(parts) < 3 {
		t.Fatalf("%d parts, %v", len(parts), err)
	}
	r := reader{label: w.label}
	for _, p := range append(parts[1:], parts[1]) {
		if _, err := r.read(p); !errors.Is(err, errPart) {
			t.Fatalf("got %v", err)
		}
	}
	o, err := r.read(parts[0])
	if err != nil || o.Owner == nil || *o.Owner != label.FingerprintOf(key) || o.Networks[0].SSID != "HomeNet" {
		t.Errorf("got %+v, %v", o, err)
	}
	nested, err := qrtext.Split(parts[0], 40)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range nested {
		_, err = r.read(p)
	}
	if !errors.Is(err, qrtext.ErrDamaged) {
		t.Errorf("parts of a part: got %v", err)
	}
}

// TestHeard: what can be no network is refused, and only what came under the label's key says who may claim.
func TestHeard(t *testing.T) {
	t.Parallel()
	who := smartconfig.Claimant{Token: testToken(), Owner: [20]byte{1}}
	const key, plain, v1 = smartconfig.ESPTouch2, smartconfig.ESPTouch2Plain, smartconfig.ESPTouch1
	for _, c := range []struct {
		name     string
		protocol smartconfig.Protocol
		password secret.Secret
		reserved secret.Secret
		taken    bool
		owner    bool
	}{
		{"under the key", key, "12345678", who.Text(), true, true},
		{"plain", plain, "12345678", who.Text(), true, false},
		{"somebody's data", key, "", "token", true, false},
		{"short password", v1, "1234567", "", false, false},
		{"64 characters, no key", v1, secret.Secret(strings.Repeat("0123456789abcde_", 4)), "", false, false},
		{"64 characters, a key", v1, secret.Secret(strings.Repeat("0123456789abcdef", 4)), "", true, false},
		{"control character", v1, "1234567\n", "", false, false},
	} {
		o, err := heard(&smartconfig.Credentials{Protocol: c.protocol, SSID: []byte("a"), Password: c.password,
			Reserved: c.reserved})
		if err == nil != c.taken || o.Owner != nil != c.owner {
			t.Errorf("%s: got owner %v, %v", c.name, o.Owner != nil, err)
		}
	}
}

func FuzzRead(f *testing.F) {
	w := newWorld(f)
	for _, seed := range []string{homeCode, "OC1:ABC", "OCP1:TBEX7R:1:2:OC1:THE QUICK BROWN FOX", `{"s":"a","p":""}`} {
		f.Add(seed)
	}
	r := reader{label: w.label}
	f.Fuzz(func(t *testing.T, text string) {
		o, err := r.read(text)
		if err != nil {
			return
		}
		if len(o.Networks) < 1 || len(o.Networks) > 2 || o.Owner != nil {
			t.Fatalf("got %d networks, owner %v: nobody sealed it", len(o.Networks), o.Owner != nil)
		}
		for _, n := range o.Networks {
			if err := stored(n, "").credentials().Check(); err != nil {
				t.Fatal(err)
			}
		}
	})
}
