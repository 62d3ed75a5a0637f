package smartconfig

import (
	"slices"
	"testing"
	"time"

	"github.com/ocellus/ocellus/codec/dot11"
)

func channels13() []int {
	var list []int
	for c := range 13 {
		list = append(list, c+1)
	}
	return list
}

func testNetworks() []Network {
	return []Network{
		{SSID: []byte("far"), BSSID: dot11.Addr{2, 0, 0, 0, 1, 1}, Channel: 1, Signal: -80},
		{SSID: []byte("HomeNet"), BSSID: testAP, Channel: 11, Signal: -40},
		{SSID: []byte("near"), BSSID: dot11.Addr{2, 0, 0, 0, 1, 3}, Channel: 6, Signal: -60},
		{SSID: []byte("also on 6"), BSSID: dot11.Addr{2, 0, 0, 0, 1, 4}, Channel: 6, Signal: -30},
		{SSID: []byte("not allowed"), BSSID: dot11.Addr{2, 0, 0, 0, 1, 5}, Channel: 36, Signal: -20},
	}
}

// hop follows a plan that hears nothing, and returns the channels that it visits.
func hop(p *Plan, at *time.Duration, steps int) []int {
	var visited []int
	for range steps {
		s := p.Next(*at)
		visited = append(visited, s.Channel)
		*at = s.Until
	}
	return visited
}

// TestPlanHops: strongest network first, only where there are networks, all allowed channels now and then.
func TestPlanHops(t *testing.T) {
	t.Parallel()
	var at time.Duration
	p := NewPlan(0, channels13(), testNetworks())
	got := hop(p, &at, 9+13)
	want := []int{6, 11, 1, 6, 11, 1, 6, 11, 1, 6, 11, 1, 2, 3, 4, 5, 7, 8, 9, 10, 12, 13}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if spent := 22 * planDwell; at != spent {
		t.Errorf("took %v, want %v", at, spent)
	}
	at = 0
	if got := hop(NewPlan(0, channels13(), nil), &at, 13); !slices.Equal(got, channels13()) {
		t.Errorf("no networks: got %v, want each allowed channel", got)
	}
	at = 0
	if got := hop(NewPlan(0, []int{7}, nil), &at, 2); !slices.Equal(got, []int{7, 7}) {
		t.Errorf("one channel: got %v", got)
	}
}

// TestPlanLearns: a network whose beacon is heard is looked for like one that the scan found. Nobody fills the memory.
func TestPlanLearns(t *testing.T) {
	t.Parallel()
	var at time.Duration
	p := NewPlan(0, channels13(), nil)
	hop(p, &at, 6)
	p.Beacon(dot11.Beacon{BSSID: testAP, Channel: 6, Signal: -50})
	p.Beacon(dot11.Beacon{BSSID: dot11.Addr{2}, Channel: 36, Signal: -20}) // not allowed
	hop(p, &at, 7)
	if got := hop(p, &at, 4); !slices.Equal(got, []int{6, 6, 6, 1}) {
		t.Errorf("got %v, want channel 6 until the next wide sweep", got)
	}
	for n := range 2 * planHomes {
		p.Beacon(dot11.Beacon{BSSID: dot11.Addr{4, 0, 0, 0, byte(n >> 8), byte(n)}, Channel: 1})
	}
	if len(p.networks) > planHomes {
		t.Errorf("%d networks are remembered", len(p.networks))
	}
}

// TestPlanRescans: after half a minute without a lock somebody may have come.
func TestPlanRescans(t *testing.T) {
	t.Parallel()
	p := NewPlan(0, channels13(), testNetworks())
	var scans []time.Duration
	for at := time.Duration(0); at < 65*time.Second; {
		s := p.Next(at)
		if s.Scan {
			scans = append(scans, at)
			p.Scanned(at, testNetworks()[:1])
			if s = p.Next(at); s.Channel != 1 {
				t.Errorf("after the scan: channel %d, want 1", s.Channel)
			}
		}
		at = s.Until
	}
	if len(scans) != 2 || scans[0] != planRescan {
		t.Errorf("scans at %v, want every %v", scans, planRescan)
	}
}

