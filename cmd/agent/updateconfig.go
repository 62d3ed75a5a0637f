package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/ocellus/ocellus/ota/httprepo"
)

// updateConfig is the section update of the configuration.
type updateConfig struct {
	Repository string        `yaml:"repository"` // URL; empty: nowhere is looked
	CA         string        `yaml:"ca"`         // PEM, for repositories by https; empty: the system's
	Automatic  bool          `yaml:"automatic"`  // install what is found, else offer it
	Every      time.Duration `yaml:"every"`      // between looks, give or take a quarter
	Window     window        `yaml:"window"`     // when the camera may restart although somebody watches
	Trial      time.Duration `yaml:"trial"`      // how long a new release may take to prove itself
}

func defaultUpdate() updateConfig { return updateConfig{Every: 6 * time.Hour, Trial: 5 * time.Minute} }

// Bounds of what a person may set. The longest trial ends before init loses patience with it (cmd/init, trialLimit).
const (
	minEvery, maxEvery = time.Minute, 7 * 24 * time.Hour
	minTrial, maxTrial = 30 * time.Second, 10 * time.Minute
)

// Validate reports all faults at once.
func (c updateConfig) Validate() error {
	var faults []error
	if c.Repository != "" {
		if _, err := httprepo.New(c.Repository, nil, httprepo.Limits{}); err != nil {
			faults = append(faults, fmt.Errorf("repository: %w", err))
		}
	}
	if _, err := c.secure(time.Time{}); err != nil {
		faults = append(faults, fmt.Errorf("ca: %w", err))
	}
	if c.Every < minEvery || c.Every > maxEvery {
		faults = append(faults, fmt.Errorf("every: %v: want %v to %v", c.Every, minEvery, maxEvery))
	}
	if c.Trial < minTrial || c.Trial > maxTrial {
		faults = append(faults, fmt.Errorf("trial: %v: want %v to %v", c.Trial, minTrial, maxTrial))
	}
	return errors.Join(faults...)
}

// secure is how a repository by https proves who it is. A clock that says less than the time at which this system was
// built is not believed: most cameras begin in 1970, when no certificate was valid yet.
func (c updateConfig) secure(built time.Time) (*tls.Config, error) {
	t := &tls.Config{MinVersion: tls.VersionTLS12, Time: func() time.Time {
		if now := time.Now(); now.After(built) {
			return now
		}
		return built
	}}
	if c.CA == "" {
		return t, nil
	}
	t.RootCAs = x509.NewCertPool()
	if !t.RootCAs.AppendCertsFromPEM([]byte(c.CA)) {
		return nil, errors.New("want a certificate in PEM")
	}
	return t, nil
}

// window is a time of the day, in the system's own time: 02:00-04:30. The zero value is none.
type window struct{ from, to time.Duration }

// UnmarshalText reads a window; the empty text is none.
func (w *window) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		*w = window{}
		return nil
	}
	from, to, ok := strings.Cut(string(text), "-")
	begin, err1 := time.Parse("15:04", from)
	end, err2 := time.Parse("15:04", to)
	if !ok || err1 != nil || err2 != nil || begin.Equal(end) {
		return fmt.Errorf("%.40q: want two times such as 02:00-04:30", text)
	}
	midnight := begin.Truncate(24 * time.Hour)
	*w = window{begin.Sub(midnight), end.Sub(midnight)}
	return nil
}

// MarshalText writes a window as UnmarshalText reads it.
func (w window) MarshalText() ([]byte, error) {
	if w == (window{}) {
		return nil, nil
	}
	clock := func(d time.Duration) string { return time.Time{}.Add(d).Format("15:04") }
	return []byte(clock(w.from) + "-" + clock(w.to)), nil
}

// holds reports whether a time of the day is inside. A window may lie around midnight.
func (w window) holds(now time.Time) bool {
	at := time.Duration(now.Hour())*time.Hour + time.Duration(now.Minute())*time.Minute
	if w.from <= w.to {
		return at >= w.from && at < w.to
	}
	return at >= w.from || at < w.to
}
