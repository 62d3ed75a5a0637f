package link

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/ocellus/ocellus/access"
	"github.com/ocellus/ocellus/codec/claim"
	"github.com/ocellus/ocellus/codec/pack"
	"github.com/ocellus/ocellus/console/link/wire"
)

// gate takes one claim, "right"; the same again has the same receipt.
type gate struct {
	owned  bool
	judged int
}

func (g *gate) Claimed() bool { return g.owned }

func (g *gate) Challenge() claim.Challenge {
	return claim.Challenge{Hardware: make([]byte, claim.KeySize), Epoch: 7}
}

func (g *gate) Claim(raw []byte) ([]byte, error) {
	g.judged++
	text := string(raw)
	switch {
	case text == "right":
		g.owned = true
		return []byte("receipt"), nil
	case g.owned:
		return nil, access.ErrClaimed
	}
	return nil, fmt.Errorf("claim: %w", map[string]error{"wrong": claim.ErrProof, "old": claim.ErrStale,
		"junk": pack.ErrMalformed, "forged": claim.ErrSignature, "no room": context.DeadlineExceeded}[text])
}

// TestClaim: whoever has the label becomes the owner, without a riddle; a wrong proof is held back.
func TestClaim(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		c := w.dial(w.plug())
		challenge := fmt.Sprintf("11 %.40s", w.gate.Challenge().Marshal())
		for _, r := range []struct {
			body string
			want string
		}{
			{"", challenge}, {"wrong", "8 wrong_proof"}, {"old", "8 stale"}, {"junk", "8 bad_request"}, {"forged", "8 bad_request"},
			{"no room", "8 failed"}, {"right", "11 receipt"}, {"right", "11 receipt"}, {"wrong", "8 claimed"}, {"", "8 claimed"},
		} {
			began, owned := time.Now(), w.gate.owned
			if got := w.ask(c, wire.Claim, r.body); !slices.Equal(got, []string{r.want}) {
				t.Errorf("%q: got %q, want %q", r.body, got, r.want)
			}
			if took, late := time.Since(began), r.body == "wrong" && !owned; late != (took >= 8*time.Second) {
				t.Errorf("%q: answered after %v", r.body, took)
			}
		}
		if got := w.ask(c, wire.Command, "status"); !slices.Equal(got, []string{"8 denied"}) {
			t.Errorf("a claim opened the line: %q", got)
		}
		_ = c.Close()
	})
}

// TestClaimGuesses: who greets anew in place of waiting guesses no faster.
func TestClaimGuesses(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		began := time.Now()
		for range 3 {
			c := w.dial(w.plug())
			impatient, cancel := context.WithTimeout(w.Context(), time.Second)
			_ = c.Ask(impatient, wire.Claim, []byte("wrong"), func(wire.Message) (bool, error) { return true, nil })
			cancel()
			_ = c.Close()
		}
		if took := time.Since(began); w.gate.judged != 1 || took > 8*time.Second {
			t.Errorf("%d guesses judged in %v", w.gate.judged, took)
		}
	})
}
