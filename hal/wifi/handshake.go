package wifi

import (
	"errors"
	"time"

	"golang.org/x/sys/unix"
)

// A handshake without an end: where an access point is slow to answer an association, the station asks again, and the
// access point begins the 4-way handshake anew (message 1, in plain) while the station has its keys already. From then
// on neither takes a frame of the other. A plain deauthentication would end that, but not where management frames are
// protected (WPA3, IEEE 802.11w): what a station does with one is to ask by an SA Query whether it was meant, and
// wpa_supplicant 2.10 asks only while its state is COMPLETED (sme_event_unprot_disconnect). Its own limit is for the
// first handshake alone. So it would stay there for ever, associated and deaf.
//
// Anybody on the air can send a message 1. wpa_supplicant's setting wpa_deny_ptk0_rekey would begin anew at each, so
// anybody could take the network away. Here it is no reason to leave while the gateway answers.

// Values of wpa_state in wpa_supplicant's STATUS (wpa_supplicant_state_txt).
const (
	stateCompleted = "COMPLETED"
	stateHandshake = "4WAY_HANDSHAKE"
)

// handshakePatience is for a handshake that begins anew: the access point gives up after 4.1 s.
const handshakePatience = 8 * time.Second

// associateAnew makes wpa_supplicant leave the access point and look for the network again. REASSOCIATE would only scan:
// in the middle of a handshake its results lead nowhere. The second word follows whatever becomes of the first, whose
// answer may be late: who was told to leave alone would never look again.
func (s *supplicant) associateAnew() error {
	return errors.Join(s.demand("DISCONNECT"), s.demand("RECONNECT"))
}

// deaf reports whether nothing is known to come through while wpa_supplicant is in a handshake. Where that lasts, it
// has it associate anew.
func (r *Radio) deaf(s *supplicant) (bool, error) {
	index, err := indexOf(r.o.Interface)
	if err != nil {
		return true, err
	}
	w, err := look(index, true)
	if err != nil {
		return true, err
	}
	if w.gateway.IsValid() && w.neighbours[w.gateway] == unix.NUD_REACHABLE {
		r.agreeing = time.Time{}
		return false, nil
	}
	if r.agreeing.IsZero() {
		r.agreeing = time.Now()
	}
	if time.Since(r.agreeing) > handshakePatience {
		r.agreeing = time.Time{}
		return true, s.associateAnew()
	}
	if w.gateway.IsValid() {
		_ = provoke(index, w.gateway) // the kernel asks; the next call sees what came of it
	}
	return true, nil
}
