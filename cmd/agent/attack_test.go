package main

import (
	"crypto/ed25519"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ocellus/ocellus/codec/claim"
	"github.com/ocellus/ocellus/codec/label"
)

// guess is a claim with a secret that is not the label's.
func (p phone) guess(t *testing.T, text string, challenge claim.Challenge) []byte {
	t.Helper()
	l, err := label.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	if l.Secret, err = label.ParseSecret("0000 0000 0000 0000"); err != nil {
		t.Fatal(err)
	}
	wrong, err := l.Text()
	if err != nil {
		t.Fatal(err)
	}
	return p.sign(t, wrong.Reveal(), challenge)
}

// send posts a claim and returns the status, and the code of a refusal.
func (p phone) send(t *testing.T, raw []byte) (status int, said string) {
	t.Helper()
	status, answer := p.post(t, http.MethodPost, "/v1/claim", raw)
	return status, string(answer)
}

// TestAttacks: what must fail at the door of a camera that has no owner yet, and then of one that has.
func TestAttacks(t *testing.T) {
	t.Parallel()
	r := startAlone(t, t.TempDir())
	thief, owner := newPhone(t, r.ports.Web), newPhone(t, r.ports.Web)
	challenge := owner.challenge(t)
	clone := challenge // a device with this camera's label and a key of its own
	clone.Hardware = thief.key.Public().(ed25519.PublicKey)
	another, reset := challenge, challenge
	another.Nonce[0] ^= 1
	reset.Epoch++
	forged := func() []byte { // in the owner's name, without his key
		secret, err := mustLabel(t, r.label).ClaimKey()
		if err != nil {
			t.Fatal(err)
		}
		c := claim.Claim{Challenge: challenge, Owner: owner.key.Public().(ed25519.PublicKey), Proof: claim.BySecret}
		return c.Sign(thief.key, secret[:])
	}
	for name, tt := range map[string]struct {
		raw    []byte
		status int
		says   string
	}{
		"guessed secret":   {thief.guess(t, r.label, challenge), http.StatusForbidden, "wrong_proof"},
		"cloned device":    {owner.sign(t, r.label, clone), http.StatusConflict, "stale"},
		"another nonce":    {owner.sign(t, r.label, another), http.StatusConflict, "stale"},
		"another epoch":    {owner.sign(t, r.label, reset), http.StatusConflict, "stale"},
		"another's name":   {forged(), http.StatusBadRequest, "bad_request"},
		"one byte changed": {flipped(owner.sign(t, r.label, challenge)), http.StatusBadRequest, "bad_request"},
	} {
		if status, said := thief.send(t, tt.raw); status != tt.status || !strings.Contains(said, tt.says) {
			t.Errorf("%s: %d %s, want %d %s", name, status, said, tt.status, tt.says)
		}
	}
	taken := owner.sign(t, r.label, challenge)
	status, receipt := owner.send(t, taken)
	if status != http.StatusOK {
		t.Fatalf("the right claim after attacks: %d %s", status, receipt)
	}
	if status, again := owner.send(t, taken); status != http.StatusOK || again != receipt {
		t.Errorf("the same claim again: %d, another receipt", status)
	}
	if status, said := thief.post(t, http.MethodGet, "/v1/claim", nil); status != http.StatusConflict {
		t.Errorf("a challenge of a camera that has an owner: %d %s", status, said)
	}
	for name, raw := range map[string][]byte{"by the label": thief.sign(t, r.label, challenge), "junk": []byte("junk")} {
		if status, said := thief.send(t, raw); status != http.StatusConflict || !strings.Contains(said, "claimed") {
			t.Errorf("claimed already, %s: %d %s", name, status, said)
		}
	}
	if status, _ := thief.post(t, http.MethodPost, "/v1/command", []byte(`{"command":"status"}`)); status != 401 {
		t.Errorf("the thief's command: %d", status)
	}
}

