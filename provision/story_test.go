package provision

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ocellus/ocellus/codec/label"
	"github.com/ocellus/ocellus/codec/qrtext"
	"github.com/ocellus/ocellus/hal"
	"github.com/ocellus/ocellus/internal/monotime"
	"github.com/ocellus/ocellus/internal/secret"
	"github.com/ocellus/ocellus/provision/smartconfig"
)

const (
	homePassword = "p@ssw0rd!"
	homeCode     = "WIFI:T:WPA;S:HomeNet;P:p@ssw0rd!;;"
	wrongCode    = "WIFI:T:WPA;S:HomeNet;P:not that one;;"
)

func home() *place { return &place{password: homePassword, channel: 6, takes: 2 * time.Second} }

// stories are lives of a camera, each in a bubble of its own. What a story leaves behind must hold its network's name
// and password nowhere but in the sealed file.
func stories() map[string]func(t *testing.T, w *world) {
	return map[string]func(t *testing.T, w *world){
		"a standard code gives a network and no owner":    plainCode,
		"a screen that is too bright is read":             tooBright,
		"our code gives a network and says who may claim": ownCode,
		"a wrong password is shown, and not tried again":  wrongPassword,
		"a code that can be read in two ways":             twoReadings,
		"a code of no use is shown":                       uselessCode,
		"a phone tells a network by air":                  byAir,
		"a phone gives a network by Wi-Fi Easy Connect":   byEasyConnect,
		"protocols that anyone can read are off":          legacyOff,
		"the channels change":                             fewerChannels,
		"a camera with an owner parses nothing":           claimedIsDeaf,
		"the inputs close when the camera is claimed":     claimedWhileListening,
		"the owner changes the network":                   ownerChanges,
		"a bad network of the owner is left within 60 s":  ownerErrs,
		"a camera with an owner joins for ever":           joinsForEver,
		"a lost network of nobody's camera":               lostNetwork,
		"the network is forgotten":                        forgets,
		"an open network of the same name gets nothing":   rogue,
		"the radio's driver comes back":                   driverGone,
		"a camera without pictures and without monitor":   noInputs,
		"a store that fails stops everything":             storeFails,
		"what is new is heard while nobody owns it":       isHeard,
	}
}

func TestStories(t *testing.T) {
	t.Parallel()
	for name, story := range stories() {
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.radio.networks["HomeNet"] = home()
				story(t, w)
				for _, word := range []string{homePassword, "HomeNet", "not that one"} {
					if strings.Contains(w.log.String(), word) {
						t.Errorf("the log holds %q:\n%s", word, &w.log)
					}
					for path, n := range w.disk.names {
						if strings.Contains(string(n.data), word) {
							t.Errorf("%s holds %q", path, word)
						}
					}
				}
			})
		})
	}
}

func plainCode(t *testing.T, w *world) {
	e, stop := w.start()
	w.await(time.Second, "the lamp says that it listens", w.shows(hal.Listening))
	w.lens.hold(t, homeCode)
	w.await(time.Second, "the lamp says that it joins", w.shows(hal.Joining))
	w.await(5*time.Second, "in the network", w.in("HomeNet"))
	w.await(time.Second, "the lamp says that nobody owns it", w.shows(hal.Unclaimed))
	if s := e.Status(); s.State != Provisioned || s.SSID != "HomeNet" || s.Reason != NoReason || w.owner.expected() != 0 {
		t.Errorf("got %+v, %d tokens", s, w.owner.expected())
	}
	w.owner.claim()
	w.await(time.Second, "the lamp says that all is well", w.shows(hal.Ready))
	if err := stop(); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	_, stop = w.start() // the radio does not remember, the camera does
	w.radio.in = ""
	w.await(5*time.Second, "in the network again", w.in("HomeNet"))
	_ = stop()
}

