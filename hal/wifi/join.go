package wifi

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/ocellus/ocellus/hal"
)

// Join implements hal.Radio.
func (r *Radio) Join(ctx context.Context, c hal.Credentials, first func(error)) (hal.Link, error) {
	if err := c.Check(); err != nil {
		return hal.Link{}, fmt.Errorf("join by %s: %w", r.o.Interface, err)
	}
	l, err := r.join(ctx, c, first)
	if err != nil {
		return hal.Link{}, fmt.Errorf("join %q by %s: %w", c.SSID, r.o.Interface, err)
	}
	return l, nil
}

func (r *Radio) join(ctx context.Context, credentials hal.Credentials, first func(error)) (hal.Link, error) {
	c, s, err := r.sending(ctx)
	if err != nil {
		return hal.Link{}, err
	}
	defer c.end()
	defer s.close()
	r.joined = nil
	j := &join{call: c, supplicant: s, credentials: credentials, first: first}
	if err := j.run(); err != nil {
		return hal.Link{}, errors.Join(err, r.forget())
	}
	l, err := r.link()
	if err == nil && l == (hal.Link{}) {
		err = hal.ErrNoNetwork // it went away in this instant
	}
	if err != nil {
		return hal.Link{}, errors.Join(err, r.forget())
	}
	r.joined = &credentials
	return l, nil
}

// stage is how far a join has come.
type stage int

const (
	associating stage = iota // wpa_supplicant looks for the network, and agrees keys with it
	addressing               // associated: the board's DHCP client asks
	routing                  // there is an address, and no default route yet
	probing                  // the gateway was asked whether it is there
)

// join is one Join under way.
type join struct {
	call
	*supplicant
	*watch
	credentials hal.Credentials
	first       func(error)
	id          string // of the network in wpa_supplicant

	judge   judge
	scanned bool         // results came since the last "not found": else that says nothing about now
	found   hal.Security // of a network of that name that the credentials do not suit
	asked   time.Time    // when the scan was asked for whose results are to come
	sign    error
	stage   stage
	begin   time.Time // of the stage
	anew    bool      // it was connected, and is in a handshake again
}

// run leaves what was joined before and joins.
func (j *join) run() error {
	if err := j.demand("REMOVE_NETWORK all"); err != nil {
		return err
	}
	index, err := indexOf(j.radio.o.Interface)
	if err != nil {
		return err
	}
	if j.watch, err = newWatch(index); err != nil {
		return err
	}
	defer j.watch.close()
	if err := j.settle(); err != nil {
		return err
	}
	j.asked = time.Now()
	if j.id, err = j.choose(j.credentials); err != nil {
		return err
	}
	return j.follow()
}

// settlePatience is for the board's DHCP client, which gives an address up when the network it is of is left. One that
// stays was put there by somebody else, for good.
const settlePatience = 2 * time.Second

// settle waits until the address of the network before has gone.
func (j *join) settle() error {
	timer := time.NewTimer(settlePatience)
	defer timer.Stop()
	for j.ways().address.IsValid() {
		select {
		case <-j.news:
		case <-j.changed:
		case <-timer.C:
			return nil
		case <-j.Done():
			return j.cause()
		}
	}
	return nil
}

// choose tells wpa_supplicant a network, and returns the number that it has there.
func (s *supplicant) choose(c hal.Credentials) (id string, err error) {
	answer, err := s.ask("ADD_NETWORK")
	if err != nil {
		return "", err
	}
	id = strings.TrimSpace(answer)
	if _, err := strconv.Atoi(id); err != nil {
		return "", fmt.Errorf("ADD_NETWORK: %w: %q", errFail, answer)
	}
	// Both ways to derive SAE's element, and scans a second apart while nothing is found.
	if err := errors.Join(s.demand("SET sae_pwe 2"), s.demand("SCAN_INTERVAL 1")); err != nil {
		return "", err
	}
	for _, setting := range settings(c) {
		if err := s.demand("SET_NETWORK", id, setting[0], setting[1]); err != nil {
			return "", fmt.Errorf("%s: %w", setting[0], err)
		}
	}
	return id, s.demand("SELECT_NETWORK", id)
}

// settings are the lines of wpa_supplicant.conf's network block. Its parser takes a text up to the last quotation mark
// of the line, whatever stands in between, and a passphrase has printable characters alone.
func settings(c hal.Credentials) [][2]string {
	list := [][2]string{{"ssid", hex.EncodeToString([]byte(c.SSID))}, {"scan_ssid", "0"}}
	if c.Hidden {
		list[1][1] = "1"
	}
	if c.Passphrase == "" {
		return append(list, [2]string{"key_mgmt", "NONE"})
	}
	keys, protection := "WPA-PSK WPA-PSK-SHA256 SAE", "1" // the best that both know; protected management frames, too
	switch {
	case c.Passphrase.Raw(), c.Security == hal.SecurityWPA2:
		keys = "WPA-PSK WPA-PSK-SHA256"
	case c.Security == hal.SecurityWPA3:
		keys, protection = "SAE", "2"
	}
	psk := `"` + string(c.Passphrase) + `"`
	if c.Passphrase.Raw() {
		psk = string(c.Passphrase)
	}
	return append(list, [2]string{"proto", "RSN"}, [2]string{"pairwise", "CCMP"}, [2]string{"key_mgmt", keys},
		[2]string{"ieee80211w", protection}, [2]string{"psk", psk})
}

// errJoined ends follow.
var errJoined = errors.New("joined")

