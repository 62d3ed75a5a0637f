package main

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bluenviron/gortsplib/v5"
	"github.com/bluenviron/gortsplib/v5/pkg/base"

	"github.com/ocellus/ocellus/access"
	"github.com/ocellus/ocellus/codec/claim"
	"github.com/ocellus/ocellus/codec/vouch"
)

func (p phone) public() ed25519.PublicKey { return p.key.Public().(ed25519.PublicKey) }

// order makes an order that answers a question of its own.
func (p phone) order(t *testing.T, id [claim.IDSize]byte, deed claim.Deed, next []byte) ([]byte, claim.Challenge) {
	t.Helper()
	var q question
	if code := p.ask(t, "owner.ask", none{}, &q); code != codeOK {
		t.Fatalf("owner.ask: %s", code)
	}
	challenge, err := claim.ParseChallenge(q.Challenge)
	if err != nil {
		t.Fatal(err)
	}
	o := claim.Order{Nonce: [claim.NonceSize]byte(q.Nonce), Camera: id, Epoch: challenge.Epoch, Own: [32]byte{7}, Deed: deed}
	if next != nil {
		o.Claim = claim.Sum(next)
	}
	return o.Sign(p.key), challenge
}

// id is the operational identity that the camera has for its owner.
func (r *running) id(t *testing.T, o *access.Ownership) [claim.IDSize]byte {
	t.Helper()
	id, _, err := o.Operational()
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// look opens the owner's file of a camera, as an agent that starts would.
func (r *running) look(t *testing.T) *access.Ownership {
	t.Helper()
	o, err := findOwnership("/", r.state)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// TestGrantCommands: the owner lets somebody in by a grant, with a player of hers, and lets her in no more.
func TestGrantCommands(t *testing.T) {
	t.Parallel()
	r := startAlone(t, t.TempDir())
	p, anna := becomeOwner(t, r.ports.Web, r.label), newPhone(t, r.ports.Web)
	g := claim.Grant{Camera: r.id(t, r.look(t)), Subject: anna.public(), Role: "member", Name: "anna"}
	_, _ = rand.Read(g.ID[:])
	if status, _ := anna.post(t, http.MethodPost, "/v1/command", []byte(`{"command":"status"}`)); status != http.StatusUnauthorized {
		t.Errorf("before the grant: %d", status)
	}
	var made granted
	if code := p.ask(t, "grant.add", grantArgs{g.Sign(p.key), "anna-tv"}, &made); code != codeOK || made.Viewer == nil {
		t.Fatalf("grant.add: %s %+v", code, made)
	}
	for name, want := range map[string]string{"status": codeOK, "grant.list": codeDenied, "owner.ask": codeDenied,
		"owner.unbind": codeDenied, "grant.revoke": codeDenied, "reset": codeUnknown} {
		if code := anna.ask(t, name, none{}, nil); code != want {
			t.Errorf("a member asks for %s: got %s, want %s", name, code, want)
		}
	}
	if code := p.ask(t, "reset", none{}, nil); code != codeUnknown {
		t.Errorf("the local reset from the network: %s", code)
	}
	var list []grantEntry
	if code := p.ask(t, "grant.list", none{}, &list); code != codeOK || len(list) != 1 || list[0].ID != made.ID {
		t.Errorf("grant.list: %s %+v", code, list)
	}
	client, packets, err := watch(t, made.Viewer.URLs[0])
	if err != nil {
		t.Fatal(err)
	}
	<-packets
	for args, want := range map[string]string{`{"id":"zz"}`: codeBadRequest, `{"id":"` + made.ID + `"}`: codeOK} {
		if code := p.ask(t, "grant.revoke", json.RawMessage(args), nil); code != want {
			t.Errorf("grant.revoke %s: got %s, want %s", args, code, want)
		}
	}
	ended := make(chan error, 1)
	go func() { ended <- client.Wait() }()
	select {
	case <-ended:
	case <-time.After(10 * time.Second):
		t.Error("anna's player still watches 10 s after the grant was revoked")
	}
	if status, _ := anna.post(t, http.MethodPost, "/v1/command", []byte(`{"command":"status"}`)); status != http.StatusUnauthorized {
		t.Errorf("after the grant was revoked: %d", status)
	}
	if code := p.ask(t, "grant.add", grantArgs{g.Sign(p.key), ""}, nil); code != codeDenied {
		t.Errorf("a grant that was revoked, again: %s", code)
	}
}

// seen is everything by which somebody in the network could know a camera again, while it has an owner.
func (r *running) seen(t *testing.T) map[string]string {
	t.Helper()
	seen := map[string]string{}
	for door, address := range map[string]string{"web": r.ports.Web, "rtsps": r.ports.RTSPS} {
		c, err := tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true}) //nolint:gosec // it looks
		if err != nil {
			t.Fatal(err)
		}
		for i, x := range c.ConnectionState().PeerCertificates {
			name := door + " certificate " + string(rune('0'+i))
			seen[name+" key"], seen[name+" serial"] = hex.EncodeToString(x.RawSubjectPublicKeyInfo), x.SerialNumber.String()
			if door == "rtsps" {
				seen[name+" name"] = x.Subject.String()
			}
		}
		if key, err := vouch.Key(c.ConnectionState().PeerCertificates); err == nil {
			seen[door+" key"] = hex.EncodeToString(key)
		}
		_ = c.Close()
	}
	res := r.describe(t)
	seen["RTSP challenge"] = res.Header["WWW-Authenticate"][0]
	realm := strings.Split(seen["RTSP challenge"], `"`)
	seen["realm"] = realm[slices.IndexFunc(realm, func(s string) bool { return strings.HasSuffix(s, "realm=") })+1]
	delete(res.Header, "WWW-Authenticate")
	delete(res.Header, "CSeq")
	for name, value := range res.Header { // whatever else it says has to be what every camera says
		seen["RTSP "+name] = ""
		if strings.Join(value, "") != "" && name != "Server" {
			t.Errorf("an answer to a stranger has %s: %s", name, value)
		}
		delete(seen, "RTSP "+name)
	}
	owner := r.look(t)
	id := r.id(t, owner)
	seen["operational id"] = hex.EncodeToString(id[:])
	said := (&agent{owner: owner, listens: r.ports.RTSP}).advert(r.ports.Web)
	seen["mDNS instance"], seen["mDNS host"] = said.Instance, said.Host
	return seen
}

