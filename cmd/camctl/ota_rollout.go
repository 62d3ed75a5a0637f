package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/ocellus/ocellus/ota/manifest"
)

// rolloutChange is what shall be otherwise. nil and empty leave it as it is.
type rolloutChange struct {
	share *int
	start string
	halt  *bool
}

// setRollout changes the rollout of a release. What a later publisher said in it stays.
func (r *repository) setRollout(target string, c rolloutChange) error {
	t, ok := r.targets.Signed.Targets[target]
	if !ok || t.Custom == nil {
		return fmt.Errorf("rollout of %s: no such release; camctl ota verify lists them", target)
	}
	var custom map[string]json.RawMessage
	if err := json.Unmarshal(*t.Custom, &custom); err != nil {
		return fmt.Errorf("rollout of %s: %w", target, err)
	}
	var own, rollout map[string]json.RawMessage
	if err := json.Unmarshal(custom["ocellus"], &own); err != nil {
		return fmt.Errorf("rollout of %s: %w", target, err)
	}
	if err := json.Unmarshal(own["rollout"], &rollout); err != nil || rollout == nil {
		return fmt.Errorf("rollout of %s: it has none: %w", target, errors.Join(err))
	}
	if err := c.apply(rollout); err != nil {
		return fmt.Errorf("rollout of %s: %w", target, err)
	}
	var err error
	if own["rollout"], err = json.Marshal(rollout); err != nil {
		return err
	}
	if custom["ocellus"], err = json.Marshal(own); err != nil {
		return err
	}
	raw, err := json.Marshal(custom)
	if err != nil {
		return err
	}
	t.Custom = (*json.RawMessage)(&raw)
	return nil
}

func (c rolloutChange) apply(rollout map[string]json.RawMessage) error {
	put := func(name string, v any) {
		rollout[name], _ = json.Marshal(v) // numbers, words and flags have a text
	}
	if c.share != nil {
		if *c.share < 0 || *c.share > manifest.AllShare {
			return &fault{exitUsage, fmt.Errorf("share %d: want 0 to %d ten thousandths", *c.share, manifest.AllShare)}
		}
		put("share", *c.share)
	}
	if c.start != "" {
		at, err := time.Parse(time.RFC3339, c.start)
		if err != nil {
			return &fault{exitUsage, fmt.Errorf("start %q: want a time such as 2026-12-01T08:00:00Z", c.start)}
		}
		put("start", whole(at).Format(time.RFC3339))
	}
	if c.halt != nil {
		put("halt", *c.halt)
	}
	return nil
}

// rollout says how a release's rollout stands, in the words of its JSON.
func (r *repository) rollout(target string) string {
	var custom struct {
		Ocellus struct {
			Rollout json.RawMessage `json:"rollout"`
		} `json:"ocellus"`
	}
	if t := r.targets.Signed.Targets[target]; t != nil && t.Custom != nil {
		_ = json.Unmarshal(*t.Custom, &custom) // setRollout has read it before
	}
	return string(custom.Ocellus.Rollout)
}
