package trust_test

import (
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"strconv"
	"time"

	"github.com/secure-systems-lab/go-securesystemslib/cjson"
)

// doc is JSON that can still be bent.
type doc = map[string]any

// key is a key that the test made.
type key struct {
	id      string
	public  doc // as root metadata shows it
	private ed25519.PrivateKey
}

// newKey makes a key out of a name: the same one each time, so that a story can be told again.
func newKey(name string) key {
	seed := sha256.Sum256([]byte(name))
	private := ed25519.NewKeyFromSeed(seed[:])
	public := doc{"keytype": "ed25519", "scheme": "ed25519",
		"keyval": doc{"public": hex.EncodeToString(private.Public().(ed25519.PublicKey))}}
	id := sha256.Sum256(canonical(public))
	return key{hex.EncodeToString(id[:]), public, private}
}

func newKeys(name string, n int) []key {
	var all []key
	for i := range n {
		all = append(all, newKey(name+strconv.Itoa(i)))
	}
	return all
}

// canonical is go-tuf's canonical form, not ours.
func canonical(v any) []byte {
	b := canonicalOrNil(v)
	if b == nil {
		panic(fmt.Sprintf("%v has no canonical form", v))
	}
	return b
}

// canonicalOrNil returns nil for what has none: fractions.
func canonicalOrNil(v any) []byte {
	b, err := cjson.EncodeCanonical(v)
	if err != nil {
		return nil
	}
	return b
}

// team is who signs for a role.
type team struct {
	keys      []key
	threshold int
}

// world is a publisher, its repository, and whoever stands between it and the camera.
type world struct {
	root       []byte // what the camera was made with: the first one that was published
	files      map[string]file
	steps      []step
	now        time.Time
	consistent bool
	hashes     []string // of metadata in metadata
	lengths    bool
	teams      map[string]team
	before     []key // root keys of the root before
	version    map[string]int64
	expires    map[string]time.Time
	targets    map[string][]byte
	custom     doc
	target     string // what the camera is after
	edit       map[string]func(signed doc)
	signers    map[string][]key
	seal       map[string]func(envelope doc)
	raw        map[string]func([]byte) []byte
}

var epoch = time.Date(2027, 3, 1, 12, 0, 0, 0, time.UTC)

var roleNames = []string{"root", "timestamp", "snapshot", "targets"}

func newWorld() *world {
	w := &world{
		files: map[string]file{}, now: epoch, consistent: true, hashes: []string{"sha256"}, lengths: true,
		teams: map[string]team{}, version: map[string]int64{}, expires: map[string]time.Time{},
		targets: map[string][]byte{"cam-1.0.0.img": []byte("the image of release 1.0.0")}, custom: doc{},
		target: "cam-1.0.0.img",
		edit:   map[string]func(doc){}, signers: map[string][]key{}, seal: map[string]func(doc){},
		raw: map[string]func([]byte) []byte{},
	}
	for _, role := range roleNames {
		w.teams[role] = team{newKeys(role, 1), 1}
		w.version[role] = 1
	}
	w.expires["root"] = epoch.AddDate(10, 0, 0)
	w.expires["targets"] = epoch.AddDate(1, 0, 0)
	w.expires["snapshot"] = epoch.AddDate(1, 0, 0)
	w.expires["timestamp"] = epoch.AddDate(0, 0, 7)
	return w
}

// allTeams gives every role so many keys of its own.
func (w *world) allTeams(n, threshold int) {
	for _, role := range roleNames {
		w.teams[role] = team{newKeys(role, n), threshold}
	}
}

// start publishes everything and lets the camera look once, which must go well.
func (w *world) start() {
	w.publish()
	w.look()
}

// publish writes all metadata of the present versions, and the targets. A root that is there stays as it is.
func (w *world) publish() {
	if _, there := w.files[w.path("root")]; !there {
		w.publishRoot()
	}
	w.publishFrom("targets")
}

// publishFrom writes a role's metadata and that of the roles that list it.
func (w *world) publishFrom(role string) {
	if role == "targets" {
		w.writeTargets()
	}
	if role != "timestamp" {
		w.write("snapshot", w.signed("snapshot", doc{"meta": doc{"targets.json": w.listing("targets")}}))
	}
	w.write("timestamp", w.signed("timestamp", doc{"meta": doc{"snapshot.json": w.listing("snapshot")}}))
}

// next publishes newer versions from a role on.
func (w *world) next(role string) {
	for _, r := range map[string][]string{"targets": {"targets", "snapshot", "timestamp"},
		"snapshot": {"snapshot", "timestamp"}, "timestamp": {"timestamp"}}[role] {
		w.version[r]++
	}
	w.publishFrom(role)
}

