package ota

import (
	"github.com/ocellus/ocellus/internal/statefile"
	"github.com/ocellus/ocellus/ota/trust"
)

// Phase is what takes time in an update.
type Phase string

// The phases.
const (
	PhaseWriting   Phase = "writing"
	PhaseVerifying Phase = "verifying"
)

type progress struct {
	phase       Phase
	done, total int64
}

// Status is what is known of updates now.
type Status struct {
	State   State  `json:"state"`
	Running string `json:"running,omitempty"` // the version that runs
	Version string `json:"version,omitempty"` // the one that State is about
	Reason  Reason `json:"reason,omitempty"`  // why it failed, or was given up
	Detail  string `json:"detail,omitempty"`

	Phase   Phase `json:"phase,omitempty"`
	Percent int   `json:"percent,omitempty"` // of the phase
	Bytes   int64 `json:"bytes,omitempty"`
	Total   int64 `json:"total,omitempty"`

	Offer   string      `json:"offer,omitempty"`   // the version that the last look found for this camera
	Refused Reason      `json:"refused,omitempty"` // why the last look found none
	Why     string      `json:"refused_detail,omitempty"`
	Doubt   trust.Doubt `json:"freshness_doubt,omitempty"` // why nobody knows whether that is the newest
}

// Status returns what is known now.
func (e *Engine) Status() Status {
	e.mu.Lock()
	defer e.mu.Unlock()
	m, p := e.memory, e.progress
	s := Status{State: e.state, Running: e.running(), Reason: m.Reason, Detail: m.Detail, Offer: e.offer, Doubt: e.doubt}
	if m.Update != nil {
		s.Version = m.Update.Version
	}
	if e.state == Writing {
		s.Phase, s.Bytes, s.Total = p.phase, p.done, p.total
		s.Percent = int(100 * p.done / max(p.total, 1))
	}
	if e.refused != nil {
		s.Refused, s.Why = Why(e.refused), e.refused.Error()
	}
	return s
}

// remembered returns what is stored.
func (e *Engine) remembered() memory {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.memory
}

// tell notes how far a phase is.
func (e *Engine) tell(p Phase, done, total int64) {
	e.mu.Lock()
	e.progress = progress{p, done, total}
	e.mu.Unlock()
	e.notify()
}

// ReadState reads how far an update is out of an engine's state, for whoever looks at it without the engine.
func ReadState(p statefile.Place) (State, error) {
	m, _, err := statefile.At[memory](p, memoryVersion).Load()
	return m.State, err
}