// TestPlanLocks: suspicion, lock, progress, and giving up.
func TestPlanLocks(t *testing.T) {
	t.Parallel()
	p := NewPlan(0, channels13(), testNetworks())
	var at time.Duration
	hop(p, &at, 1)
	p.Next(at) // on 11
	sees := func(stage Stage, gain bool) Sighting {
		return Sighting{BSSID: testAP, SA: testPhone, Stage: stage, Gain: gain}
	}
	if p.Heard(at, sees(Foreign, false), 11) || p.Heard(at, sees(Locked, true), 6) {
		t.Error("the plan cares for a foreign sender, or one that was captured on another channel")
	}
	if !p.Heard(at, sees(Suspected, false), 11) || p.State() != Lingering {
		t.Errorf("state %v after a suspicion", p.State())
	}
	if s := p.Next(at); s.Channel != 11 || s.Until != at+planLinger {
		t.Errorf("got %+v, want to linger until %v", s, at+planLinger)
	}
	if !p.Heard(at, sees(Locked, true), 11) || p.State() != OnLock {
		t.Errorf("state %v after a lock", p.State())
	}
	locked := at
	at += 50 * time.Second
	p.Heard(at, sees(Locked, false), 11)
	if s := p.Next(at); s.Until != locked+planIdle {
		t.Errorf("got %+v, want until %v: nothing new was told", s, locked+planIdle)
	}
	p.Heard(at, sees(Locked, true), 11)
	if s := p.Next(at); s.Until != at+planIdle {
		t.Errorf("got %+v, want until %v", s, at+planIdle)
	}
	at = locked + planLockMost - time.Second
	p.until = at + time.Second // as if there had been news all the time
	p.Heard(at, sees(Locked, true), 11)
	if s := p.Next(at); s.Until != locked+planLockMost {
		t.Errorf("got %+v, want until %v at most", s, locked+planLockMost)
	}
	at = locked + planLockMost
	if s := p.Next(at); s.Until != at+planDwell || p.State() != Hopping {
		t.Errorf("got %+v in state %v, want to hop", s, p.State())
	}
	for p.channel != 11 {
		at = p.until
		p.Next(at)
	}
	if p.Heard(at, sees(Locked, true), 11) {
		t.Error("a sender that was given up is locked again at once")
	}
	if at += planShun; !p.Heard(at, sees(Locked, true), 11) {
		t.Errorf("it is still shunned after %v", planShun)
	}
}

// TestPlanShuns: twice as long each time, and of a bounded number.
func TestPlanShuns(t *testing.T) {
	t.Parallel()
	p := NewPlan(0, channels13(), nil)
	p.sender, p.state = station{testAP, testPhone}, Lingering
	p.avoid(0)
	if until := p.shunned[p.sender].until; until != planDoubt {
		t.Errorf("a suspect is shunned for %v", until)
	}
	clear(p.shunned)
	p.state = OnLock
	var got []time.Duration
	for range 7 {
		p.avoid(0)
		got = append(got, p.shunned[p.sender].until)
	}
	want := []time.Duration{10 * time.Second, 20 * time.Second, 40 * time.Second, 80 * time.Second, 160 * time.Second,
		planShunMost, planShunMost}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	for n := range 3 * planShunned {
		p.sender.sa[0] = byte(n)
		p.avoid(time.Duration(n) * time.Second)
		if len(p.shunned) > planShunned {
			t.Fatalf("%d are shunned, want at most %d", len(p.shunned), planShunned)
		}
	}
}

// TestPlanHome: a sender that is heard from a neighbour channel is followed to that of its access point.
func TestPlanHome(t *testing.T) {
	t.Parallel()
	sees := Sighting{BSSID: testAP, SA: testPhone, Stage: Locked, Gain: true}
	p := NewPlan(0, channels13(), []Network{{BSSID: testAP, Channel: 7, Signal: -40}, {Channel: 6, Signal: -30}})
	p.Next(0)
	if !p.Heard(0, sees, 6) || p.Next(0).Channel != 7 || p.State() != OnLock {
		t.Errorf("scan: got %+v in state %v, want to be locked on 7", p.Next(0), p.State())
	}
	p = NewPlan(0, channels13(), []Network{{Channel: 6, Signal: -30}})
	p.Next(0)
	if !p.Heard(0, sees, 6) || p.Next(0).Channel != 6 {
		t.Errorf("unknown: got %+v, want to stay on 6", p.Next(0))
	}
	for _, b := range []dot11.Beacon{{BSSID: dot11.Addr{2}, Channel: 7}, {BSSID: testAP}, {BSSID: testAP, Channel: 36}} {
		if p.Beacon(b) {
			t.Errorf("beacon %+v moved the plan", b)
		}
	}
	if !p.Beacon(dot11.Beacon{BSSID: testAP, Channel: 7}) || p.Next(0).Channel != 7 {
		t.Errorf("beacon: got %+v, want channel 7", p.Next(0))
	}
	for n := range 2 * planHomes {
		p.Beacon(dot11.Beacon{BSSID: dot11.Addr{4, 0, 0, 0, byte(n >> 8), byte(n)}, Channel: 1})
	}
	if len(p.home) > planHomes {
		t.Errorf("%d access points are remembered, want at most %d", len(p.home), planHomes)
	}
}
