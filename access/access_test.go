package access

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/ocellus/ocellus/codec/claim"
	"github.com/ocellus/ocellus/internal/secret"
	"github.com/ocellus/ocellus/internal/statefile"
)

// gate starts a camera that has an owner.
func gate(t *testing.T, c *camera) *Gate {
	t.Helper()
	o := c.start(t)
	if !o.Claimed() {
		if _, err := o.Claim(newPhone(o).bySecret(o.Challenge())); err != nil {
			t.Fatal(err)
		}
	}
	return NewGate(o, slog.New(slog.DiscardHandler))
}

// answer is the client's side, written from RFC 2069 2.1.2.
func answer(g *Gate, name string, password secret.Secret, alg DigestAlgorithm) DigestResponse {
	d := DigestResponse{Username: name, Realm: g.Realm(), Nonce: "n0", URI: "rtsp://h/main", Method: "DESCRIBE",
		Algorithm: alg}
	hash := sha256Hex
	if alg == MD5 {
		hash = md5Hex
	}
	d.Response = hash(hash(name+":"+d.Realm+":"+password.Reveal()) + ":n0:" + hash("DESCRIBE:rtsp://h/main"))
	return d
}

func TestAuthenticate(t *testing.T) {
	t.Parallel()
	g := gate(t, &camera{})
	password, err := g.AddViewer("anna", Watcher)
	if err != nil {
		t.Fatal(err)
	}
	right := answer(g, "anna", password, SHA256)
	for name, c := range map[string]struct {
		change func(d *DigestResponse)
		ok     bool
	}{
		"right":          {func(*DigestResponse) {}, true},
		"right, MD5":     {func(d *DigestResponse) { *d = answer(g, "anna", password, MD5) }, true},
		"upper case hex": {func(d *DigestResponse) { d.Response = strings.ToUpper(d.Response) }, true},
		"wrong password": {func(d *DigestResponse) { *d = answer(g, "anna", "wrong", SHA256) }, false},
		"unknown name":   {func(d *DigestResponse) { *d = answer(g, "bob", password, SHA256) }, false},
		"empty name":     {func(d *DigestResponse) { *d = answer(g, "", "", SHA256) }, false},
		"other nonce":    {func(d *DigestResponse) { d.Nonce = "n1" }, false},
		"other method":   {func(d *DigestResponse) { d.Method = "PLAY" }, false},
		"other URI":      {func(d *DigestResponse) { d.URI = "rtsp://h/sub" }, false},
		"other realm":    {func(d *DigestResponse) { d.Realm = "r" }, false},
		"no algorithm":   {func(d *DigestResponse) { d.Algorithm = "" }, false},
		"empty response": {func(d *DigestResponse) { d.Response = "" }, false},
	} {
		d := right
		c.change(&d)
		id, err := g.AuthenticateDigest(d, netip.MustParseAddr("10.0.0.1"))
		if (err == nil) != c.ok || !c.ok && !errors.Is(err, ErrDenied) {
			t.Errorf("%s: got %v, want let in %v", name, err, c.ok)
		}
		if c.ok && (id.Name != "anna" || !id.May(Watch) || id.May(Admit)) {
			t.Errorf("%s: got %+v, want anna, who may watch and no more", name, id)
		}
	}
}

func TestViewersLast(t *testing.T) {
	t.Parallel()
	var c camera
	g := gate(t, &c)
	password, err := g.AddViewer("viewer", Watcher)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := g.AddViewer("viewer", Watcher); !errors.Is(err, ErrExists) {
		t.Errorf("twice: got %v, want %v", err, ErrExists)
	}
	realm := g.Realm()
	if n, err := Check(&c.owner); n != 1 || err != nil {
		t.Errorf("check: got %d viewers, %v; want 1", n, err)
	}
	g = gate(t, &c)
	if g.Realm() != realm {
		t.Errorf("second start: got realm %q, want %q", g.Realm(), realm)
	}
	id, err := g.AuthenticateDigest(answer(g, "viewer", password, SHA256), netip.Addr{})
	if err != nil || !g.Still(id) {
		t.Errorf("second start: got %v, still %v; want let in", err, g.Still(id))
	}
	if bytes.Contains(c.owner.content, []byte(password.Reveal())) {
		t.Errorf("the password is in the file:\n%s", c.owner.content)
	}
	if err := g.RemoveViewer("viewer"); err != nil {
		t.Fatal(err)
	}
	if err := g.RemoveViewer("viewer"); !errors.Is(err, ErrUnknown) {
		t.Errorf("removed twice: got %v, want %v", err, ErrUnknown)
	}
	if _, err := g.AddViewer("viewer", Watcher); err != nil {
		t.Fatal(err)
	}
	if g.Still(id) {
		t.Error("removed and added again: the old identity is still let in")
	}
	if got := gate(t, &c).Viewers(); len(got) != 1 || got[0].Name != "viewer" || got[0].Role != Watcher {
		t.Errorf("got %+v, want the one viewer", got)
	}
}