func mustLabel(t *testing.T, text string) label.Label {
	t.Helper()
	l, err := label.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func flipped(raw []byte) []byte {
	raw[len(raw)/2] ^= 1
	return raw
}

// TestReplay: a claim that was overheard and kept back is worth nothing after the camera's next start.
func TestReplay(t *testing.T) {
	t.Parallel()
	state := t.TempDir()
	r := startAlone(t, state)
	p := newPhone(t, r.ports.Web)
	kept := p.sign(t, r.label, p.challenge(t))
	r.stop()
	r = startAlone(t, state)
	p.door = r.ports.Web
	if status, said := p.send(t, kept); status != http.StatusConflict || !strings.Contains(said, "stale") {
		t.Errorf("%d %s, want 409 stale", status, said)
	}
	becomeOwner(t, r.ports.Web, r.label)
}

// TestSecondPhoneAtOnce: of phones that claim in the same second one gets the camera, and the others are told.
func TestSecondPhoneAtOnce(t *testing.T) {
	t.Parallel()
	r := startAlone(t, t.TempDir())
	const phones = 6
	var together, done sync.WaitGroup
	var mu sync.Mutex
	answers := map[int]int{}
	together.Add(phones)
	for range phones {
		p := newPhone(t, r.ports.Web)
		raw := p.sign(t, r.label, p.challenge(t))
		done.Go(func() {
			together.Done()
			together.Wait()
			status, _ := p.send(t, raw)
			mu.Lock()
			defer mu.Unlock()
			answers[status]++
		})
	}
	done.Wait()
	if answers[http.StatusOK] != 1 || answers[http.StatusConflict] != phones-1 {
		t.Errorf("got %v, want one owner", answers)
	}
}

// TestGuesses: wrong secrets are answered ever later, a restart does not make the camera forget that, and the right one
// never waits.
func TestGuesses(t *testing.T) {
	t.Parallel()
	state := t.TempDir()
	r := startAlone(t, state)
	took := func() time.Duration {
		t.Helper()
		p := newPhone(t, r.ports.Web)
		raw := p.guess(t, r.label, p.challenge(t))
		begin := time.Now()
		if status, said := p.send(t, raw); status != http.StatusForbidden {
			t.Fatalf("a guess: %d %s", status, said)
		}
		return time.Since(begin)
	}
	for range 4 {
		took()
	}
	if d := took(); d < time.Second {
		t.Errorf("the fifth guess was answered after %v", d)
	}
	r.stop()
	r = startAlone(t, state)
	if d := took(); d < time.Second { // four of the five were stored
		t.Errorf("after a restart a guess was answered after %v", d)
	}
	p := newPhone(t, r.ports.Web)
	raw := p.sign(t, r.label, p.challenge(t))
	begin := time.Now()
	if status, said := p.send(t, raw); status != http.StatusOK || time.Since(begin) > time.Second {
		t.Errorf("the right one: %d %s after %v", status, said, time.Since(begin))
	}
}

// TestLabelStaysOutOfJournals: a camera under systemd says where its label is, and nothing of what is on it.
func TestLabelStaysOutOfJournals(t *testing.T) {
	t.Parallel()
	owner := identify(t, t.TempDir())
	text, err := owner.Hardware().Label().Text()
	if err != nil {
		t.Fatal(err)
	}
	for _, journal := range []string{"", "8:12345"} { // systemd.exec(5), JOURNAL_STREAM
		var out strings.Builder
		a := &agent{board: simBoard(t), owner: owner, door: &net.TCPAddr{IP: net.IPv4zero, Port: 8443}}
		a.invite(world{&out, &out, func(string) string { return journal }, "/"}, "/state")
		if shown := strings.Contains(out.String(), text.Reveal()); shown != (journal == "") ||
			shown == strings.Contains(out.String(), "agent label --state /state") {
			t.Errorf("journal %q:\n%s", journal, &out)
		}
	}
}
