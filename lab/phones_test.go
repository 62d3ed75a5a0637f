package lab

import (
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// phone is a phone's camctl, with what it keeps.
type phone struct{ home string }

// says runs camctl; it has to end with that code.
func (p phone) says(t *testing.T, code int, words ...string) ran {
	t.Helper()
	r := tool(t, time.Minute, program("camctl"), append(words, "--home", p.home)...)
	if r.code != code {
		t.Fatalf("camctl %s: exit code %d, want %d: %s%s", strings.Join(words, " "), r.code, code, r.out, r.errs)
	}
	return r
}

// playsBy watches by what camctl pair printed.
func playsBy(t *testing.T, r ran) {
	t.Helper()
	line, _, _ := strings.Cut(strings.TrimPrefix(r.out, "watch: "), "\n")
	if _, err := url.Parse(line); err != nil {
		t.Fatal(err)
	}
	if s, r := watch(t, time.Second, line); r.code != 0 || !s.whole() {
		t.Errorf("camctl watch: exit code %d: %s", r.code, r.errs)
	}
}

// TestSecondPhone lets a second phone of the owner in, which uses the camera as he does, and takes that back.
func TestSecondPhone(t *testing.T) {
	t.Parallel()
	a := startAgent(t, agentOptions{})
	first, second := phone{a.home}, phone{t.TempDir()}
	key := strings.TrimSpace(second.says(t, 0, "owner", "make").out)
	invitation := strings.TrimSpace(first.says(t, 0, "owner", "add", key).out)
	second.says(t, 0, "accept", invitation, "--name", "door")
	playsBy(t, second.says(t, 0, "pair", "--name", "door", "--camera", a.ports.Web, "--viewer", "second"))
	if r := first.says(t, 1, "owner", "add", key); !strings.Contains(r.errs, "has the same key") {
		t.Errorf("added twice: %s", r.errs)
	}
	if r := second.says(t, 1, "unbind", "door", "--yes"); !strings.Contains(r.errs, "not yours") {
		t.Errorf("the second phone parts the owner from his camera: %s", r.errs)
	}
	first.says(t, 0, "revoke", "camera", "second phone")
	if r := second.says(t, 4, "grants", "door"); !strings.Contains(r.errs, "does not know your key") {
		t.Errorf("a phone that was lost: %s", r.errs)
	}
}

// TestBackupPhrase: who has lost his phone, and has the words on paper and the camera's label, has his camera back.
func TestBackupPhrase(t *testing.T) {
	t.Parallel()
	a := startAgent(t, agentOptions{})
	words := phone{a.home}.says(t, 0, "owner", "phrase").out
	next := phone{filepath.Join(t.TempDir(), "next")}
	pair := []string{"pair", "--camera", a.ports.Web, "--label", label(t, a), "--viewer", "next"}
	if r := next.says(t, 4, pair...); !strings.Contains(r.errs, "it has an owner already") {
		t.Errorf("without the key: %s", r.errs)
	}
	next = phone{filepath.Join(t.TempDir(), "restored")}
	typed := "echo '" + strings.TrimSpace(words) + "' | "
	r := tool(t, time.Minute, "sh", "-c", typed+program("camctl")+" owner restore --home "+next.home)
	if r.code != 0 {
		t.Fatalf("camctl owner restore: %s", r.errs)
	}
	playsBy(t, next.says(t, 0, pair...))
	if r := next.says(t, 0, "owner"); !strings.Contains(r.out, "camera: SIM ") {
		t.Errorf("camctl owner: %s", r.out)
	}
}