// TestNobodyWithoutOwner: viewers come and go with the owner who admitted them.
func TestNobodyWithoutOwner(t *testing.T) {
	t.Parallel()
	var c camera
	unknown, none := NewGate(nil, slog.New(slog.DiscardHandler)), NewGate(c.start(t), slog.New(slog.DiscardHandler))
	for name, g := range map[string]*Gate{"no identity": unknown, "no owner": none} {
		_, err := g.AddViewer("anna", Watcher)
		if !errors.Is(err, ErrUnclaimed) || !errors.Is(g.RemoveViewer("anna"), ErrUnclaimed) || len(g.Viewers()) > 0 {
			t.Errorf("%s: admitted by nobody: %v", name, err)
		}
		if _, err := g.AuthenticateDigest(answer(g, "anna", "x", MD5), netip.Addr{}); !errors.Is(err, ErrDenied) {
			t.Errorf("%s: got %v, want %v", name, err, ErrDenied)
		}
	}
	ends := map[string]func(o *Ownership, p phone) error{
		"reset": func(o *Ownership, _ phone) error {
			_, err := o.Disown(func() error { return nil })
			return err
		},
		"handed over": func(o *Ownership, p phone) error {
			raw := newPhone(o).claim(o.Challenge(), claim.ByOwner, nil)
			_, err := o.HandOver(p.order(o, claim.GiveTo, raw), raw)
			return err
		},
	}
	for name, end := range ends {
		var c camera
		o, p := owner(t, &c)
		g := NewGate(o, slog.New(slog.DiscardHandler))
		password, err := g.AddViewer("anna", Watcher)
		if err != nil {
			t.Fatal(err)
		}
		right := answer(g, "anna", password, SHA256)
		id, err := g.AuthenticateDigest(right, netip.Addr{})
		if err != nil {
			t.Fatal(err)
		}
		if err := end(o, p); err != nil {
			t.Fatal(err)
		}
		for when, g := range map[string]*Gate{"at once": g, "after a start": gate(t, &c)} {
			if _, err := g.AuthenticateDigest(right, netip.Addr{}); err == nil || g.Still(id) || len(g.Viewers()) > 0 {
				t.Errorf("%s, %s: the viewer is let in", name, when)
			}
		}
	}
}

