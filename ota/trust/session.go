package trust

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"
)

// ErrMore: the session took MaxRoots roots. Keep what it trusts, and begin another.
var ErrMore = errors.New("more roots to come")

// stage is how far a session is.
type stage string

const (
	roots     stage = "roots"
	timestamp stage = "timestamp"
	snapshot  stage = "snapshot"
	targets   stage = "targets"
	done      stage = "done"
	failed    stage = "failed" // a file was refused
	paused    stage = "paused" // MaxRoots
)

// Session is one walk through the metadata of a repository. It has one user.
type Session struct {
	rules   Rules
	trusted Trusted
	root    root
	at      stage
	taken   int     // roots
	clock   clock   // once the roots are through
	listed  listing // of what is wanted now
	update  Update
}

// Update is what a session has verified.
type Update struct {
	Root, Timestamp, Snapshot, Version int64 // versions of the metadata; Version is that of targets
	Targets                            []Target
	Doubt                              Doubt     // why freshness is unproven; none: it is proven
	Reached                            time.Time // it is at least this late: the clock, the floor, what a role signed
	Issued                             time.Time // when targets was signed, zero: not told. See Trusted.RaiseFloor
	Consistent                         bool      // names of targets carry hashes: see Target.Path
	Delegates                          bool      // there are delegated roles, which cameras don't follow
}

// Begin starts a session with what the camera trusts.
func Begin(t Trusted, rules Rules) (*Session, error) {
	if rules.Strict && rules.Now.IsZero() {
		return nil, errors.New("begin update session: strict rules need a clock")
	}
	r, err := self(t.Root)
	if err != nil {
		return nil, about("root.json", err)
	}
	return &Session{rules: rules, trusted: t, root: r, at: roots}, nil
}

// File is what a session wants next.
type File struct {
	Name     string // in the directory of the metadata
	Most     int    // bytes; more of it need not be fetched to be refused
	Optional bool   // it may be missing
}

// Want returns the file that comes next, not ok when there is none: Result tells why.
func (s *Session) Want() (f File, ok bool) {
	switch s.at {
	case roots:
		return File{strconv.FormatInt(s.root.version+1, 10) + ".root.json", MaxRoot, true}, true
	case timestamp:
		return File{Name: "timestamp.json", Most: MaxTimestamp}, true
	case snapshot:
		return s.want("snapshot.json", MaxSnapshot), true
	case targets:
		return s.want("targets.json", MaxTargets), true
	}
	return File{}, false
}

// want names metadata that other metadata listed.
func (s *Session) want(name string, most int) File {
	if s.root.consistent {
		name = strconv.FormatInt(s.listed.version, 10) + "." + name
	}
	if n := s.listed.length; n > 0 && n < int64(most) {
		most = int(n)
	}
	return File{Name: name, Most: most}
}

// Take verifies the file that Want named. After an error, a *Refusal, the session is over; what it trusts stays good.
func (s *Session) Take(data []byte) error {
	f, _ := s.Want()
	if len(data) > f.Most {
		return s.end(f, refuse(TooBig, "%d bytes, at most %d", len(data), f.Most))
	}
	var err error
	switch s.at {
	case roots:
		err = s.takeRoot(data)
	case timestamp:
		err = s.takeTimestamp(data)
	case snapshot:
		err = s.takeSnapshot(data)
	case targets:
		err = s.takeTargets(data)
	}
	return s.end(f, err)
}

// Absent says that the carrier does not have the file that Want named.
func (s *Session) Absent() error {
	f, _ := s.Want()
	if !f.Optional {
		return s.end(f, refuse(Missing, "it is not there"))
	}
	return s.end(File{Name: "root.json"}, s.rooted())
}

// end closes the session on an error.
func (s *Session) end(f File, err error) error {
	if err != nil {
		s.at = failed
	}
	return about(f.Name, err)
}

// Trusted returns what has been verified so far, to be kept.
func (s *Session) Trusted() Trusted { return s.trusted }

// Result returns what was verified once Want wants no more. Its error is ErrMore where roots were left over.
func (s *Session) Result() (Update, error) {
	switch s.at {
	case done:
		return s.update, nil
	case paused:
		return Update{}, fmt.Errorf("update session: %w", ErrMore)
	}
	return Update{}, fmt.Errorf("update session: not through: %s", s.at)
}

// takeRoot takes the next root: signed by the one before and by itself (5.3.4 to 5.3.8).
func (s *Session) takeRoot(data []byte) error {
	next, err := openRoot(data)
	if err != nil {
		return err
	}
	if _, err := s.root.verify(rootRole, next.envelope); err != nil {
		return err
	}
	if next.version != s.root.version+1 {
		return refuse(WrongVersion, "version %d, want %d", next.version, s.root.version+1)
	}
	if _, err := next.verify(rootRole, next.envelope); err != nil {
		return err
	}
	s.root, s.trusted.Root = next, slices.Clone(data)
	if s.taken++; s.taken == MaxRoots {
		s.at = paused
	}
	return nil
}

