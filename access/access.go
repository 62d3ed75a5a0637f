// Package access decides who may do what: one gate for every door (RTSP, the LAN door, the local socket, and the doors to
// come).
//
// Everything hangs on the owner. He holds a key; whom he admits holds a key that he signed a grant for (Ownership), or,
// for players that know nothing else, a viewer's name and password (Gate). All of it lies in one sealed file, so that a
// new owner or a reset ends it at once; without an owner nobody gets in.
//
// A viewer is a name, a role and the two HA1 digests of a random password (RFC 7616 3.4.2, for MD5 and SHA-256) under
// a realm that is random for each owner. Passwords are made here, shown once and never kept. There is no default
// password and no anonymous access. An identifier is never a credential.
//
// Who guesses is slowed, by address and by name, but a right credential always passes at once: nobody can lock a
// viewer out by guessing in his name. What makes guessing hopeless is the password's 100 random bits; the delay keeps
// the noise down.
package access

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/ocellus/ocellus/codec/claim"
	"github.com/ocellus/ocellus/internal/secret"
	"github.com/ocellus/ocellus/internal/statefile"
)

// Errors that callers branch on.
var (
	// ErrDenied: wrong name or wrong credential; which of them stays unsaid.
	ErrDenied = errors.New("denied")
	// ErrExists: there is a viewer of this name already.
	ErrExists = errors.New("viewer exists already")
	// ErrUnknown: there is no viewer of this name.
	ErrUnknown = errors.New("no such viewer")
)

// MaxViewers bounds the file and the time that a look-up takes.
const MaxViewers = 256

// viewer is one entry of the file. The digests open the door as the password does, under this realm.
type viewer struct {
	Role      Role      `json:"role"`
	HA1MD5    string    `json:"ha1_md5"`
	HA1SHA256 string    `json:"ha1_sha256"`
	Created   time.Time `json:"created"`
	Grant     string    `json:"grant,omitempty"` // id of the grant by which he came, and with which he goes
}

// Viewer is what may be shown of one.
type Viewer struct {
	Name    string    `json:"name"`
	Role    Role      `json:"role"`
	Created time.Time `json:"created"`
	Grant   string    `json:"grant,omitempty"` // id of the grant by which he came
}

// Gate is what the owner's file says to doors that know only names and passwords. NewGate is the only door; its methods
// may be called at once from many goroutines.
type Gate struct {
	owner   *Ownership // nil: the camera does not know who it is, and nobody gets in
	log     *slog.Logger
	realm   string // while there is no owner
	decoy   viewer // stands in for an unknown name, so that it costs the same as a known one
	guesses *throttle
}

// NewGate makes the gate. owner is nil where the camera does not know who it is.
func NewGate(owner *Ownership, log *slog.Logger) *Gate {
	g := &Gate{owner: owner, log: log.With("part", "access"), realm: newRealm(), guesses: newThrottle()}
	g.decoy = digests("", g.realm, secret.Secret(rand.Text()))
	return g
}

func newRealm() string { return strings.ToLower(rand.Text()[:16]) }

// Realm is the protection space that the digests were made for: random, and fixed while there is one owner.
func (g *Gate) Realm() string {
	realm, _ := g.admitted()
	return realm
}

// admitted returns what holds now.
func (g *Gate) admitted() (realm string, viewers map[string]viewer) {
	if g.owner == nil {
		return g.realm, nil
	}
	s := g.owner.snapshot()
	if s == nil || s.Realm == "" {
		return g.realm, nil
	}
	return s.Realm, s.Viewers
}

// Viewers lists the viewers by name.
func (g *Gate) Viewers() []Viewer {
	list := []Viewer{}
	_, viewers := g.admitted()
	for name, v := range viewers {
		list = append(list, Viewer{Name: name, Role: v.Role, Created: v.Created, Grant: v.Grant})
	}
	slices.SortFunc(list, func(a, b Viewer) int { return strings.Compare(a.Name, b.Name) })
	return list
}

// AddViewer admits a new viewer and returns the password, which is nowhere kept: whoever loses it removes the viewer
// and adds it again. The viewer is on the disk when AddViewer returns. ErrUnclaimed where there is nobody who could admit
// somebody.
func (g *Gate) AddViewer(name string, role Role) (secret.Secret, error) {
	if !role.known() {
		return "", fmt.Errorf("add viewer %s: role %q is not one of %s", name, role, roleNames())
	}
	return g.add(name, func(*owned) (viewer, error) { return viewer{Role: role}, nil })
}

// AddGranted admits a viewer for somebody who holds a grant: for his players that know only passwords. The viewer may
// what the grant says, while it holds.
func (g *Gate) AddGranted(name string, grant [16]byte) (secret.Secret, error) {
	return g.add(name, func(s *owned) (viewer, error) {
		id := hex.EncodeToString(grant[:])
		granted, err := claim.ParseGrant(s.Grants[id], s.Owner)
		if err != nil {
			return viewer{}, fmt.Errorf("add viewer %s: no grant %s: %w", name, id, ErrUnknown)
		}
		return viewer{Role: Role(granted.Role), Grant: id}, nil
	})
}

