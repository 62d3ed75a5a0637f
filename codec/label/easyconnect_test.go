package label

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"
)

// TestEasyConnectText pins the text, and reads the key out of it again.
func TestEasyConnectText(t *testing.T) {
	t.Parallel()
	for seed := byte(1); seed < 9; seed++ { // even and odd points
		key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), bytes.Repeat([]byte{seed}, 32))
		if err != nil {
			t.Fatal(err)
		}
		text, err := EasyConnectText(&key.PublicKey)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Parse(text); !errors.Is(err, ErrDPP) {
			t.Errorf("Parse: got %v, want ErrDPP", err)
		}
		const head = "DPP:C:81/6;V:2;K:MDkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDIgA"
		body, _ := strings.CutSuffix(text, ";;")
		raw, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(body, "DPP:C:81/6;V:2;K:"))
		if err != nil || !strings.HasPrefix(text, head) {
			t.Fatalf("got %s, %v, want %s...", text, err, head)
		}
		x, y := elliptic.UnmarshalCompressed(elliptic.P256(), raw[len(raw)-33:])
		if x == nil || x.Cmp(key.X) != 0 || y.Cmp(key.Y) != 0 {
			t.Errorf("seed %d: another point is on the label", seed)
		}
	}
	other, err := ecdsa.ParseRawPrivateKey(elliptic.P384(), bytes.Repeat([]byte{1}, 48))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := EasyConnectText(&other.PublicKey); err == nil {
		t.Error("a key on P-384: taken")
	}
}

func ExampleEasyConnectText() {
	key, _ := ecdsa.ParseRawPrivateKey(elliptic.P256(), bytes.Repeat([]byte{7}, 32))
	text, _ := EasyConnectText(&key.PublicKey)
	fmt.Println(text)
	// Output: DPP:C:81/6;V:2;K:MDkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDIgADHhhTL9R1TALzBB2cdc6zO4P/2BrHzk/ogsyxyYvFiW4=;;
}
