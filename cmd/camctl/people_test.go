package main

import (
	"crypto/ed25519"
	"encoding/json"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ocellus/ocellus/codec/claim"
)

// asked is a command as a camera gets it.
type asked struct {
	Command string
	Args    struct{ Grant, Order, Claim []byte }
}

// answers makes the camera answer commands by these functions, each with a result.
func (c *standIn) answers(t *testing.T, table map[string]func(a asked) any) {
	t.Helper()
	c.refuse = func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path != "/v1/command" {
			return false
		}
		var a asked
		if err := json.NewDecoder(r.Body).Decode(&a); err != nil {
			t.Error(err)
		}
		do := table[a.Command]
		if do == nil {
			return false
		}
		result := do(a)
		if code, ok := result.(string); ok {
			_ = json.NewEncoder(w).Encode(map[string]string{"code": code, "text": "because"})
			return true
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"code": "ok", "result": result})
		return true
	}
}

// question is the answer to owner.ask.
func (c *standIn) question(asked) any {
	return map[string][]byte{"nonce": make([]byte, claim.NonceSize), "challenge": c.challenge().Marshal()}
}

// erase is an erase receipt as it should be, but for what a test changes.
func (c *standIn) erase(t *testing.T, a asked, change func(e *claim.Erased)) []byte {
	t.Helper()
	order, err := claim.ParseOrder(a.Args.Order, c.owner)
	if err != nil || order.Deed != claim.Unbind || order.Camera != [16]byte{5} {
		t.Errorf("the order: %+v, %v", order, err)
	}
	e := claim.Erased{ID: order.Camera, Operational: c.operational.Public().(ed25519.PublicKey),
		Hardware: c.challenge().Hardware, Epoch: order.Epoch + 1, Request: order.Own}
	if change != nil {
		change(&e)
	}
	return e.Sign(c.hardware, c.operational)
}

// paired is a camera with an owner, and his home.
func paired(t *testing.T) (c *standIn, home string) {
	t.Helper()
	c, home = newCamera(t), t.TempDir()
	if code, _, errs := ctl("", "pair", "--home", home, "--label", c.text(t), "--camera", c.address()); code != 0 {
		t.Fatal(errs)
	}
	return c, home
}

func TestUnbind(t *testing.T) {
	t.Parallel()
	c, home := paired(t)
	for typed, says := range map[string]string{"": "nothing was done", "yes\n": "nothing was done"} {
		if code, _, errs := ctl(typed, "unbind", "--home", home, "camera"); code == 0 || !strings.Contains(errs, says) {
			t.Errorf("typed %q: %d %q", typed, code, errs)
		}
	}
	for name, change := range map[string]func(e *claim.Erased){
		"of another question": func(e *claim.Erased) { e.Request[0] ^= 1 },
		"of another epoch":    func(e *claim.Erased) { e.Epoch-- },
		"of another camera":   func(e *claim.Erased) { e.Operational = c.challenge().Hardware },
	} {
		c.answers(t, map[string]func(a asked) any{"owner.ask": c.question,
			"owner.unbind": func(a asked) any { return map[string][]byte{"receipt": c.erase(t, a, change)} }})
		if code, _, errs := ctl("", "unbind", "--home", home, "camera", "--yes"); code == 0 ||
			!strings.Contains(errs, "receipt is not right") {
			t.Errorf("a receipt %s: %d %q", name, code, errs)
		}
	}
	c.answers(t, map[string]func(a asked) any{"owner.ask": c.question, "owner.unbind": func(asked) any { return "stale" }})
	if code, _, errs := ctl("", "unbind", "--home", home, "camera", "--yes"); code == 0 || !strings.Contains(errs, "because") {
		t.Errorf("refused: %d %q", code, errs)
	}
	c.answers(t, map[string]func(a asked) any{"owner.ask": c.question,
		"owner.unbind": func(a asked) any { return map[string][]byte{"receipt": c.erase(t, a, nil)} }})
	if code, out, errs := ctl("camera\n", "unbind", "--home", home, "camera"); code != 0 || !strings.Contains(out, "forgot you") {
		t.Fatalf("unbind: %d %q %q", code, out, errs)
	}
	code, out, _ := ctl("", "erased", "--home", home)
	if code != 0 || !strings.Contains(out, "camera (TEST-1, fingerprint "+c.label.Fingerprint.String()+")") {
		t.Errorf("erased: %d %q", code, out)
	}
	if code, _, errs := ctl("", "unbind", "--home", home, "camera"); code == 0 || !strings.Contains(errs, "no camera is paired") {
		t.Errorf("a second time: %d %q", code, errs)
	}
	file, h, err := homeFlag{home}.open()
	if err != nil {
		t.Fatal(err)
	}
	for id, e := range h.Erased {
		e.Receipt[20] ^= 1
		h.Erased[id] = e
	}
	if err := file.Store(h); err != nil {
		t.Fatal(err)
	}
	if code, _, errs := ctl("", "erased", "--home", home); code == 0 || !strings.Contains(errs, "receipt") {
		t.Errorf("a receipt that was changed: %d %q", code, errs)
	}
}

// TestLostAnswer: the camera has forgotten its owner, and its answer is lost.
func TestLostAnswer(t *testing.T) {
	t.Parallel()
	c, home := paired(t)
	c.refuse = func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodGet { // anew, without an owner
			later := c.challenge()
			later.Epoch++
			_, _ = w.Write(later.Marshal())
			return true
		}
		var a asked
		_ = json.NewDecoder(r.Body).Decode(&a)
		if a.Command == "owner.ask" {
			_ = json.NewEncoder(w).Encode(map[string]any{"code": "ok", "result": c.question(a)})
			return true
		}
		c.owner = nil
		panic(http.ErrAbortHandler)
	}
	code, _, errs := ctl("", "unbind", "--home", home, "camera", "--yes")
	if code == 0 || !strings.Contains(errs, "has forgotten you; its receipt was lost") {
		t.Errorf("%d %q", code, errs)
	}
	if _, h, err := (homeFlag{home}).open(); err != nil || len(h.Cameras) > 0 {
		t.Errorf("the camera is kept: %v", err)
	}
}