func (g *Gate) add(name string, what func(s *owned) (viewer, error)) (secret.Secret, error) {
	if err := ValidName(name); err != nil {
		return "", err
	}
	password := secret.Secret(strings.ToLower(rand.Text()[:passwordLength]))
	var added viewer
	err := g.update(func(s *owned) (err error) {
		if _, ok := s.Viewers[name]; ok {
			return fmt.Errorf("add viewer %s: %w", name, ErrExists)
		}
		if len(s.Viewers) >= MaxViewers {
			return fmt.Errorf("add viewer %s: there are %d already, remove one first", name, len(s.Viewers))
		}
		if added, err = what(s); err != nil {
			return err
		}
		v := digests(name, s.Realm, password)
		v.Role, v.Grant, v.Created = added.Role, added.Grant, time.Now().UTC().Truncate(time.Second)
		s.Viewers[name] = v
		return nil
	})
	if err != nil {
		return "", err
	}
	g.log.Info("viewer added", "name", name, "role", added.Role)
	return password, nil
}

// RemoveViewer takes a viewer's access away, at once.
func (g *Gate) RemoveViewer(name string) error {
	err := g.update(func(s *owned) error {
		if _, ok := s.Viewers[name]; !ok {
			return fmt.Errorf("remove viewer %q: %w", name, ErrUnknown)
		}
		delete(s.Viewers, name)
		return nil
	})
	if err == nil {
		g.log.Info("viewer removed", "name", name)
	}
	return err
}

// update changes the owner's file.
func (g *Gate) update(edit func(s *owned) error) error {
	if g.owner == nil {
		return ErrUnclaimed
	}
	return g.owner.update(edit)
}

// Still reports whether an identity that AuthenticateDigest once returned would be let in now: its viewer was not
// removed, nor removed and added again, the owner is the same, and the grant by which he came, if he did, still holds. A
// door asks from time to time on behalf of a session that lasts.
func (g *Gate) Still(id Identity) bool {
	_, viewers := g.admitted()
	v, ok := viewers[id.Name]
	if !ok || v.HA1SHA256 != id.credential || v.Role != id.Role {
		return false
	}
	_, ok = g.allowed(v, time.Now())
	return ok
}

// allowed tells what of his role a viewer may now (nil: all of it), and whether he may anything.
func (g *Gate) allowed(v viewer, now time.Time) (scope []Action, ok bool) {
	if v.Grant == "" {
		return nil, true
	}
	s := g.owner.snapshot()
	if s == nil {
		return nil, false
	}
	granted, err := claim.ParseGrant(s.Grants[v.Grant], s.Owner)
	if err != nil || !holds(granted, now) {
		return nil, false
	}
	return identityOf(granted).scope, true
}

// Penalty tells how long a door holds back its refusal to this name and address: nothing at first, longer with each
// failure, less again as time goes by. A right credential is never asked to wait.
func (g *Gate) Penalty(name string, from netip.Addr) time.Duration {
	return g.guesses.penalty(time.Now(), name, from)
}

// ValidName checks a viewer's name: 1 to 32 of a-z, A-Z, 0-9, dot, dash, underscore, so that it stands in a URL, in a
// digest and in a log as it is.
func ValidName(name string) error {
	if len(name) < 1 || len(name) > 32 {
		return fmt.Errorf("viewer name %.40q: want 1 to 32 characters, got %d", name, len(name))
	}
	for _, c := range name {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '.', c == '-', c == '_':
		default:
			return fmt.Errorf("viewer name %q: %q is not one of a-z A-Z 0-9 . - _", name, c)
		}
	}
	return nil
}

// Check says how many viewers the owner's file in a place holds and all that is wrong with it, and changes nothing. No
// file is no fault: there is no owner then. What a newer release wrote has its own names and roles.
func Check(sealedOwner statefile.Place) (viewers int, err error) {
	state, version, err := statefile.At[owned](sealedOwner, ownedVersion).Load()
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return 0, nil
	case err != nil:
		return 0, err
	}
	var faults []error
	for _, name := range slices.Sorted(maps.Keys(state.Viewers)) {
		if err := state.Viewers[name].check(name); err != nil && version <= ownedVersion {
			faults = append(faults, fmt.Errorf("load %s: %w: %w", sealedOwner, statefile.ErrCorrupt, err))
		}
	}
	return len(state.Viewers), errors.Join(faults...)
}

// check says what keeps a viewer out: nobody could let him in by an entry like this.
func (v viewer) check(name string) error {
	if err := ValidName(name); err != nil {
		return err
	}
	md5, err1 := hex.DecodeString(v.HA1MD5)
	sha256, err2 := hex.DecodeString(v.HA1SHA256)
	const md5Size, sha256Size = 16, 32
	if err1 != nil || err2 != nil || len(md5) != md5Size || len(sha256) != sha256Size {
		return fmt.Errorf("viewer %s: the digests are not whole", name)
	}
	if !v.Role.known() {
		return fmt.Errorf("viewer %s: role %q is not one of %s", name, v.Role, roleNames())
	}
	return nil
}
