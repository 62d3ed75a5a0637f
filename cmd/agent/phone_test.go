package main

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"encoding/json"
	"io"
	"net/http"
	"testing"

	"github.com/ocellus/ocellus/access"
	"github.com/ocellus/ocellus/board"
	"github.com/ocellus/ocellus/codec/claim"
	"github.com/ocellus/ocellus/codec/label"
	"github.com/ocellus/ocellus/codec/vouch"
)

// phone is the owner's phone, at the LAN door of a camera.
type phone struct {
	door string
	key  ed25519.PrivateKey
}

// post sends something to the door and returns what it says.
func (p phone) post(t *testing.T, method, path string, body []byte) (int, []byte) {
	t.Helper()
	chain, err := vouch.Chain(p.key)
	if err != nil {
		t.Fatal(err)
	}
	c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{
		InsecureSkipVerify: true, Certificates: []tls.Certificate{chain}, //nolint:gosec // loopback, this very process
	}}}
	request, err := http.NewRequestWithContext(t.Context(), method, "https://"+p.door+path, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	response, err := c.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, raw
}

// ask runs a command.
func (p phone) ask(t *testing.T, name string, args, result any) string {
	t.Helper()
	raw, err := json.Marshal(args)
	if err != nil {
		t.Fatal(err)
	}
	raw, err = json.Marshal(request{name, raw})
	if err != nil {
		t.Fatal(err)
	}
	status, raw := p.post(t, http.MethodPost, "/v1/command", raw)
	var answer response
	if err := json.Unmarshal(raw, &answer); err != nil || status != http.StatusOK {
		t.Fatalf("%s: %d %s", name, status, raw)
	}
	if answer.Code == codeOK && result != nil {
		if err := json.Unmarshal(answer.Result, result); err != nil {
			t.Fatal(err)
		}
	}
	return answer.Code
}

// sign makes the claim of a phone for a label and a challenge.
func (p phone) sign(t *testing.T, text string, challenge claim.Challenge) []byte {
	t.Helper()
	l, err := label.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := l.ClaimKey()
	if err != nil {
		t.Fatal(err)
	}
	m := claim.Claim{Challenge: challenge, Owner: p.key.Public().(ed25519.PublicKey), Proof: claim.BySecret}
	_, _ = rand.Read(m.Own[:])
	return m.Sign(p.key, secret[:])
}

func newPhone(t *testing.T, door string) phone {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return phone{door, key}
}

func (p phone) challenge(t *testing.T) claim.Challenge {
	t.Helper()
	_, raw := p.post(t, http.MethodGet, "/v1/claim", nil)
	challenge, err := claim.ParseChallenge(raw)
	if err != nil {
		t.Fatalf("challenge: %s: %v", raw, err)
	}
	return challenge
}

// becomeOwner claims a camera by its label.
func becomeOwner(t *testing.T, door, text string) phone {
	t.Helper()
	p := newPhone(t, door)
	raw := p.sign(t, text, p.challenge(t))
	if status, raw := p.post(t, http.MethodPost, "/v1/claim", raw); status != http.StatusOK {
		t.Fatalf("claim: %d %s", status, raw)
	}
	return p
}

func simBoard(t *testing.T) board.Board {
	t.Helper()
	b, err := board.Named("sim")
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// identify makes the identity of a simulated camera, while no agent runs.
func identify(t *testing.T, state string) *access.Ownership {
	t.Helper()
	_, o, _, err := recognize(simBoard(t), state, silent())
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// claimState makes the state of a simulated camera that has an owner, while no agent runs.
func claimState(t *testing.T, state string) {
	t.Helper()
	o := identify(t, state)
	text, err := o.Hardware().Label().Text()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := o.Claim(newPhone(t, "").sign(t, text.Reveal(), o.Challenge())); err != nil {
		t.Fatal(err)
	}
}