func (w *world) publishRoot() {
	keys, roles := doc{}, doc{}
	for _, role := range roleNames {
		var ids []any
		for _, k := range w.teams[role].keys {
			keys[k.id] = k.public
			ids = append(ids, k.id)
		}
		roles[role] = doc{"keyids": ids, "threshold": w.teams[role].threshold}
	}
	w.write("root", w.signed("root", doc{"consistent_snapshot": w.consistent, "keys": keys, "roles": roles}))
	if w.root == nil {
		w.root = w.files[w.path("root")].Data
	}
}

// rotate publishes the next root, after change has changed it. The root keys of before sign it, too.
func (w *world) rotate(change func()) {
	w.before = w.teams["root"].keys
	w.version["root"]++
	change()
	w.publishRoot()
	w.before = nil
}

func (w *world) signed(role string, more doc) doc {
	s := doc{"_type": role, "spec_version": "1.0.31", "version": w.version[role],
		"expires": w.expires[role].Format(time.RFC3339)}
	maps.Copy(s, more)
	if edit := w.edit[role]; edit != nil {
		edit(s)
	}
	return s
}

func (w *world) writeTargets() {
	list := doc{}
	for name, data := range w.targets {
		t := doc{"length": len(data), "hashes": sums(data, "sha256")}
		if c, ok := w.custom[name]; ok {
			t["custom"] = c
		}
		list[name] = t
		sum := sha256.Sum256(data)
		dir, base := path.Split(name)
		w.files["targets/"+name] = file{Data: data}
		w.files["targets/"+dir+hex.EncodeToString(sum[:])+"."+base] = file{Data: data}
	}
	w.write("targets", w.signed("targets", doc{"targets": list}))
}

// write signs and stores metadata.
func (w *world) write(role string, signed doc) {
	w.files[w.path(role)] = file{Data: w.bytes(role, signed)}
}

func (w *world) bytes(role string, signed doc) []byte {
	signers := w.signers[role]
	if signers == nil {
		signers = w.teams[role].keys
		if role == "root" {
			signers = merge(w.before, signers)
		}
	}
	e := envelope(signed, signers...)
	if seal := w.seal[role]; seal != nil {
		seal(e)
	}
	b := mustJSON(e)
	if raw := w.raw[role]; raw != nil {
		b = raw(b)
	}
	return b
}

// parseAny reads JSON as the standard library does.
func parseAny(data []byte) (d doc, err error) {
	err = json.Unmarshal(data, &d)
	return d, err
}

func mustJSON(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}

// merge puts two lists of keys together, each key once.
func merge(a, b []key) []key {
	var all []key
	seen := map[string]bool{}
	for _, k := range append(append([]key{}, a...), b...) {
		if !seen[k.id] {
			all, seen[k.id] = append(all, k), true
		}
	}
	return all
}

// envelope signs.
func envelope(signed doc, signers ...key) doc {
	sigs := []any{}
	message := canonical(signed)
	for _, k := range signers {
		sigs = append(sigs, doc{"keyid": k.id, "sig": hex.EncodeToString(ed25519.Sign(k.private, message))})
	}
	return doc{"signed": signed, "signatures": sigs}
}

// path is where the present version of a role's metadata is served.
func (w *world) path(role string) string {
	if role == "root" || role != "timestamp" && w.consistent {
		return fmt.Sprintf("%d.%s.json", w.version[role], role)
	}
	return role + ".json"
}

// listing is what metadata says of a role's metadata.
func (w *world) listing(role string) doc {
	data := w.files[w.path(role)].Data
	l := doc{"version": w.version[role]}
	if w.lengths {
		l["length"] = len(data)
	}
	if len(w.hashes) > 0 {
		l["hashes"] = sums(data, w.hashes...)
	}
	return l
}

func sums(data []byte, algorithms ...string) doc {
	h := doc{}
	for _, a := range algorithms {
		switch a {
		case "sha256":
			sum := sha256.Sum256(data)
			h[a] = hex.EncodeToString(sum[:])
		case "sha512":
			sum := sha512.Sum512(data)
			h[a] = hex.EncodeToString(sum[:])
		default:
			h[a] = "00ff"
		}
	}
	return h
}

// look lets the camera look at what is served now.
func (w *world) look() {
	w.steps = append(w.steps, step{maps.Clone(w.files), w.now, w.target})
}

// serve changes one file that is served.
func (w *world) serve(name string, change func(*file)) {
	f := w.files[name]
	f.Data = append([]byte{}, f.Data...)
	change(&f)
	w.files[name] = f
}

// targetPath is where the target that the camera is after is served.
func (w *world) targetPath() string {
	data := w.targets[w.target]
	if !w.consistent {
		return "targets/" + w.target
	}
	sum := sha256.Sum256(data)
	dir, base := path.Split(w.target)
	return "targets/" + dir + hex.EncodeToString(sum[:]) + "." + base
}
