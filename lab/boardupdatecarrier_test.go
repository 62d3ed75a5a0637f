package lab

import (
	"os"
	"testing"
	"time"
)

// stays: a card that is put in while the board runs, and left in, is installed once. It waits while the release is on
// trial.
func (s *updated) stays(t *testing.T) {
	s.b.Insert(s.p.card(s.p.bundle(s.publish("1.7.0"))))
	s.tried()
	s.b.Await(updateLimit)
	s.b.Expect(`a card waits.*reason=busy`, updateLimit)
	s.confirms(t, "1.7.0")
	s.b.Expect(`a card with an update.*reason="not newer"`, updateLimit)
	s.b.Eject()
}

// card is an SD card with a GPT whose one partition holds a bundle and nothing before it.
func (p *publisher) card(bundle string) string {
	p.t.Helper()
	raw := readFile(p.t, bundle)
	const begin = 1 << 20
	out := p.path("card.img")
	if err := os.WriteFile(out, append(make([]byte, begin), raw...), 0o600); err != nil {
		p.t.Fatal(err)
	}
	if err := os.Truncate(out, 64<<20); err != nil {
		p.t.Fatal(err)
	}
	if r := tool(p.t, time.Minute, "sgdisk", "-n", "1:2048:0", "-c", "1:update", out); r.code != 0 {
		p.t.Fatal(r.errs)
	}
	return out
}

// push sends a bundle as the owner's phone does.
func (s *updated) push(t *testing.T, bundle string) {
	t.Helper()
	s.b.Claim() // and where the door is now
	r := tool(t, updateLimit, program("camctl"), "ota", "push", "--home", s.b.Home(), "--now", "board", bundle)
	if r.code != 0 {
		t.Fatalf("push: %d %s%s", r.code, r.out, r.errs)
	}
}