// describe is the answer of RTSP to a stranger.
func (r *running) describe(t *testing.T) *base.Response {
	t.Helper()
	u, err := base.ParseURL("rtsp://" + r.ports.RTSP + "/main")
	if err != nil {
		t.Fatal(err)
	}
	var res *base.Response
	c := &gortsplib.Client{Scheme: u.Scheme, Host: u.Host, OnResponse: func(r *base.Response) { res = r }}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, _, err := c.Describe(u); err == nil || res == nil || res.StatusCode != base.StatusUnauthorized {
		t.Fatalf("a stranger is let in: %v %+v", err, res)
	}
	return res
}

// TestUnlinkable: the next owner's camera has nothing in common with the one before, by unbinding, by a reset at the
// board and by a hand-over; only the label is the same.
func TestUnlinkable(t *testing.T) {
	t.Parallel()
	for name, part := range map[string]func(t *testing.T, r *running, p, next phone){
		"unbind": func(t *testing.T, r *running, p, _ phone) {
			order, _ := p.order(t, r.id(t, r.look(t)), claim.Unbind, nil)
			var got receipted
			if code := p.ask(t, "owner.unbind", orderArgs{Order: order}, &got); code != codeOK || got.Receipt == nil {
				t.Fatalf("owner.unbind: %s", code)
			}
		},
		"reset": func(t *testing.T, r *running, _, _ phone) {
			if code, out, errs := agentVerb(t, "reset", "--state", r.state); code != 0 || !strings.Contains(out, "erase receipt: ") {
				t.Fatalf("agent reset: %d %q %q", code, out, errs)
			}
		},
		"hand over": func(t *testing.T, r *running, p, next phone) {
			var q question
			if code := p.ask(t, "owner.ask", none{}, &q); code != codeOK {
				t.Fatal(code)
			}
			challenge, err := claim.ParseChallenge(q.Challenge)
			if err != nil {
				t.Fatal(err)
			}
			m := claim.Claim{Challenge: challenge, Owner: next.public(), Proof: claim.ByOwner}
			raw := m.Sign(next.key, nil)
			order, _ := p.order(t, r.id(t, r.look(t)), claim.GiveTo, raw)
			if code := p.ask(t, "owner.handover", orderArgs{order, raw}, nil); code != codeOK {
				t.Fatalf("owner.handover: %s", code)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			state := t.TempDir()
			r := startAlone(t, state)
			p, next := becomeOwner(t, r.ports.Web, r.label), newPhone(t, r.ports.Web)
			var me, after admitted
			p.ask(t, "viewer.add", viewerArgs{Name: "me"}, &me)
			before := r.seen(t)
			label := r.label
			part(t, r, p, next)
			if name != "hand over" {
				if code := r.wait(); code != exitAnew {
					t.Fatalf("got exit code %d, want %d", code, exitAnew)
				}
				config := filepath.Join(t.TempDir(), "config.yaml") // a reset ends with the one in the state directory erased
				if err := os.WriteFile(config, []byte(freePorts), 0o600); err != nil {
					t.Fatal(err)
				}
				r = startAlone(t, state, "--config", config)
				next = becomeOwner(t, r.ports.Web, r.label)
				if r.label != label {
					t.Error("the label changed")
				}
			}
			if _, _, err := watch(t, strings.Replace(me.URLs[0], r.ports.RTSP, r.ports.RTSP, 1)); err == nil {
				t.Error("the old owner's viewer is let in")
			}
			if status, _ := (phone{r.ports.Web, p.key}).post(t, http.MethodPost, "/v1/command", []byte(`{"command":"status"}`)); status != http.StatusUnauthorized {
				t.Errorf("the old owner's key: %d", status)
			}
			if code := next.ask(t, "viewer.add", viewerArgs{Name: "me"}, &after); code != codeOK || after.Password == me.Password {
				t.Errorf("the next owner's viewer of the same name: %s", code)
			}
			for what, value := range r.seen(t) {
				if before[what] == value {
					t.Errorf("%s is the same: %s", what, value)
				}
			}
		})
	}
}

