package control

import (
	"context"
	"crypto/ed25519"
	"strings"
	"time"

	"github.com/ocellus/ocellus/codec/envelope"
	"github.com/ocellus/ocellus/internal/monotime"
)

// tell empties the queue, gently after an outage: one event at a time, each when everybody has the one before.
func (l *link) tell(ctx context.Context, outage time.Duration) {
	if outage > afterOutage && monotime.Pause(ctx, jitter(gently)) != nil {
		return
	}
	for {
		now, _ := l.s.Clock()
		e := l.s.Queue.next(now)
		if e == nil {
			select {
			case <-ctx.Done():
				return
			case <-l.s.Queue.wake:
			}
			continue
		}
		if err := l.everybody(e.Event, now); err != nil {
			l.s.Log.Warn("event not told yet", "name", e.Name, "err", err)
			if monotime.Pause(ctx, patience) != nil {
				return
			}
			continue
		}
		l.s.Queue.told(e)
		if monotime.Pause(ctx, pace) != nil {
			return
		}
	}
}

// everybody sends an event to each who may know.
func (l *link) everybody(e envelope.Event, now time.Time) error {
	for _, person := range l.s.Audience(now) {
		topic := envelope.EventTopic(l.id, person)
		raw, err := e.Seal(topic, l.key, person)
		if err != nil {
			return err
		}
		if err := l.publish(string(topic), raw, false); err != nil {
			return err
		}
	}
	return nil
}

// report leaves the reported state for each who may know, at once and whenever there is another one, and takes it away
// from those who may no longer.
func (l *link) report(ctx context.Context) {
	for {
		select {
		case <-l.s.report: // what came before the state is looked at is in it
		default:
		}
		now, _ := l.s.Clock()
		if err := l.reportTo(l.s.Audience(now)); err != nil && ctx.Err() == nil {
			l.s.Log.Warn("state not reported", "err", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-l.s.report:
		}
	}
}

func (l *link) reportTo(people []ed25519.PublicKey) error {
	now, sure := l.s.Clock()
	current := map[string]bool{}
	for _, person := range people {
		topic := envelope.ReportedTopic(l.id, person)
		version, document := l.s.Report(person)
		e := envelope.Event{Camera: l.id, Seq: version, Time: now, Sure: sure, Class: "state", Name: "reported",
			Detail: document}
		raw, err := e.Seal(topic, l.key, person)
		if err != nil {
			return err
		}
		l.s.leave(l, string(topic))
		if err := l.publish(string(topic), raw, true); err != nil {
			return err
		}
		current[string(topic)] = true
	}
	for _, topic := range l.s.leftBy(l) {
		if current[topic] || !strings.HasPrefix(topic, l.topic("/reported/")) {
			continue
		}
		if err := l.publish(topic, nil, true); err != nil {
			return err
		}
		l.s.emptied(topic)
	}
	return nil
}