// tooBright: exposures take turns while a code is looked for, and only then.
func tooBright(t *testing.T, w *world) {
	w.lens.hold(t, "")
	_, stop := w.start()
	w.await(10*time.Second, "the third turn", func() bool { _, n := w.lens.exposures(); return n >= 3 })
	w.lens.glaring(true)
	w.lens.hold(t, homeCode)
	took := w.await(6*time.Second, "in the network", w.in("HomeNet"))
	t.Logf("in the network after %v", took)
	w.await(time.Second, "stored", w.shows(hal.Unclaimed))
	w.lens.glaring(false)
	w.lens.hold(t, "")
	w.owner.claim()
	<-time.After(time.Second) // the lens is closed
	_, changes := w.lens.exposures()
	<-time.After(20 * time.Second)
	if now, n := w.lens.exposures(); now != 0 || n != changes {
		t.Errorf("with an owner: exposure %d, changed %d times", now, n-changes)
	}
	_ = stop()

	fixed := newWorld(t)
	fixed.radio.networks["HomeNet"] = home()
	fixed.lens.fixed = true
	fixed.lens.hold(t, "")
	_, stop = fixed.start()
	<-time.After(5 * time.Second)
	fixed.lens.hold(t, homeCode)
	fixed.await(5*time.Second, "in the network", fixed.in("HomeNet"))
	_ = stop() // who reads the log must not be beside who writes it
	if fixed.log.Len() == 0 || strings.Contains(fixed.log.String(), "exposure") {
		t.Errorf("a camera that can't: %s", &fixed.log)
	}
}

// TestSecurityWords: what a network has that is never joined is said by name.
func TestSecurityWords(t *testing.T) {
	t.Parallel()
	for has, want := range map[hal.Security]Reason{hal.SecurityWEP: TooOld, hal.SecurityWPA1: TooOld,
		hal.SecurityEnterprise: Enterprise, hal.SecurityOWE: NoPassword, hal.SecurityOpen: Security, hal.SecurityOther: Security} {
		err := fmt.Errorf("join: %w", &hal.SecurityError{Network: has})
		if got := reasonOf(err); got != want || got.Text() == "" || got.pattern() != hal.NotJoined {
			t.Errorf("%s: got %q (%s), want %q", has, got, got.Text(), want)
		}
	}
	if got := reasonOf(hal.ErrSecurity); got != Security {
		t.Errorf("got %q", got)
	}
}

func isHeard(t *testing.T, w *world) {
	sounds := func(what string, want ...hal.Pattern) {
		t.Helper()
		var tunes [][]hal.Tone
		for _, p := range want {
			tunes = append(tunes, tune(p))
		}
		if got := w.beeps.heard(); !reflect.DeepEqual(got, tunes) {
			t.Errorf("%s: heard %v, want %v", what, got, tunes)
		}
	}
	_, stop := w.start()
	<-time.After(10 * time.Second)
	sounds("listening")
	w.lens.hold(t, wrongCode)
	w.await(10*time.Second, "told", w.shows(hal.BadPassword))
	sounds("a wrong password", hal.Joining, hal.BadPassword)
	w.lens.hold(t, homeCode)
	w.await(10*time.Second, "in the network", w.shows(hal.Unclaimed))
	sounds("the right one", hal.Joining, hal.Unclaimed)
	w.owner.claim()
	w.await(time.Second, "claimed", w.shows(hal.Ready))
	sounds("claimed", hal.Ready)
	_ = stop()
	_, stop = w.start()
	w.await(10*time.Second, "in the network again", w.shows(hal.Ready))
	_ = stop()
	sounds("a start with an owner")
}

func ownCode(t *testing.T, w *world) {
	key := ed25519.NewKeyFromSeed(make([]byte, 32)).Public().(ed25519.PublicKey)
	_, stop := w.start()
	w.lens.hold(t, w.sealedCode(w.label, wpa("HomeNet", homePassword), key))
	w.await(5*time.Second, "in the network", w.in("HomeNet"))
	w.await(time.Second, "a token is expected", func() bool { return w.owner.expected() > 0 })
	if by, token := w.owner.claimant(); by != label.FingerprintOf(key) || token != testToken() || w.radio.country != "DE" {
		t.Errorf("got owner %v, token right %v, country %q", by, token == testToken(), w.radio.country)
	}
	// The same code, still before the lens, changes nothing; one with another owner of the same network does.
	tries := len(w.radio.tries)
	other := ed25519.NewKeyFromSeed([]byte("another seed of thirty-two bytes")).Public().(ed25519.PublicKey)
	w.lens.hold(t, w.sealedCode(w.label, wpa("HomeNet", homePassword), other))
	w.await(time.Second, "the other's token is expected", func() bool {
		by, _ := w.owner.claimant()
		return by == label.FingerprintOf(other)
	})
	if len(w.radio.tries) != tries {
		t.Error("the network was joined again")
	}
	_ = stop()
}