// wait waits until the agent has ended by itself.
func (r *running) wait() int {
	for {
		select {
		case code := <-r.done:
			r.done <- code
			return code
		case <-time.After(20 * time.Second):
			return -1
		}
	}
}

// TestResetKeepsOut: while the camera starts anew after a reset, it takes no claim and lets nobody in.
func TestResetKeepsOut(t *testing.T) {
	t.Parallel()
	r := start(t, t.TempDir())
	if code, _, errs := agentVerb(t, "reset", "--state", r.state); code != 0 {
		t.Fatal(errs)
	}
	p := newPhone(t, r.ports.Web)
	status, raw := p.post(t, http.MethodPost, "/v1/claim", p.sign(t, r.label, p.challenge(t)))
	if status != http.StatusConflict || !strings.Contains(string(raw), `"stale"`) {
		t.Errorf("a claim: %d %s, want that it begins again", status, raw)
	}
	if _, _, err := watch(t, r.url); err == nil {
		t.Error("the viewer is let in")
	}
	if code, _, errs := agentVerb(t, "reset", "--state", r.state); code != 0 {
		t.Errorf("a second reset: %s", errs)
	}
	if code := r.wait(); code != exitAnew {
		t.Errorf("got exit code %d, want %d", code, exitAnew)
	}
}

func TestMayReset(t *testing.T) {
	t.Parallel()
	began := time.Unix(1000, 0)
	for name, c := range map[string]struct {
		uptime    string
		simulated bool
		button    bool
		after     time.Duration
		ok        bool
	}{
		"at once":             {"17.02 9.5\n", false, false, 0, true},
		"in time":             {"17.02 9.5\n", false, false, resetWindow, true},
		"too late":            {"17.02 9.5\n", false, false, resetWindow + 1, false},
		"started again":       {"121.0 99.0\n", false, false, 0, false},
		"unknown":             {"", false, false, 0, false},
		"junk":                {"junk", false, false, 0, false},
		"there is a button":   {"17.02 9.5\n", false, true, 0, false},
		"simulated":           {"99999.0 1.0\n", true, false, time.Second, true},
		"simulated, too late": {"", true, false, resetWindow + 1, false},
	} {
		root := t.TempDir()
		if c.uptime != "" {
			if err := os.MkdirAll(filepath.Join(root, "proc"), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(root, "proc/uptime"), []byte(c.uptime), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		err := powerOn(root, c.simulated, began).mayReset(c.button, began.Add(c.after))
		if (err == nil) != c.ok || !c.ok && codeOf(err) != codeDenied {
			t.Errorf("%s: got %v, want allowed %v", name, err, c.ok)
		}
	}
}
