// Package trust decides which update metadata a camera believes: TUF 1.0 (https://theupdateframework.github.io/
// specification/v1.0.33/), the client's workflow of section 5.3 to 5.6, with Ed25519 alone. Bytes in, verdict out: it
// opens no file, no connection and no clock, whatever carries the metadata (a web server, a bundle, a card).
//
// A Session asks for one file after another, and verifies each before it asks for the next:
//
//	           Want                       what is verified
//	roots      N+1.root.json, optional    by the keys of root N, and by its own; no file: the root is the newest
//	timestamp  timestamp.json             by the root's keys; not older than before; not expired
//	snapshot   V.snapshot.json            version, length and hash by the timestamp; targets not older than before
//	targets    V.targets.json             version, length and hash by the snapshot
//	done       nothing                    Update tells what the targets metadata names
//
// Trusted is what a camera remembers between sessions. It only grows: whoever keeps every Trusted that a session has
// reached is never led back, and goes on where a power cut stopped it.
//
// Where this differs from the standard, and why, is in docs/ota-trust.md; Rules.Strict takes all differences in time
// away. The agreement with go-tuf's client is a test of this package.
package trust

import (
	"bytes"
	"encoding/hex"
	"slices"
	"time"
)

// MaxRoots is how many new roots one session takes. A camera that slept through more goes on in another session.
const MaxRoots = 64

// Trusted is what a camera remembers. The zero value trusts nobody.
//
// Its JSON is kept by internal/statefile, so that fields are only ever added.
type Trusted struct {
	Root      []byte    `json:"root"`      // the newest root, as it was published
	Timestamp Seen      `json:"timestamp"` // the newest timestamp
	Snapshot  Seen      `json:"snapshot"`  // the newest snapshot
	Floor     time.Time `json:"time_floor"`
}

// Seen is what is remembered of metadata: enough to know whether other metadata is older, and whether the keys that
// signed it still speak for its role. Where they don't, it is as if it had never been seen, which is how a repository
// recovers when a thief of its keys had published a version that nobody could surpass (TUF 1.0, 5.3.11).
type Seen struct {
	Version int64    `json:"version"` // 0: nothing seen
	Sum     string   `json:"sum"`     // SHA-256 of the file
	Signers []string `json:"signers"` // the public keys whose signatures counted
	Lists   int64    `json:"lists"`   // the version that it names: a timestamp the snapshot's, a snapshot the targets'
}

// Adopt takes a root that this camera trusts by another way than a repository: the one in its own verified system. It
// replaces an older one and leaves a newer one alone.
func (t *Trusted) Adopt(data []byte) error {
	fresh, err := self(data)
	if err != nil {
		return about("root.json", err)
	}
	if old, _ := self(t.Root); old.version >= fresh.version {
		return nil
	}
	t.Root = data
	return nil
}

// RaiseFloor says that it is at least this late. The floor never goes back. Only what nobody on the network can forge
// may raise it, since metadata that expired before the floor is refused: the build time of a confirmed system,
// Update.Issued of a confirmed one, the time that the owner's phone told.
func (t *Trusted) RaiseFloor(at time.Time) {
	if at.After(t.Floor) {
		t.Floor = at.UTC()
	}
}

// Equal reports whether two remember the same, so that nothing need be written.
func (t Trusted) Equal(o Trusted) bool {
	return bytes.Equal(t.Root, o.Root) && t.Timestamp.equal(o.Timestamp) && t.Snapshot.equal(o.Snapshot) &&
		t.Floor.Equal(o.Floor)
}

func (s Seen) equal(o Seen) bool {
	return s.Version == o.Version && s.Sum == o.Sum && s.Lists == o.Lists && slices.Equal(s.Signers, o.Signers)
}

// self reads a root that vouches for itself.
func self(data []byte) (root, error) {
	if len(data) == 0 {
		return root{}, refuse(NoRoot, "this camera has none")
	}
	if len(data) > MaxRoot {
		return root{}, refuse(TooBig, "%d bytes, at most %d", len(data), MaxRoot)
	}
	r, err := openRoot(data)
	if err != nil {
		return root{}, err
	}
	if _, err := r.verify(rootRole, r.envelope); err != nil {
		return root{}, err
	}
	return r, nil
}

// still reports whether metadata that was seen before would be believed under a root.
func (r root) still(name string, s Seen) bool {
	known := map[string]bool{}
	for _, id := range r.roles[name].keyIDs {
		known[hex.EncodeToString(r.keys[id])] = true
	}
	var count int64
	for _, key := range s.Signers {
		if known[key] {
			known[key] = false
			count++
		}
	}
	return count >= r.roles[name].threshold
}