func TestGrantVerbs(t *testing.T) {
	t.Parallel()
	c, home := paired(t)
	var last claim.Grant
	list := []map[string]any{{"id": "0a", "key": "00", "name": "anna", "role": "member", "scope": []string{"watch"},
		"ends": time.Unix(1, 0)}, {"id": "0b", "key": "01", "name": "twin", "role": "viewer"},
		{"id": "0c", "key": "02", "name": "twin", "role": "viewer"}}
	c.answers(t, map[string]func(a asked) any{
		"grant.add": func(a asked) any {
			var err error
			if last, err = claim.ParseGrant(a.Args.Grant, c.owner); err != nil {
				t.Error(err)
			}
			return map[string]any{"id": "0a"}
		},
		"grant.list": func(asked) any { return list }, "grant.revoke": func(asked) any { return struct{}{} },
	})
	anna := t.TempDir()
	code, key, errs := ctl("", "owner", "make", "--home", anna)
	if code != 0 {
		t.Fatal(errs)
	}
	key = strings.TrimSpace(key)
	code, out, errs := ctl("", "grant", "--home", home, "camera", key, "--to", "anna", "--role", "member", "--scope", "watch", "--for", "1h")
	if code != 0 || !strings.Contains(errs, "camctl revoke camera 0a") || last.Name != "anna" || last.Role != "member" ||
		len(last.Scope) != 1 || last.Ends.Sub(last.Begins) < time.Hour || last.Begins.After(time.Now()) {
		t.Errorf("grant: %d %q %+v", code, errs, last)
	}
	i, err := claim.ParseInvitation(strings.TrimSpace(out))
	if err != nil || i.Address != c.address() || !i.Operational.Equal(c.operational.Public()) {
		t.Errorf("the invitation: %+v, %v", i, err)
	}
	if code, _, errs := ctl("", "accept", "--home", anna, strings.TrimSpace(out)); code != exitCredential {
		t.Errorf("a camera that does not know her: %d %q", code, errs)
	}
	for name, line := range map[string][]string{
		"no key":   {"grant", "--home", home, "camera", "anna", "--to", "anna"},
		"no scope": {"grant", "--home", home, "camera", key, "--to", "anna", "--scope", "everything"},
		"no text":  {"accept", "--home", anna, "WIFI:S:x;;"},
		"half":     {"accept", "--home", anna, strings.TrimSpace(out)[:60]},
		"no offer": {"hand-over", "--home", home, "camera", "--answer", "hello"},
	} {
		if code, _, errs := ctl("", line...); code == 0 || errs == "" {
			t.Errorf("%s: %d %q", name, code, errs)
		}
	}
	if code, out, _ := ctl("", "grants", "--home", home, "camera"); code != 0 || !strings.Contains(out, "member, only to watch") ||
		!strings.Contains(out, "ended 1970") || !strings.Contains(out, "for good") {
		t.Errorf("grants: %d %q", code, out)
	}
	for who, ok := range map[string]bool{"anna": true, "0b": true, "twin": false, "nobody": false} {
		if code, _, errs := ctl("", "revoke", "--home", home, "camera", who); (code == 0) != ok {
			t.Errorf("revoke %s: %d %q", who, code, errs)
		}
	}
}

// TestHandOverTexts: the offer and the answer say what the page says; what the camera refuses is told in words.
func TestHandOverTexts(t *testing.T) {
	t.Parallel()
	c, home := paired(t)
	var next []byte
	c.answers(t, map[string]func(a asked) any{"owner.ask": c.question, "owner.handover": func(a asked) any {
		order, err := claim.ParseOrder(a.Args.Order, c.owner)
		if err != nil || order.Deed != claim.GiveTo || order.Claim != claim.Sum(a.Args.Claim) {
			t.Errorf("the order: %+v, %v", order, err)
		}
		if string(a.Args.Claim) != string(next) {
			return "stale"
		}
		return map[string][]byte{"receipt": {1}}
	}})
	code, out, errs := ctl("", "hand-over", "--home", home, "camera")
	offer, err := claim.ParseOffer(strings.TrimSpace(out))
	if code != 0 || err != nil || offer.Address != c.address() || offer.Model != "TEST-1" {
		t.Fatalf("offer: %d %q %v", code, errs, err)
	}
	_, said, errs := ctl("", "accept", "--home", filepath.Join(home, "next"), strings.TrimSpace(out), "--wait", "1ms")
	if !strings.Contains(errs, c.label.Fingerprint.String()) {
		t.Errorf("no fingerprint to compare: %q", errs)
	}
	m, err := claim.ParseAnswer(said)
	if err != nil {
		t.Fatal(err)
	}
	received, err := claim.ParseClaim(m)
	if err != nil || received.Proof != claim.ByOwner || received.Check(nil) != nil || received.Answers(c.challenge()) != nil {
		t.Errorf("the answer: %v", err)
	}
	if code, _, errs := ctl(said, "hand-over", "--home", home, "camera", "--answer", "-"); code == 0 ||
		!strings.Contains(errs, "earlier offer") {
		t.Errorf("an answer to an earlier offer: %d %q", code, errs)
	}
	next = m
	if code, out, errs := ctl(said, "hand-over", "--home", home, "camera", "--answer", "-"); code != 0 ||
		!strings.Contains(out, "not yours any more") {
		t.Errorf("hand over: %d %q %q", code, out, errs)
	}
}
