package provision

import (
	"fmt"
	"slices"
)

// State is how far the camera is on its way into a network. Whose it is stands elsewhere (Owner), in one place.
//
//	                      +-------------------------- back: its old network -------------------------+
//	                      |                                                                          v
//	unprovisioned --listen--> listening --offer--> joining --joined--> checking --reached--> provisioned
//	   |      ^                |  ^   |             |  ^ |other           |                      |  |
//	   |      +------owned-----+  |   |             |  +-+                |                      |  |
//	   |                          |   |             |                     |                      |  |
//	   |                          +---)-- failed ---+----------<----------+                      |  |
//	   |                          |   |                                                          |  |
//	   |                          |   +-------------- back, after a while ---------------------->+  |
//	   |                          +---------------------- listen: it is gone ------------<----------+
//	   +------- offer: its owner's word ----> joining <---- offer: another network ---------<-------+
//
// forgotten leads from each to unprovisioned. failed is for a trial behind which there is no old network; with one,
// back is the same write for success of the way back and for a power cut. While there is an owner, listening is never
// entered, and owned or back leaves it: his word alone is an offer.
type State string

// The states. They are stored: none is ever renamed.
const (
	Unprovisioned State = "unprovisioned" // it knows no network, and listens for none
	Listening     State = "listening"     // every input is open: the lens, the air, the doors
	Joining       State = "joining"       // it tries a network; an old one is kept
	Checking      State = "checking"      // it has an address there, and looks for what it must reach
	Provisioned   State = "provisioned"   // it has a network that worked, and joins it at each start
)

// event is what leads from one state to another.
type event string

const (
	listen    event = "listen"
	owned     event = "owned"
	offered   event = "offer"
	other     event = "other" // the second reading of a code that can be read in two ways
	joined    event = "joined"
	reached   event = "reached"
	failed    event = "failed"
	back      event = "back"
	forgotten event = "forgotten"
)

// row is one arrow of the diagram.
type row struct {
	from []State
	on   event
	to   State
}

func rows() []row {
	return []row{
		{[]State{Unprovisioned, Provisioned}, listen, Listening},
		{[]State{Listening}, owned, Unprovisioned},
		{[]State{Unprovisioned, Listening, Provisioned}, offered, Joining},
		{[]State{Joining}, other, Joining},
		{[]State{Joining}, joined, Checking},
		{[]State{Checking}, reached, Provisioned},
		{[]State{Joining, Checking}, failed, Listening},
		{[]State{Listening, Joining, Checking}, back, Provisioned},
		{[]State{Unprovisioned, Listening, Joining, Checking, Provisioned}, forgotten, Unprovisioned},
	}
}

// next returns where an event leads.
func next(s State, on event) (State, error) {
	for _, r := range rows() {
		if r.on == on && slices.Contains(r.from, s) {
			return r.to, nil
		}
	}
	return "", fmt.Errorf("provision: %s while %s", on, s)
}

// recovered says what a stored memory means after a start, whatever cut the last life short; "" for: go on by it.
//
//	stored                          means
//	unprovisioned, listening        nothing was under way
//	joining, checking, old network  the trial is over: the old one holds
//	joining, checking               the trial is over: listen, the phone shows its code again
//	provisioned                     join that network
//	provisioned without a network   begin anew
func recovered(m memory) event {
	switch m.State {
	case Unprovisioned, Listening:
		return ""
	case Joining, Checking:
		if m.Network != nil {
			return back
		}
		return failed
	case Provisioned:
		if m.Network != nil {
			return ""
		}
	}
	return forgotten
}

// Reason is why the camera is not in the network that it was given.
type Reason string

// The reasons. They reach the owner's phone: none is ever renamed.
const (
	NoReason    Reason = ""
	NoNetwork   Reason = "no_network"
	BadPassword Reason = "wrong_password"
	NoAddress   Reason = "no_address"
	NoGateway   Reason = "no_gateway"
	Unreached   Reason = "unreached"
	Refused     Reason = "refused"
	Security    Reason = "security"
	TooOld      Reason = "security_too_old"    // WEP, WPA of the first kind
	Enterprise  Reason = "security_enterprise" // 802.1X
	NoPassword  Reason = "security_owe"        // encrypted without a password
	Country     Reason = "country"
	Timeout     Reason = "timeout"
	Interrupted Reason = "interrupted" // by a power cut
	RadioFault  Reason = "radio"
	// Of codes that were read and are of no use.
	OtherCamera Reason = "other_camera"
	Newer       Reason = "newer_release"
	NotJoinable Reason = "not_joinable"
)