// rooted ends the walk through the roots: the newest one is there, and must be valid (5.3.10).
func (s *Session) rooted() error {
	s.clock = s.rules.clock(s.trusted.Floor, s.root.expires)
	if err := s.clock.check(s.root.expires); err != nil {
		return err
	}
	s.update.Root, s.update.Consistent = s.root.version, s.root.consistent
	s.at = timestamp
	return nil
}

// takeTimestamp is 5.4.
func (s *Session) takeTimestamp(data []byte) error {
	e, err := open(data, timestampRole)
	if err != nil {
		return err
	}
	signers, err := s.root.verify(timestampRole, e)
	if err != nil {
		return err
	}
	if s.listed, err = listed(e.body, "snapshot.json"); err != nil {
		return err
	}
	seen := seenNow(data, e, signers, s.listed.version)
	if s.root.still(timestampRole, s.trusted.Timestamp) {
		if seen, err = s.newer(seen); err != nil {
			return err
		}
	}
	if err := s.clock.check(e.expires); err != nil {
		if !s.rules.Local {
			return err
		}
		s.clock.doubt = Waived
	}
	s.trusted.Timestamp = seen
	s.update.Timestamp = e.version
	s.update.Reached = later(s.clock.at, e.issued)
	s.at = snapshot
	return nil
}

// newer compares a timestamp with the one before, and returns the one to remember. What the owner brings may be an
// older timestamp as long as it names nothing older: it was made before the camera last looked.
func (s *Session) newer(seen Seen) (Seen, error) {
	before := s.trusted.Timestamp
	switch {
	case seen.Lists < before.Lists:
		return seen, refuse(Rollback, "it names snapshot %d, trusted %d before", seen.Lists, before.Lists)
	case seen.Version < before.Version && s.rules.Local:
		return before, nil
	case seen.Version < before.Version:
		return seen, refuse(Rollback, "version %d, trusted %d before", seen.Version, before.Version)
	case seen.Version == before.Version && seen.Sum != before.Sum:
		return seen, refuse(Changed, "version %d again, with other content", seen.Version)
	}
	return seen, nil
}

// takeSnapshot is 5.5.
func (s *Session) takeSnapshot(data []byte) error {
	e, signers, err := s.promised(data, snapshotRole)
	if err != nil {
		return err
	}
	if s.listed, err = listed(e.body, "targets.json"); err != nil {
		return err
	}
	before := s.trusted.Snapshot
	if s.root.still(snapshotRole, before) && s.listed.version < before.Lists {
		return refuse(Rollback, "it names targets %d, trusted %d before", s.listed.version, before.Lists)
	}
	if err := s.clock.check(e.expires); err != nil {
		return err
	}
	s.trusted.Snapshot = seenNow(data, e, signers, s.listed.version)
	s.update.Snapshot = e.version
	s.at = targets
	return nil
}

// takeTargets is 5.6.
func (s *Session) takeTargets(data []byte) error {
	e, _, err := s.promised(data, targetsRole)
	if err != nil {
		return err
	}
	if err := s.clock.check(e.expires); err != nil {
		return err
	}
	if s.update.Targets, err = readTargets(e.body); err != nil {
		return err
	}
	s.update.Version, s.update.Issued = e.version, e.issued
	s.update.Delegates = delegates(e.body)
	s.update.Reached = later(s.update.Reached, e.issued)
	s.update.Doubt = s.clock.doubt
	s.at = done
	return nil
}

// promised opens metadata that other metadata listed: length and hash before anything is read, then who signed it, then
// the version.
func (s *Session) promised(data []byte, role string) (envelope, map[string]bool, error) {
	if err := s.listed.check(data); err != nil {
		return envelope{}, nil, err
	}
	e, err := open(data, role)
	if err != nil {
		return envelope{}, nil, err
	}
	signers, err := s.root.verify(role, e)
	if err != nil {
		return envelope{}, nil, err
	}
	if e.version != s.listed.version {
		return envelope{}, nil, refuse(WrongVersion, "version %d, want %d", e.version, s.listed.version)
	}
	return e, signers, nil
}

// seenNow is what to remember of metadata.
func seenNow(data []byte, e envelope, signers map[string]bool, lists int64) Seen {
	sum := sha256.Sum256(data)
	s := Seen{Version: e.version, Sum: hex.EncodeToString(sum[:]), Lists: lists}
	for _, key := range slices.Sorted(maps.Keys(signers)) {
		s.Signers = append(s.Signers, hex.EncodeToString([]byte(key)))
	}
	return s
}