// follow takes what wpa_supplicant and the kernel tell until the join has succeeded or failed.
func (j *join) follow() error {
	tick := time.NewTicker(25 * time.Millisecond) // much finer than any patience
	defer tick.Stop()
	j.begin = time.Now()
	beat := j.begin
	for {
		var err error
		select {
		case e, ok := <-j.news:
			if !ok {
				return errGone
			}
			err = j.hear(e)
		case <-j.changed:
			err = j.look()
		case now := <-tick.C:
			if now.Sub(beat) > heartbeat {
				beat, err = now, j.check()
			}
			if err == nil {
				err = j.patience(now)
			}
		case <-j.Done():
			return because(j.sign, j.cause())
		}
		if err == errJoined {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// check asks whether wpa_supplicant is there, and whether it has told that it is connected: it drops what it can't send.
// That it is not any more, because a handshake began anew, is no event.
func (j *join) check() error {
	answer, err := j.ask("STATUS")
	if err != nil {
		return err
	}
	switch state := parseValues(answer)["wpa_state"]; {
	case state == stateCompleted && j.stage == associating:
		return j.connected()
	case state == stateHandshake && j.stage != associating:
		j.enter(associating)
		j.anew = true
	case state == stateHandshake && j.anew && time.Since(j.begin) > handshakePatience:
		j.leave()
		return j.associateAnew()
	}
	return nil
}

// connected is for wpa_supplicant's word that it has the keys.
func (j *join) connected() error {
	j.enter(addressing)
	j.anew = false
	return j.look()
}

// leave is for its word that it looks for the network from the beginning.
func (j *join) leave() {
	j.enter(associating)
	j.anew = false
}

// because adds why a join was likely to fail to what ended it before that was sure.
func because(sign, end error) error {
	if sign == nil {
		return end
	}
	return fmt.Errorf("%w (%w)", sign, end)
}

// suspect tells the caller of the first sign of a failure.
func (j *join) suspect(sign error) {
	if j.sign == nil && j.first != nil {
		j.first(sign)
	}
	j.sign = sign
}

func (j *join) enter(s stage) { j.stage, j.begin = s, time.Now() }

// hear takes an event.
func (j *join) hear(e event) error {
	switch e.name {
	case eventTerminating:
		return errGone
	case eventScanResults:
		j.scanned = true
	case eventConnected:
		return j.connected()
	case eventDisconnected:
		j.leave()
	}
	known := suitable
	if e.name == eventNotFound {
		if !j.scanned { // it looked at results of before
			return nil
		}
		j.scanned = false
		var err error
		if known, err = j.known(); err != nil {
			return err
		}
	}
	sign, sure := j.judge.hear(e, known)
	if sign == nil {
		return nil
	}
	if sign == hal.ErrSecurity && j.found != "" {
		sign = &hal.SecurityError{Network: j.found}
	}
	j.suspect(sign)
	if sure {
		return fmt.Errorf("%w: %s", sign, e.text)
	}
	return j.again(e)
}

// known returns what the last scan found under the network's name. wpa_supplicant remembers others for a while.
func (j *join) known() (knowledge, error) {
	if err := j.demand("BSS_FLUSH", strconv.Itoa(1+int(time.Since(j.asked).Seconds()))); err != nil {
		return absent, err
	}
	list, err := j.entries()
	if err != nil {
		return absent, err
	}
	k := absent
	for _, e := range list {
		switch {
		case e.SSID != j.credentials.SSID:
		case j.credentials.Suit(e.Security):
			return suitable, nil
		default:
			k, j.found = unsuitable, e.Security
		}
	}
	return k, nil
}

// again has a second attempt made at once: wpa_supplicant would wait for seconds.
func (j *join) again(e event) error {
	if e.name != eventNotFound {
		return j.demand("SELECT_NETWORK", j.id)
	}
	j.asked = time.Now()
	scan := "SCAN only_new=1 passive=1" // in the other way than before: see actively
	if j.credentials.Hidden {
		scan = "SCAN only_new=1"
	}
	_, err := j.ask(scan) // it may be busy with one
	return err
}

// look takes what the kernel tells of addresses and neighbours.
func (j *join) look() error {
	w := j.ways()
	if j.stage == addressing && w.address.IsValid() {
		j.enter(routing)
	}
	if j.stage == routing && w.gateway.IsValid() {
		j.enter(probing)
		if err := provoke(j.index, w.gateway); err != nil {
			return fmt.Errorf("%w: %w", hal.ErrNoGateway, err)
		}
	}
	if j.stage == probing {
		switch yes, known := w.gatewayAnswers(); {
		case yes:
			return errJoined
		case known:
			j.suspect(hal.ErrNoGateway)
			return fmt.Errorf("%w: %v does not answer ARP", hal.ErrNoGateway, w.gateway)
		}
	}
	return nil
}

// patience says what it means that nothing came for so long.
func (j *join) patience(now time.Time) error {
	waited := now.Sub(j.begin)
	switch j.stage {
	case addressing:
		return j.lose(waited, addressSign, addressPatience, hal.ErrNoAddress)
	case routing:
		if waited > routePatience {
			return errJoined // a network that leads nowhere else
		}
	case probing:
		return j.lose(waited, gatewaySign, gatewayPatience, hal.ErrNoGateway)
	}
	return nil
}

// lose tells of a sign, and of what is sure, by the time that was waited.
func (j *join) lose(waited, sign, sure time.Duration, why error) error {
	if waited > sign && j.sign != why {
		j.suspect(why)
	}
	if waited > sure {
		return fmt.Errorf("%w within %v", why, sure)
	}
	return nil
}