// TestCheck: a viewer whom nobody could let in is a fault, unless a newer release knows better.
func TestCheck(t *testing.T) {
	t.Parallel()
	const digests = `"ha1_md5":"00112233445566778899aabbccddeeff",` +
		`"ha1_sha256":"00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"`
	for name, c := range map[string]struct {
		version int
		viewers string
		want    string
	}{
		"whole":     {1, `"a":{"role":"viewer",` + digests + `}`, ""},
		"none":      {1, ``, ""},
		"name":      {1, `"a b":{"role":"viewer",` + digests + `}`, `"a b"`},
		"no digest": {1, `"a":{"role":"viewer"}`, "viewer a: the digests"},
		"short digest": {1, `"a":{"role":"viewer",` + strings.Replace(digests, "0011", "", 1) + `}`,
			"viewer a: the digests"},
		"role":             {1, `"a":{"role":"king",` + digests + `}`, `role "king"`},
		"two faults":       {1, `"a":{},"b":{}`, "viewer b"},
		"a newer release":  {2, `"a b":{"role":"king"}`, ""},
		"not of this form": {1, `"a":1`, "corrupt state"},
	} {
		place := memory{content: fmt.Appendf(nil, `{"version":%d,"realm":"r","viewers":{%s}}`, c.version, c.viewers)}
		_, err := Check(&place)
		if c.want == "" && err != nil || c.want != "" && (!errors.Is(err, statefile.ErrCorrupt) ||
			!strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
	}
}

// TestNewerRelease: what a newer release wrote is kept; a role that this one does not know may nothing.
func TestNewerRelease(t *testing.T) {
	t.Parallel()
	var c camera
	g := gate(t, &c)
	if _, err := g.AddViewer("eve", Watcher); err != nil {
		t.Fatal(err)
	}
	newer := strings.NewReplacer(`"version": 1`, `"version": 7`, `"role": "viewer"`, `"role": "auditor", "until": 9`,
		`"realm"`, `"keys": {"k": 1}, "realm"`)
	c.owner.content = []byte(newer.Replace(string(c.owner.content)))
	g = gate(t, &c)
	if n, err := Check(&c.owner); n != 1 || err != nil || Role("auditor").May(Watch) {
		t.Errorf("got %d viewers, %v, or an unknown role that may watch", n, err)
	}
	if _, err := g.AddViewer("x", Member); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"version": 7`, `"until": 9`, `"auditor"`, `"keys"`} {
		if !bytes.Contains(c.owner.content, []byte(want)) {
			t.Errorf("%s is lost:\n%s", want, c.owner.content)
		}
	}
}

func TestNamesAndRoles(t *testing.T) {
	t.Parallel()
	g := gate(t, &camera{})
	for _, name := range []string{"", "a b", "a:b", "a\"b", "a\n", "ü", "a/b", strings.Repeat("x", 33)} {
		if _, err := g.AddViewer(name, Watcher); err == nil {
			t.Errorf("name %q: got no error", name)
		}
	}
	if _, err := g.AddViewer("a", "king"); err == nil {
		t.Error("role king: got no error")
	}
	for _, name := range []string{"a", "Anna-2.cam_x", strings.Repeat("x", 32)} {
		password, err := g.AddViewer(name, Watcher)
		if err != nil || len(password.Reveal()) != passwordLength {
			t.Errorf("name %q: got %d characters, %v", name, len(password.Reveal()), err)
		}
	}
	for role, actions := range map[Role]string{Owner: "watch inspect configure admit own", Member: "watch inspect",
		Watcher:   "watch",
		Installer: "watch inspect configure", "": "", "root": ""} {
		for _, a := range []Action{Watch, Inspect, Configure, Admit, Own} {
			if got, want := role.May(a), strings.Contains(actions, string(a)); got != want {
				t.Errorf("%s may %s: got %v, want %v", role, a, got, want)
			}
		}
	}
}

func TestPenalty(t *testing.T) {
	t.Parallel()
	th := newThrottle()
	now := time.Unix(1000, 0)
	here, there := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	want := []time.Duration{0, 0, 0, 250 * time.Millisecond, 500 * time.Millisecond, time.Second}
	for i, w := range want {
		if got := th.penalty(now, "anna", here); got != w {
			t.Errorf("after %d guesses: got %v, want %v", i, got, w)
		}
		th.fail(now, "anna", here)
	}
	for range 50 {
		th.fail(now, "anna", here)
	}
	for name, c := range map[string]struct {
		name string
		from netip.Addr
		want time.Duration
	}{
		"same":          {"anna", here, maxHold},
		"other address": {"anna", there, maxHold},
		"other name":    {"bob", here, maxHold},
		"mapped":        {"bob", netip.MustParseAddr("::ffff:192.0.2.1"), maxHold},
		"both others":   {"bob", there, 0},
	} {
		if got := th.penalty(now, c.name, c.from); got != c.want {
			t.Errorf("%s: got %v, want %v", name, got, c.want)
		}
	}
	if got := th.penalty(now.Add(10*time.Minute), "anna", here); got != 0 {
		t.Errorf("ten minutes later: got %v, want 0", got)
	}
	for i := range 5 * maxKeys {
		th.fail(now, fmt.Sprint(i), netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}))
	}
	if len(th.byKey) != maxKeys || th.recent.Len() != maxKeys {
		t.Errorf("got %d and %d keys, want %d", len(th.byKey), th.recent.Len(), maxKeys)
	}
	a, b := keys("", netip.MustParseAddr("2001:db8::1")), keys("", netip.MustParseAddr("2001:db8::ffff:1"))
	if a[0] != b[0] {
		t.Errorf("one /64: got keys %q and %q, want one", a[0], b[0])
	}
}

// TestNoLockOut: guesses in anna's name, from her own address, never delay anna.
func TestNoLockOut(t *testing.T) {
	t.Parallel()
	g := gate(t, &camera{})
	password, err := g.AddViewer("anna", Watcher)
	if err != nil {
		t.Fatal(err)
	}
	from := netip.MustParseAddr("192.0.2.1")
	for range 1000 {
		_, _ = g.AuthenticateDigest(answer(g, "anna", "guess", MD5), from)
	}
	if g.Penalty("anna", from) != maxHold {
		t.Errorf("got %v for the guesser, want %v", g.Penalty("anna", from), maxHold)
	}
	if _, err := g.AuthenticateDigest(answer(g, "anna", password, MD5), from); err != nil {
		t.Errorf("got %v, want let in", err)
	}
}
