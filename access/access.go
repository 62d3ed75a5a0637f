// Package access decides who may do what: one gate for every door (RTSP, the local socket, and the doors to come).
//
// A viewer is a name, a role and the two HA1 digests of a random password (RFC 7616 3.4.2, for MD5 and SHA-256) under
// a realm that is random for each device. Passwords are made here, shown once and never kept. There is no default
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
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

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

const (
	fileName    = "viewers.json"
	fileVersion = 1
)

// persisted is viewers.json. Fields are only ever added.
type persisted struct {
	Realm   string            `json:"realm"`
	Viewers map[string]viewer `json:"viewers"`
}

// viewer is one entry of the file. The digests open the door as the password does, under this realm.
type viewer struct {
	Role      Role      `json:"role"`
	HA1MD5    string    `json:"ha1_md5"`
	HA1SHA256 string    `json:"ha1_sha256"`
	Created   time.Time `json:"created"`
}

// Viewer is what may be shown of one.
type Viewer struct {
	Name    string    `json:"name"`
	Role    Role      `json:"role"`
	Created time.Time `json:"created"`
}

// Gate is the one gate. Open is the only door; its methods may be called at once from many goroutines.
type Gate struct {
	file  *statefile.File[persisted]
	log   *slog.Logger
	fresh bool
	decoy viewer // stands in for an unknown name, so that it costs the same as a known one

	change sync.Mutex   // one change at a time, over its file write too
	mu     sync.RWMutex // guards state
	state  persisted    // never changed in place: replaced

	guesses *throttle
}

// Open reads viewers.json in dir. Where there is none, or a damaged one (which is set aside: nobody gets in by a file
// that can't be read), it begins with a new realm and no viewers, and Fresh says so.
func Open(dir string, log *slog.Logger) (*Gate, error) {
	path := filepath.Join(dir, fileName)
	g := &Gate{
		file:    statefile.New[persisted](path, fileVersion),
		log:     log.With("part", "access"),
		guesses: newThrottle(),
	}
	state, version, err := g.file.Load()
	if err == nil && state.Realm == "" {
		err = fmt.Errorf("load %s: %w: no realm", path, statefile.ErrCorrupt)
	}
	switch {
	case err == nil:
		if version > fileVersion {
			g.log.Warn("viewers were written by a newer release, kept as they are", "version", version)
		}
		g.state = state
	case errors.Is(err, statefile.ErrCorrupt):
		aside, asideErr := statefile.SetAside(path)
		if asideErr != nil {
			return nil, errors.Join(err, asideErr)
		}
		g.log.Error("viewers file is damaged, beginning a new one", "err", err, "set_aside", aside)
		g.begin()
	case errors.Is(err, fs.ErrNotExist):
		g.begin()
	default:
		return nil, err
	}
	g.decoy = digests("", g.state.Realm, secret.Secret(rand.Text()))
	return g, nil
}

func (g *Gate) begin() {
	g.fresh = true
	g.state = persisted{Realm: strings.ToLower(rand.Text()[:16])}
}

// Fresh reports whether this device had no viewers file: its first start, or the first after a reset.
func (g *Gate) Fresh() bool { return g.fresh }

// Realm is the protection space that the digests were made for: random, and fixed for this device.
func (g *Gate) Realm() string { return g.snapshot().Realm }

func (g *Gate) snapshot() persisted {
	g.mu.RLock()
	defer g.mu.RUnlock()
	return g.state
}

// Viewers lists the viewers by name.
func (g *Gate) Viewers() []Viewer {
	var list []Viewer
	for name, v := range g.snapshot().Viewers {
		list = append(list, Viewer{Name: name, Role: v.Role, Created: v.Created})
	}
	slices.SortFunc(list, func(a, b Viewer) int { return strings.Compare(a.Name, b.Name) })
	return list
}

// AddViewer admits a new viewer and returns the password, which is nowhere kept: whoever loses it removes the viewer
// and adds it again. The viewer is on the disk when AddViewer returns.
func (g *Gate) AddViewer(name string, role Role) (secret.Secret, error) {
	if err := ValidName(name); err != nil {
		return "", err
	}
	if !role.known() {
		return "", fmt.Errorf("add viewer %s: role %q is not one of %s", name, role, roleNames())
	}
	password := secret.Secret(strings.ToLower(rand.Text()[:passwordLength]))
	err := g.update(func(viewers map[string]viewer, realm string) error {
		if _, ok := viewers[name]; ok {
			return fmt.Errorf("add viewer %s: %w", name, ErrExists)
		}
		if len(viewers) >= MaxViewers {
			return fmt.Errorf("add viewer %s: there are %d already, remove one first", name, len(viewers))
		}
		v := digests(name, realm, password)
		v.Role, v.Created = role, time.Now().UTC().Truncate(time.Second)
		viewers[name] = v
		return nil
	})
	if err != nil {
		return "", err
	}
	g.log.Info("viewer added", "name", name, "role", role)
	return password, nil
}

// RemoveViewer takes a viewer's access away, at once.
func (g *Gate) RemoveViewer(name string) error {
	err := g.update(func(viewers map[string]viewer, _ string) error {
		if _, ok := viewers[name]; !ok {
			return fmt.Errorf("remove viewer %q: %w", name, ErrUnknown)
		}
		delete(viewers, name)
		return nil
	})
	if err == nil {
		g.log.Info("viewer removed", "name", name)
	}
	return err
}

// update changes a copy, writes it, and only then lets it count.
func (g *Gate) update(edit func(viewers map[string]viewer, realm string) error) error {
	g.change.Lock()
	defer g.change.Unlock()
	old := g.snapshot()
	next := persisted{Realm: old.Realm, Viewers: make(map[string]viewer, len(old.Viewers)+1)}
	for name, v := range old.Viewers {
		next.Viewers[name] = v
	}
	if err := edit(next.Viewers, next.Realm); err != nil {
		return err
	}
	if err := g.file.Store(next); err != nil {
		return err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.state = next
	return nil
}

// Still reports whether an identity that AuthenticateDigest once returned would be let in now: its viewer was not
// removed, nor removed and added again. A door asks from time to time on behalf of a session that lasts.
func (g *Gate) Still(id Identity) bool {
	v, ok := g.snapshot().Viewers[id.Name]
	return ok && v.HA1SHA256 == id.credential && v.Role == id.Role
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

// Check says how many viewers the file in dir holds and all that is wrong with it, and changes nothing. No file is no
// fault: the first start makes one. What a newer release wrote has its own names and roles.
func Check(dir string) (viewers int, err error) {
	path := filepath.Join(dir, fileName)
	state, version, err := statefile.New[persisted](path, fileVersion).Load()
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return 0, nil
	case err != nil:
		return 0, err
	case state.Realm == "":
		return 0, fmt.Errorf("load %s: %w: no realm", path, statefile.ErrCorrupt)
	}
	var faults []error
	for _, name := range slices.Sorted(maps.Keys(state.Viewers)) {
		if err := state.Viewers[name].check(name); err != nil && version <= fileVersion {
			faults = append(faults, fmt.Errorf("load %s: %w: %w", path, statefile.ErrCorrupt, err))
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

// Knows reports whether a password is the viewer's, without counting as a guess: for the agent itself, which kept one.
func (g *Gate) Knows(name string, password secret.Secret) bool {
	state := g.snapshot()
	v, ok := state.Viewers[name]
	return ok && digests(name, state.Realm, password).HA1SHA256 == v.HA1SHA256
}
