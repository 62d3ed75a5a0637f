package envelope

import (
	"bytes"
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"testing"
)

// TestSameKey: the public half, turned by the map of RFC 7748, is that of the secret half.
func TestSameKey(t *testing.T) {
	t.Parallel()
	for range 64 {
		pub, own, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		u, err := montgomery(pub)
		if err != nil {
			t.Fatal(err)
		}
		o, err := NewOpener(own)
		if err != nil {
			t.Fatal(err)
		}
		scalar, err := o.key.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		x, err := ecdh.X25519().NewPrivateKey(scalar)
		if err != nil || !u.Equal(x.PublicKey()) {
			t.Fatalf("got %x, want the key of %x, %v", u.Bytes(), scalar, err)
		}
	}
}

// TestBadKeys: keys to which nothing can be sealed are refused, those of small order, too.
func TestBadKeys(t *testing.T) {
	t.Parallel()
	one := make([]byte, 32)
	one[0] = 1 // the neutral point
	minus := bytes.Repeat([]byte{0xff}, 32)
	minus[0], minus[31] = 0xec, 0x7f // y = -1, of order 2
	for name, k := range map[string][]byte{
		"empty": nil, "short": make([]byte, 31), "neutral": one, "order 2": minus,
		"no number of the field": bytes.Repeat([]byte{0xff}, 32),
	} {
		if _, err := sealTo(k, "kind", []byte("x")); err == nil {
			t.Errorf("%s: sealed", name)
		}
	}
	if _, err := NewOpener(nil); err == nil {
		t.Error("an opener without a key")
	}
}

func TestPadding(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 1, block - 1, block, block + 1, 5 * block} {
		message := bytes.Repeat([]byte{0x80}, n)
		padded := pad(message)
		if len(padded)%block != 0 || len(padded) <= n {
			t.Errorf("%d bytes are padded to %d", n, len(padded))
		}
		if got, err := unpad(padded); err != nil || !bytes.Equal(got, message) {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
	for name, bad := range map[string][]byte{
		"nothing": nil, "zeros": make([]byte, block), "another byte": bytes.Repeat([]byte{1}, block),
		"too much": append([]byte{0x80}, make([]byte, block)...),
	} {
		if _, err := unpad(bad); !errors.Is(err, ErrSealed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