func wrongPassword(t *testing.T, w *world) {
	w.radio.networks["HomeNet"].hint = hal.ErrPassword
	e, stop := w.start()
	w.lens.hold(t, wrongCode)
	w.await(2*time.Second, "the lamp shows the likely reason", w.shows(hal.BadPassword))
	if s := e.Status(); s.State != Joining || s.Reason != BadPassword || !s.Likely {
		t.Errorf("during the trial: %+v", s)
	}
	w.await(5*time.Second, "listening again", func() bool { return e.Status().State == Listening })
	if s := e.Status(); s.Reason != BadPassword || s.Likely || w.lamp.shown() != hal.BadPassword {
		t.Errorf("got %+v, lamp %v", s, w.lamp.shown())
	}
	<-time.After(showFailure / 2)
	if n := len(w.radio.tries); n != 1 || w.lamp.shown() != hal.BadPassword {
		t.Errorf("%d tries of a code that is still before the lens, lamp %v", n, w.lamp.shown())
	}
	w.radio.networks["HomeNet"].hint = nil
	w.lens.hold(t, homeCode)
	w.await(5*time.Second, "in the network", w.in("HomeNet"))
	_ = stop()
}

func twoReadings(t *testing.T, w *world) {
	w.radio.networks["100%41"] = &place{password: "12345678"}
	w.radio.networks["Net A"] = &place{password: "abcdefgh"}
	_, stop := w.start()
	w.lens.hold(t, "WIFI:T:WPA;S:Net%20A;P:abcdefgh;;")
	w.await(10*time.Second, "the second reading", w.in("Net A"))
	if first := w.radio.tries[0].SSID; first != "Net%20A" {
		t.Errorf("first tried %q", first)
	}
	w.lens.hold(t, "WIFI:T:WPA;S:100%41;P:12345678;;")
	w.await(10*time.Second, "the first reading", w.in("100%41"))
	_ = stop()
}

func uselessCode(t *testing.T, w *world) {
	key := ed25519.NewKeyFromSeed(make([]byte, 32)).Public().(ed25519.PublicKey)
	another := w.label
	another.Fingerprint[0]++
	for text, want := range map[string]Reason{
		w.sealedCode(another, wpa("HomeNet", homePassword), key): OtherCamera,
		"WIFI:T:WEP;S:HomeNet;P:12345;;":                         NotJoinable,
		"WIFI:R:1;S:HomeNet;I:id;P:12345678;;":                   NotJoinable,
		"WIFI:T:SAE;S:HomeNet;P:1234567;;":                       NotJoinable,
		"WIFI:T:WPA;S:HomeNet;P:pässwörd;;":                      NotJoinable,
		"OC9:ABC":                                                Newer,
	} {
		e, stop := w.start()
		w.lens.hold(t, text)
		w.await(time.Second, "the lamp", w.shows(hal.NotJoined))
		if s := e.Status(); s.State != Listening || s.Reason != want || s.Reason.Text() == "" {
			t.Errorf("got %+v, want %v", s, want)
		}
		w.lens.hold(t, "https://example.com/a-poster")
		w.await(codeFault+time.Second, "the lamp afterwards", w.shows(hal.Listening))
		_ = stop()
	}
	if len(w.radio.tries) > 0 {
		t.Errorf("tried %v", w.radio.tries)
	}
}

