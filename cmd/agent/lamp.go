package main

import (
	"sync"

	"github.com/ocellus/ocellus/hal"
)

// lamp is the camera's lamp for two who have something to say: what is shown over the rest hides it while it lasts. It
// implements hal.LED.
type lamp struct {
	led hal.LED

	mu    sync.Mutex // guards the rest, and the order of what is shown
	under hal.Pattern
	over  hal.Pattern // empty: nothing is shown over the rest
}

func newLamp(led hal.LED) *lamp { return &lamp{led: led, under: hal.Off} }

// Show implements hal.LED.
func (l *lamp) Show(p hal.Pattern) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.under = p
	if l.over != "" {
		return nil
	}
	return l.led.Show(p)
}

// showOver shows a pattern over the rest, the empty one no more.
func (l *lamp) showOver(p hal.Pattern) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.over = p
	if p == "" {
		p = l.under
	}
	return l.led.Show(p)
}

// Close implements hal.LED.
func (l *lamp) Close() error { return l.led.Close() }
