package smartconfig

import (
	"cmp"
	"slices"
	"time"

	"github.com/ocellus/ocellus/codec/dot11"
)

// How long the plan stays. A sender of ESP-Touch v1 shows its guide code for 2 s, thirteen channels of 100 ms are less.
const (
	planDwell    = 100 * time.Millisecond
	planLinger   = 400 * time.Millisecond // after a suspicion
	planLingers  = 4 * time.Second        // at most the first visit to a suspect, twice that the next ones: see lingers
	planIdle     = 60 * time.Second       // a locked sender that tells nothing new is given up
	planLockMost = 2 * time.Minute        // any is; the official senders send for 90 s at most
	planShun     = 10 * time.Second       // and then not looked at, twice as long each time
	planDoubt    = 2 * time.Second        // the same of a suspect that was never locked
	planShunMost = 5 * time.Minute
	planShunned  = 16 // senders at most
	planRescan   = 30 * time.Second
	planWide     = 4 // each such sweep visits the channels without a network too
)

// PlanState is what a plan does.
type PlanState string

// States of a plan:
//
//	          a sender is suspected              it is locked
//	hopping ------------------------> lingering ----------------> locked
//	   ^       nothing more of it         |                         |
//	   +----------------------------------+                         |
//	   +---- it tells nothing new: it is shunned for a while -------+ (and whoever is suspected for a whole visit)
const (
	Hopping   PlanState = "hopping"
	Lingering PlanState = "lingering"
	OnLock    PlanState = "locked"
)

// Plan says on which channel to listen. It is pure: what was heard and the time go in.
type Plan struct {
	allowed  []int
	order    []int // channels of this sweep, the next one first
	sweeps   int
	networks []Network
	home     map[dot11.Addr]int // the channel of each access point, as a scan or its beacon says

	state   PlanState
	channel int
	until   time.Duration
	arrived time.Duration // on this channel, or the moment of the lock
	scanned time.Duration
	sender  station // suspected or locked
	shunned map[station]shun
}

type shun struct {
	until time.Duration
	times int
}

// Step is what to do until a time, unless something is heard.
type Step struct {
	Channel int
	Until   time.Duration
	// Scan: scan first and tell the plan what was found. What the capture still holds from another channel is to be
	// thrown away after each change of channel.
	Scan bool
}

// NewPlan begins a plan over the channels that the radio and the country allow, from the result of a scan.
func NewPlan(at time.Duration, allowed []int, networks []Network) *Plan {
	p := &Plan{allowed: slices.Clone(allowed), state: Hopping, shunned: map[station]shun{}}
	p.Scanned(at, networks)
	return p
}

// Scanned takes the result of a scan.
func (p *Plan) Scanned(at time.Duration, networks []Network) {
	p.scanned, p.networks = at, slices.Clone(networks)
	p.home = map[dot11.Addr]int{}
	for _, n := range networks {
		p.home[n.BSSID] = n.Channel
	}
	p.order, p.until = nil, min(p.until, at)
}

// State is what the plan does.
func (p *Plan) State() PlanState { return p.state }

// Next returns the step for now. It is asked when the last step's time is over, and when Heard or Beacon say so.
func (p *Plan) Next(at time.Duration) Step {
	if at < p.until {
		return Step{Channel: p.channel, Until: p.until}
	}
	if p.state == OnLock || p.state == Lingering && at-p.arrived >= p.lingers() {
		p.avoid(at)
	}
	p.state = Hopping
	if len(p.order) == 0 {
		p.order = p.sweep()
	}
	if len(p.order) > 0 {
		p.channel, p.order = p.order[0], p.order[1:]
	}
	p.arrived, p.until = at, at+planDwell
	step := Step{Channel: p.channel, Until: p.until, Scan: at-p.scanned >= planRescan}
	if step.Scan {
		p.scanned = at
	}
	return step
}

// sweep orders the channels: those with a network, the strongest first; the others too each planWide-th time and where
// there are no networks.
func (p *Plan) sweep() []int {
	best := map[int]int{}
	for _, n := range p.networks {
		if signal, ok := best[n.Channel]; slices.Contains(p.allowed, n.Channel) && (!ok || n.Signal > signal) {
			best[n.Channel] = n.Signal
		}
	}
	p.sweeps++
	wide := len(best) == 0 || p.sweeps%planWide == 0
	var order []int
	for _, c := range p.allowed {
		if _, ok := best[c]; ok || wide {
			order = append(order, c)
		}
	}
	const nobody = -1000 // weaker than any signal in dBm
	strength := func(c int) int {
		if signal, ok := best[c]; ok {
			return signal
		}
		return nobody
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(strength(b), strength(a)) })
	return order
}

// Heard takes what the receiver saw in a frame that was captured on a channel. true: ask for the next step now.
func (p *Plan) Heard(at time.Duration, s Sighting, channel int) bool {
	if channel != p.channel || s.Stage < Suspected {
		return false // captured before the last hop, or nothing
	}
	who := station{s.BSSID, s.SA}
	if at < p.shunned[who].until {
		return false
	}
	if p.state == OnLock {
		if who == p.sender && s.Gain {
			p.until = min(at+planIdle, p.arrived+planLockMost)
		}
		return false
	}
	home, known := p.home[s.BSSID]
	moved := known && home != p.channel && slices.Contains(p.allowed, home)
	if moved {
		p.channel = home // heard from beside: its access point is on another channel
	}
	p.sender = who
	if s.Stage == Suspected {
		p.state = Lingering
		p.until = max(p.until, min(at+planLinger, p.arrived+p.lingers()))
		return true
	}
	p.state, p.arrived, p.until = OnLock, at, at+planIdle
	return true
}

// Beacon takes a beacon: the channel of its access point, which may have come after the scan, as a router does that was
// switched on together with the camera. true: ask for the next step now.
func (p *Plan) Beacon(b dot11.Beacon) bool {
	_, known := p.home[b.BSSID]
	if b.Channel == 0 || !known && len(p.home) >= planHomes {
		return false
	}
	p.home[b.BSSID] = b.Channel
	if !known {
		p.networks = append(p.networks, Network{BSSID: b.BSSID, Channel: b.Channel, Signal: b.Signal})
	}
	if p.state == Hopping || b.BSSID != p.sender.bssid || b.Channel == p.channel {
		return false
	}
	if !slices.Contains(p.allowed, b.Channel) {
		return false
	}
	p.channel = b.Channel
	return true
}

// planHomes bounds how many access points are remembered between two scans.
const planHomes = 256

// lingers is how long a visit to the suspected sender may last. A round of an encrypted ESP-Touch v2 message with a token
// takes 3 to 6 s, and says once what it is.
func (p *Plan) lingers() time.Duration { return planLingers << min(p.shunned[p.sender].times, 1) }

// avoid shuns the locked or suspected sender for a while.
func (p *Plan) avoid(at time.Duration) {
	if len(p.shunned) >= planShunned {
		for who, s := range p.shunned {
			if s.until <= at {
				delete(p.shunned, who)
			}
		}
	}
	if len(p.shunned) >= planShunned {
		clear(p.shunned)
	}
	s, first := p.shunned[p.sender], planShun
	if p.state == Lingering {
		first = planDoubt
	}
	p.shunned[p.sender] = shun{at + min(first<<s.times, planShunMost), min(s.times+1, 5)}
}
