package access

import (
	"slices"
	"strings"
)

// Role is what an identity is to the camera. The strings are on disk.
type Role string

// The roles.
const (
	Owner     Role = "owner"     // decides everything
	Member    Role = "member"    // of the owner's household: watches and asks how the camera is
	Watcher   Role = "viewer"    // watches
	Installer Role = "installer" // sets the camera up, without admitting anybody
)

// The roles that nobody can be granted: at the serial line of a board alone.
const (
	Factory   Role = "factory"   // who makes the camera, until it has its first owner
	bystander Role = "bystander" // see Bystander
)

// Action is something that a door lets an identity do or not.
type Action string

// The actions.
const (
	Watch     Action = "watch"     // live pictures and snapshots
	Inspect   Action = "inspect"   // status, figures, what the board has
	Configure Action = "configure" // change how the camera works
	Admit     Action = "admit"     // add and remove viewers, grant and revoke
	Update    Action = "update"    // put another release on the camera
	Own       Action = "own"       // hand the camera over, unbind it
	Move      Action = "move"      // give the camera another network
	Test      Action = "test"      // have the board test itself: pass or fail, nothing of what the camera sees or knows
	Make      Action = "make"      // finish a camera that is new: read its label
)

// May is the table of the roles. A role that a newer release wrote and this one does not know may nothing.
func (r Role) May(a Action) bool {
	switch r {
	case Owner:
		return true
	case Member:
		return a == Watch || a == Inspect || a == Test
	case Watcher:
		return a == Watch
	case Installer:
		return a == Watch || a == Inspect || a == Configure || a == Test
	case Factory:
		return a == Inspect || a == Configure || a == Update || a == Move || a == Test || a == Make
	case bystander:
		return a == Inspect || a == Move || a == Test
	}
	return false
}

// Roles lists the roles of this release.
func Roles() []Role { return []Role{Owner, Member, Watcher, Installer} }

func (r Role) known() bool { return slices.Contains(Roles(), r) }

func roleNames() string {
	var names []string
	for _, r := range Roles() {
		names = append(names, string(r))
	}
	return strings.Join(names, ", ")
}

// Identity is somebody whom the gate let in.
type Identity struct {
	Name string
	Role Role

	credential string   // the digest that it proved to know, or the key that it proved to hold; Still compares it
	scope      []Action // what of the role was granted; nil: all of it
}

// May reports whether the identity's role, and what of it was granted, allows an action.
func (i Identity) May(a Action) bool {
	return i.Role.May(a) && (i.scope == nil || slices.Contains(i.scope, a))
}