func byAir(t *testing.T, w *world) {
	answered := make(chan *smartconfig.Credentials, 1)
	w.o.Tell = func(_ context.Context, l hal.Link, c *smartconfig.Credentials) error {
		if l.SSID == "HomeNet" {
			answered <- c
		}
		return nil
	}
	who := smartconfig.Claimant{Token: testToken(), Owner: [20]byte{7}}
	m := smartconfig.Message{SSID: []byte("HomeNet"), Password: homePassword, Key: w.label.Secret.Printed(),
		BSSID: [6]byte{2, 0, 0, 0, 0, 1}, Reserved: who.Text()}
	e, stop := w.start()
	ctx, cancel := context.WithCancel(t.Context())
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		w.phone(ctx, 6, smartconfig.ESPTouch2, m)
	}()
	took := w.await(30*time.Second, "in the network", w.in("HomeNet"))
	t.Logf("in the network %v after the phone began, 2 s of them for the join", took)
	if c := <-answered; c.Protocol != smartconfig.ESPTouch2 {
		t.Errorf("answered %v", c.Protocol)
	}
	w.await(time.Second, "a token is expected", func() bool { return w.owner.expected() == 1 })
	if by, token := w.owner.claimant(); by != who.Owner || token != who.Token {
		t.Errorf("got %v", by)
	}
	opened := w.radio.openings()
	<-time.After(20 * time.Second) // the phone goes on: a camera in a network does not listen to the air
	if w.radio.openings() != opened || e.Status().State != Provisioned {
		t.Errorf("the air was opened again, state %v", e.Status().State)
	}
	cancel()
	<-gone
	_ = stop()
}

// byEasyConnect: the air and the key on the label take turns, a phone that began is not cut short, and its network is
// nobody's claim.
func byEasyConnect(t *testing.T, w *world) {
	e, stop := w.start()
	w.await(10*time.Second, "the first turn", func() bool { return w.radio.enrolled() > 0 })
	turns, airs := w.radio.enrolled(), w.radio.openings()
	<-time.After(20 * time.Second)
	if n, air := w.radio.enrolled()-turns, w.radio.openings()-airs; n < 2 || n > 4 || air < 2 {
		t.Errorf("in 20 s %d turns, the air was opened %d times", n, air)
	}
	w.radio.give(&hal.Credentials{SSID: "HomeNet", Security: hal.SecurityOther})
	w.await(3*exchange, "a network that can't be joined is shown", w.shows(hal.NotJoined))
	w.radio.give(&hal.Credentials{SSID: "HomeNet", Passphrase: homePassword})
	w.await(30*time.Second, "in the network", w.in("HomeNet"))
	w.await(time.Second, "stored", w.shows(hal.Unclaimed))
	n := w.radio.enrolled()
	<-time.After(20 * time.Second)
	if s := e.Status(); w.radio.enrolled() != n || s.State != Provisioned || w.owner.expected() > 0 {
		t.Errorf("%d turns in the network, %+v, %d tokens", w.radio.enrolled()-n, s, w.owner.expected())
	}
	_ = stop()

	alone := newWorld(t) // a radio that can't listen to the air
	alone.radio.networks["HomeNet"] = home()
	alone.o.Monitor = nil
	_, stop = alone.start()
	alone.await(time.Second, "it waits for phones", func() bool { return alone.radio.enrolled() > 0 })
	alone.radio.give(&hal.Credentials{SSID: "HomeNet", Passphrase: homePassword})
	alone.await(20*time.Second, "in the network", alone.in("HomeNet"))
	alone.owner.claim()
	_ = stop()
}

// TestTurns: a phone that calls five times, every ten seconds, is heard whenever it begins, though a change of turns takes
// a second; and so is one that calls more often, for as long.
func TestTurns(t *testing.T) {
	t.Parallel()
	const change = time.Second
	for _, every := range []time.Duration{10 * time.Second, 5 * time.Second, 3 * time.Second, time.Second} {
		worst := 0
		for begin := time.Duration(0); begin < bothTurns; begin += 10 * time.Millisecond {
			calls := 1
			for at := begin; ; at += every {
				if d, air := left(at); !air && d < enrollTurn-change {
					break
				}
				calls++
			}
			worst = max(worst, calls)
		}
		if time.Duration(worst)*every > 50*time.Second {
			t.Errorf("a phone that calls every %v is heard at call %d", every, worst)
		}
	}
}

