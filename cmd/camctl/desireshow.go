package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/ocellus/ocellus/internal/secret"
)

// desireLine is a line of JSON of --json. Its keys are what programs read.
type desireLine struct {
	Camera   string            `json:"camera"`
	State    string            `json:"state"`              // online, offline, unknown
	Revision *uint64           `json:"revision,omitempty"` // of the configuration that the camera reported
	Reported *time.Time        `json:"reported,omitempty"` // when, by the camera's clock
	Sure     bool              `json:"sure"`               // of which it was sure
	Release  string            `json:"release,omitempty"`
	Config   map[string]string `json:"config,omitempty"`
	Desired  *desiredLine      `json:"desired,omitempty"`
}

// desiredLine is what lies at the broker.
type desiredLine struct {
	Left    time.Time          `json:"left"`
	Expires *time.Time         `json:"expires,omitempty"`
	Code    string             `json:"code"` // waiting, expired, or the camera's
	Text    string             `json:"text,omitempty"`
	Base    *uint64            `json:"base,omitempty"`
	Set     map[string]*string `json:"set,omitempty"` // nothing where it was left from another machine
}

func (p *place) line(now time.Time) desireLine {
	v := p.look()
	l := desireLine{Camera: p.name, State: v.state()}
	if v.report.Class != "" {
		l.Revision, l.Reported, l.Sure = &v.report.Seq, &v.report.Time, v.report.Sure
		l.Release, l.Config = v.reported.Release, v.reported.Config
	}
	if v.left == nil {
		return l
	}
	s := v.verdict(now)
	l.Desired = &desiredLine{Left: v.left.Issued, Code: s.Code, Text: s.Text}
	if !v.left.Expires.IsZero() {
		l.Desired.Expires = &v.left.Expires
	}
	if own := p.known(v); own != nil {
		l.Desired.Base, l.Desired.Set = own.Base, map[string]*string{}
		for key := range own.Set {
			l.Desired.Set[key] = masked(key, own.Set[key])
		}
	}
	return l
}

// state is whether the camera is there.
func (v view) state() string {
	switch v.presence {
	case "online", "offline":
		return v.presence
	}
	return "unknown"
}

// masked hides what no screen shows: a camera masks it, too.
func masked(key string, value *string) *string {
	if (key == "control.password" || key == "control.key") && value != nil && *value != "" {
		hidden := secret.Mask
		return &hidden
	}
	return value
}

// words is what a camera made of it, and what to do next.
func (s settledState) words() string {
	text := plain(s.Code)
	if s.Text != "" {
		text += ": " + plain(s.Text)
	}
	switch s.Code {
	case codeWaiting:
		return "it waits for the camera"
	case codeAccepted:
		return "the camera is doing it"
	case codeExpired:
		return "the camera did not come in time; it leaves it alone now"
	case codeOK:
		return "the camera has taken it"
	case "conflict":
		return text + ": look at --show, then desire it again, with that --base or none"
	case "interrupted":
		return text + ": the camera restarted while it did this: desire it again"
	case "rate_limited", "busy", "replay", "failed", "timeout":
		return text + ": desire it again"
	}
	return text
}

// say tells what became of what was just left for a camera, which was there or not.
func (c *desireCommand) say(s streams, p *place, there bool) error {
	now := time.Now()
	v := p.look()
	verdict := v.verdict(now)
	if c.JSON {
		if err := json.NewEncoder(s.out).Encode(p.line(now)); err != nil {
			return err
		}
	}
	switch {
	case v.left == nil:
		return fmt.Errorf("%s: the broker has lost it, or another took it away: desire it again", p.name)
	case !v.pending(now) && verdict.Code != codeOK:
		no := fmt.Errorf("%s: %s", p.name, verdict.words())
		if verdict.Code == "denied" || verdict.Code == "unknown_key" {
			return &fault{exitCredential, no}
		}
		return no
	case c.JSON:
		return nil
	case v.pending(now):
		_, err := fmt.Fprintf(s.out, "%s: left for it; %s: --show tells\n", p.name, v.expects(there))
		return err
	}
	_, err := fmt.Fprintf(s.out, "%s: %s\n", p.name, verdict.words())
	return err
}

// expects is what to expect of a camera that has not said what it made of it.
func (v view) expects(there bool) string {
	switch state := v.state(); {
	case state == "online":
		return "it is online, and has not said yet what it made of it"
	case there:
		return "it was online, and has gone: perhaps to another broker"
	case state == "offline":
		return "it is offline, and takes it when it is back"
	}
	return "it was never at this broker"
}

// showAll prints what lies there for each camera.
func (c *desireCommand) showAll(s streams, shelf *shelf) error {
	now := time.Now()
	for _, p := range shelf.places {
		line := p.line(now)
		if c.JSON {
			if err := json.NewEncoder(s.out).Encode(line); err != nil {
				return err
			}
			continue
		}
		if err := line.print(s, p.look().verdict(now)); err != nil {
			return err
		}
	}
	return nil
}

// print shows a camera's line to people.
func (l desireLine) print(s streams, verdict settledState) error {
	fmt.Fprintf(s.out, "%s: %s", l.Camera, l.State)
	if l.Revision != nil {
		fmt.Fprintf(s.out, ", configuration at revision %d, release %s, reported %s", *l.Revision, plain(l.Release),
			l.Reported.Local().Format(time.DateTime))
		if !l.Sure {
			fmt.Fprint(s.out, " by a clock that it was not sure of")
		}
	} else {
		fmt.Fprint(s.out, ", has reported nothing here")
	}
	d := l.Desired
	if d == nil {
		_, err := fmt.Fprintln(s.out, "\n  nothing is desired")
		return err
	}
	fmt.Fprintf(s.out, "\n  desired %s: %s\n", d.Left.Local().Format(time.DateTime), verdict.words())
	if d.Expires != nil {
		fmt.Fprintf(s.out, "  until %s\n", d.Expires.Local().Format(time.DateTime))
	}
	if d.Base != nil {
		fmt.Fprintf(s.out, "  only on top of revision %d\n", *d.Base)
	}
	if d.Set == nil {
		_, err := fmt.Fprintln(s.out, "  left from another machine, and sealed: only the camera can read it")
		return err
	}
	t := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0)
	for _, key := range slices.Sorted(maps.Keys(d.Set)) {
		want := "as in config.yaml"
		if value := d.Set[key]; value != nil {
			want = *value
		}
		is, told := l.Config[key]
		if !told {
			is = "not reported"
		}
		fmt.Fprintf(t, "  %s\tdesired %s\treported %s\n", key, plain(want), plain(is))
	}
	return t.Flush()
}