// fewerChannels: a regulatory domain that somebody else changed is no reason to listen no more.
func fewerChannels(t *testing.T, w *world) {
	_, stop := w.start()
	w.await(5*time.Second, "the air is open", func() bool { return w.radio.openings() > 0 })
	w.radio.mu.Lock()
	w.radio.narrow = true
	w.radio.mu.Unlock()
	<-time.After(10 * time.Second)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		w.phone(ctx, 6, smartconfig.ESPTouch2, smartconfig.Message{SSID: []byte("HomeNet"), Password: homePassword,
			Key: w.label.Secret.Printed()})
	}()
	w.await(time.Minute, "in the network", w.in("HomeNet"))
	cancel()
	<-gone
	_ = stop()
}

func legacyOff(t *testing.T, w *world) {
	m := smartconfig.Message{SSID: []byte("HomeNet"), Password: homePassword}
	e, stop := w.start()
	for _, p := range []smartconfig.Protocol{smartconfig.ESPTouch1, smartconfig.ESPTouch2Plain, smartconfig.AirKiss} {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		w.phone(ctx, 6, p, m)
		cancel()
	}
	if len(w.radio.tries) > 0 || e.Status().State != Listening {
		t.Errorf("tried %v, state %v", w.radio.tries, e.Status().State)
	}
	_ = stop()
	w.o.Legacy = smartconfig.ESPTouch1
	m.Reserved = smartconfig.Claimant{}.Text() // v1 has no room for it, and could not say it
	_, stop = w.start()
	ctx, cancel := context.WithTimeout(t.Context(), 40*time.Second)
	go func() { w.await(40*time.Second, "in the network", w.in("HomeNet")); cancel() }()
	w.phone(ctx, 6, smartconfig.ESPTouch1, m)
	<-ctx.Done()
	if w.owner.expected() > 0 {
		t.Error("a protocol that anyone can send said who may claim")
	}
	_ = stop()
}

// settled makes a camera that is in HomeNet and has an owner.
func settled(t *testing.T, w *world) {
	t.Helper()
	_, stop := w.start()
	w.lens.hold(t, homeCode)
	w.await(5*time.Second, "in the network", w.in("HomeNet"))
	w.await(time.Second, "stored", w.shows(hal.Unclaimed))
	w.owner.claim()
	_ = stop()
	w.radio.in = ""
}

func claimedIsDeaf(t *testing.T, w *world) {
	w.radio.networks["Evil"] = &place{password: "12345678", channel: 6}
	settled(t, w)
	looks, airs := w.lens.seen(), w.radio.openings()
	w.o.Legacy = smartconfig.Legacy()
	_, stop := w.start()
	w.lens.hold(t, "WIFI:T:WPA;S:Evil;P:12345678;;")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for _, p := range []smartconfig.Protocol{smartconfig.ESPTouch1, smartconfig.AirKiss, smartconfig.TuyaEZ} {
		w.phone(ctx, 6, p, smartconfig.Message{SSID: []byte("Evil"), Password: "12345678"})
	}
	if w.lens.seen() != looks || w.radio.openings() != airs || w.radio.joined() != "HomeNet" {
		t.Errorf("%d looks, %d openings of the air, in %q", w.lens.seen()-looks, w.radio.openings()-airs, w.radio.joined())
	}
	_ = stop()
}

func claimedWhileListening(t *testing.T, w *world) {
	e, stop := w.start()
	w.await(5*time.Second, "the air is open", func() bool { return w.radio.openings() > 0 })
	w.lens.hold(t, "")
	w.owner.claim() // by wire
	w.await(time.Second, "no more listening", func() bool { return e.Status().State == Unprovisioned })
	w.await(time.Second, "the lamp", w.shows(hal.Ready))
	looks, airs := w.lens.seen(), w.radio.openings()
	w.lens.hold(t, homeCode)
	<-time.After(time.Minute)
	if w.lens.seen() != looks || w.radio.openings() != airs || len(w.radio.tries) > 0 {
		t.Errorf("%d looks, %d openings, %d tries", w.lens.seen()-looks, w.radio.openings()-airs, len(w.radio.tries))
	}
	if err := e.Change(t.Context(), Offer{Networks: []qrtext.Network{wpa("HomeNet", homePassword)}}); err != nil {
		t.Fatal(err)
	}
	w.await(5*time.Second, "its owner's word counts", w.in("HomeNet"))
	_ = stop()
}

func ownerChanges(t *testing.T, w *world) {
	w.radio.networks["Office"] = &place{password: "another one", takes: 5 * time.Second}
	settled(t, w)
	reached := make(chan hal.SSID, 8)
	w.o.Reach = func(_ context.Context, l hal.Link) error { reached <- l.SSID; return nil }
	e, stop := w.start()
	w.await(5*time.Second, "in the network", w.in("HomeNet"))
	for name, bad := range map[string]Offer{
		"none": {}, "no name": {Networks: []qrtext.Network{wpa("", "another one")}},
		"short": {Networks: []qrtext.Network{wpa("Office", "short")}},
	} {
		if err := e.Change(t.Context(), bad); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	begin := time.Now()
	if err := e.Change(t.Context(), Offer{Networks: []qrtext.Network{wpa("Office", "another one")}}); err != nil {
		t.Fatal(err)
	}
	if w.radio.joined() != "HomeNet" || time.Since(begin) > courtesy {
		t.Errorf("the answer comes after %v, from %q", time.Since(begin), w.radio.joined())
	}
	third := Offer{Networks: []qrtext.Network{wpa("Third", "another one")}}
	if err := e.Change(t.Context(), third); !errors.Is(err, ErrBusy) {
		t.Errorf("a second change meanwhile: %v", err)
	}
	w.await(7*time.Second, "in the new network", w.in("Office"))
	if got := <-reached; got != "Office" {
		t.Errorf("looked for what must be reached in %q", got)
	}
	_ = stop()
}

func ownerErrs(t *testing.T, w *world) {
	w.radio.networks["Hole"] = &place{password: "12345678", takes: time.Hour}
	w.radio.networks["NoDHCP"] = &place{password: "12345678", takes: 12 * time.Second, fails: hal.ErrNoAddress}
	w.radio.networks["NoRouter"] = &place{password: "12345678", takes: 9 * time.Second, fails: hal.ErrNoGateway}
	w.radio.networks["Island"] = &place{password: "12345678", takes: 2 * time.Second}
	w.radio.networks["HomeNet"].takes = 15 * time.Second // a slow way back
	settledAt := func() { w.await(20*time.Second, "in the old network", w.in("HomeNet")) }
	w.lens.hold(t, homeCode)
	_, stop := w.start()
	settledAt()
	w.await(time.Second, "stored", w.shows(hal.Unclaimed))
	w.owner.claim()
	_ = stop()
	w.o.Reach = func(ctx context.Context, l hal.Link) error {
		if l.SSID == "Island" {
			return monotime.Pause(ctx, time.Hour)
		}
		return nil
	}
	e, stop := w.start()
	settledAt()
	for name, want := range map[string]Reason{"Hole": Timeout, "NoDHCP": NoAddress, "NoRouter": NoGateway,
		"Nowhere": NoNetwork, "Island": Unreached} {
		if err := e.Change(t.Context(), Offer{Networks: []qrtext.Network{wpa(name, "12345678")}}); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		w.await(2*time.Second, name+": left", func() bool { return w.radio.joined() == "" })
		w.await(time.Minute, name+": back", func() bool {
			return w.radio.joined() == "HomeNet" && e.Status().Link.SSID == "HomeNet"
		})
		if s := e.Status(); s.Reason != want || s.State != Provisioned {
			t.Errorf("%s: got %+v, want %v", name, s, want)
		}
		<-time.After(time.Second)
	}
	_ = stop()
}

func joinsForEver(t *testing.T, w *world) {
	settled(t, w)
	delete(w.radio.networks, "HomeNet")
	_, stop := w.start()
	<-time.After(time.Hour)
	if w.lens.seen() == 0 || w.lamp.shown() != hal.NoNetwork && w.lamp.shown() != hal.Joining {
		t.Errorf("lamp %v", w.lamp.shown())
	}
	w.radio.networks["HomeNet"] = home()
	w.await(lastRejoin+returnLimit, "in the network", w.in("HomeNet"))
	_ = stop()
}

func lostNetwork(t *testing.T, w *world) {
	w.lens.hold(t, homeCode)
	_, stop := w.start()
	w.await(5*time.Second, "in the network", w.in("HomeNet"))
	w.await(time.Second, "stored", w.shows(hal.Unclaimed))
	_ = stop()
	w.lens.hold(t, "")
	w.radio.in = ""
	delete(w.radio.networks, "HomeNet")
	w.radio.networks["Second"] = &place{password: "12345678", channel: 1}
	e, stop := w.start()
	w.await(10*time.Second, "listening", func() bool { return e.Status().State == Listening })
	w.radio.networks["HomeNet"] = home()
	w.await(firstRetry+10*time.Second, "back by itself", w.in("HomeNet"))
	w.lens.hold(t, "WIFI:T:WPA;S:Second;P:12345678;;") // a wrong network is put right without a reset
	w.await(10*time.Second, "in another", w.in("Second"))
	_ = stop()
}

func forgets(t *testing.T, w *world) {
	settled(t, w)
	e, stop := w.start()
	w.await(5*time.Second, "in the network", w.in("HomeNet"))
	w.lens.hold(t, "")
	if err := e.Forget(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.await(time.Second, "out of it", func() bool { return w.radio.joined() == "" })
	if s := e.Status(); s.State != Unprovisioned || s.SSID != "" {
		t.Errorf("got %+v", s)
	}
	w.owner.mu.Lock()
	w.owner.claimed = false
	w.owner.mu.Unlock()
	w.await(2*time.Second, "listening", func() bool { return e.Status().State == Listening })
	_ = stop()
}

// rogue: without a password in the air, and with another one.
func rogue(t *testing.T, w *world) {
	w.radio.networks["HomeNet"].password = ""
	e, stop := w.start()
	w.lens.hold(t, homeCode)
	w.await(10*time.Second, "refused", func() bool { return e.Status().Reason == Security })
	for _, c := range w.radio.tries {
		if c.Security != hal.SecurityTransition {
			t.Errorf("asked for %q", c.Security)
		}
	}
	w.await(time.Minute, "still listening", func() bool { return e.Status().State == Listening })
	_ = stop()
}

func driverGone(t *testing.T, w *world) {
	settled(t, w)
	_, stop := w.start()
	w.await(5*time.Second, "in the network", w.in("HomeNet"))
	w.radio.mu.Lock()
	w.radio.gone = true
	w.radio.mu.Unlock()
	w.await(lookAtLink+time.Second, "out", func() bool { return w.radio.joined() == "" })
	w.await(10*time.Second, "in the network again", w.in("HomeNet"))
	_ = stop()
}

func noInputs(t *testing.T, w *world) {
	w.o.Monitor, w.o.LED = nil, nil
	w.lens.onlyFor = hal.ErrUnsupported
	e, stop := w.start()
	w.await(time.Second, "listening", func() bool { return e.Status().State == Listening })
	if n, err := e.Networks(t.Context()); err != nil || len(n) != 1 {
		t.Errorf("got %v, %v", n, err)
	}
	if err := e.Change(t.Context(), Offer{Networks: []qrtext.Network{{SSID: "HomeNet", Security: qrtext.WPA,
		Password: secret.Secret(homePassword)}}}); err != nil {
		t.Fatal(err)
	}
	w.await(5*time.Second, "in the network", w.in("HomeNet"))
	_ = stop()
}

func storeFails(t *testing.T, w *world) {
	e, stop := w.start()
	w.await(time.Second, "listening", func() bool { return e.Status().State == Listening })
	w.disk.mu.Lock()
	w.disk.cut = 0
	w.disk.mu.Unlock()
	w.lens.hold(t, homeCode)
	<-time.After(time.Second)
	if err := stop(); !errors.Is(err, errStore) {
		t.Errorf("got %v", err)
	}
	if len(w.radio.tries) > 0 {
		t.Error("tried before it was stored")
	}
}
