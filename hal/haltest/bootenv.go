package haltest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/ocellus/ocellus/hal"
)

// Cuts brings storage into a state by before, then does change again and again on that state, with the power cut after
// each write and each flush; check sees the storage after each, and whether change had returned before the power went.
// It returns how many such states there were.
type Cuts[D any] func(before, change func(D) error, check func(d D, done bool) error) (points int, err error)

// fewest is how many states a change with at least a write and a flush leaves.
const fewest = 4

// StorageOptions say what a suite may do with storage of type D.
type StorageOptions[D any] struct {
	// Again opens the same storage anew, as after a reboot.
	Again func() (D, error)
	// Damage flips bits of copy 0 or 1 on the disk; nil where that can't be done.
	Damage func(copy int) error
	// Cuts cuts the power; nil where that can't be done.
	Cuts Cuts[D]
	// Flash: the storage is erased to ones and programmed bit by bit, and a cut may leave it between.
	Flash bool
	// Skips names laws that are not to be checked, and why.
	Skips map[string]string
}

// BootEnvOptions say what the suite may do with a boot environment.
type BootEnvOptions = StorageOptions[hal.BootEnv]

// BootEnv checks the law of hal.BootEnv. It overwrites the boot environment that it is given.
func BootEnv(t *testing.T, open func(t *testing.T) hal.BootEnv, o BootEnvOptions) {
	t.Helper()
	run(t, bootEnvLaws(o), open, o.Skips)
}

// BootEnvFindings checks what BootEnv checks.
func BootEnvFindings(ctx context.Context, open func() hal.BootEnv, o BootEnvOptions) []Finding {
	return findings(ctx, bootEnvLaws(o), open, o.Skips)
}

func bootEnvLaws(o BootEnvOptions) []law[hal.BootEnv] {
	l := envLaws{o}
	return []law[hal.BootEnv]{
		{"what was set is there after a reboot", l.survives},
		{"set keeps the others", l.keepsOthers},
		{"what can't be carried is refused", l.refuses},
		{"one damaged copy is not noticed", l.oneDamaged},
		{"both damaged is told and cured", l.bothDamaged},
		{"a power cut leaves before or after", l.powerCut},
	}
}

type envLaws struct{ StorageOptions[hal.BootEnv] }

// sample is an environment as the boot script wants it.
func sample(changed map[string]string) map[string]string {
	env := map[string]string{"st_slot": "a", "st_try": "none", "st_left": "0", "st_fail": "none", "st_why": "none", "st_floor": "2a"}
	maps.Copy(env, changed)
	return env
}

// wantEnv says how an environment differs from want.
func wantEnv(e hal.BootEnv, want map[string]string) error {
	got, err := e.Get()
	if err != nil {
		return fmt.Errorf("Get: %w", err)
	}
	if !maps.Equal(got, want) {
		return fmt.Errorf("Get: %v, want %v", got, want)
	}
	return nil
}

// replace makes the environment exactly env.
func replace(e hal.BootEnv, env map[string]string) error {
	before, err := e.Get()
	if err != nil && !errors.Is(err, hal.ErrDamaged) {
		return fmt.Errorf("Get: %w", err)
	}
	changes := maps.Clone(env)
	for name := range before {
		if _, ok := env[name]; !ok {
			changes[name] = ""
		}
	}
	if err := e.Set(changes); err != nil {
		return fmt.Errorf("Set: %w", err)
	}
	return nil
}

func (l envLaws) survives(_ context.Context, e hal.BootEnv) error {
	for i := range 5 { // both copies, and more than once
		want := sample(map[string]string{"st_floor": fmt.Sprint(i)})
		if err := replace(e, want); err != nil {
			return err
		}
		if err := wantEnv(e, want); err != nil {
			return err
		}
		again, err := l.Again()
		if err != nil {
			return err
		}
		if err := wantEnv(again, want); err != nil {
			return fmt.Errorf("after a reboot: %w", err)
		}
	}
	return nil
}

func (l envLaws) keepsOthers(_ context.Context, e hal.BootEnv) error {
	if err := replace(e, sample(map[string]string{"st_later": "blue", "st_gone": "1"})); err != nil {
		return err
	}
	if err := e.Set(map[string]string{"st_try": "b", "st_left": "3", "st_gone": ""}); err != nil {
		return fmt.Errorf("Set: %w", err)
	}
	return wantEnv(e, sample(map[string]string{"st_later": "blue", "st_try": "b", "st_left": "3"}))
}

func (l envLaws) refuses(_ context.Context, e hal.BootEnv) error {
	if err := replace(e, sample(nil)); err != nil {
		return err
	}
	for name, value := range map[string]string{"": "1", "st_x": "a\x00b", "st_y": "two words", "st_z": "${x}", "a=b": "1",
		"st_w": strings.Repeat("w", 1<<20), "st_seq": "9", "st_vars": "st_slot", "bootcmd": "reset"} {
		if err := e.Set(map[string]string{"st_floor": "ff", name: value}); err == nil {
			return fmt.Errorf("Set took %.20q=%.20q", name, value)
		}
		if err := wantEnv(e, sample(nil)); err != nil {
			return fmt.Errorf("after the refused %.20q: %w", name, err)
		}
	}
	return nil
}

func (l envLaws) oneDamaged(_ context.Context, e hal.BootEnv) error {
	if l.Damage == nil {
		return skipf("the copies can't be damaged here")
	}
	for copy := range 2 {
		if err := replace(e, sample(nil)); err != nil {
			return err
		}
		for _, floor := range []string{"1", "2"} { // so that both copies are whole
			if err := e.Set(map[string]string{"st_floor": floor}); err != nil {
				return fmt.Errorf("Set: %w", err)
			}
		}
		if err := l.Damage(copy); err != nil {
			return err
		}
		got, err := e.Get()
		if err != nil {
			return fmt.Errorf("Get with copy %d damaged: %w", copy, err)
		}
		if f := got["st_floor"]; f != "1" && f != "2" {
			return fmt.Errorf("Get with copy %d damaged: floor %q, want 1 or 2", copy, f)
		}
		if err := e.Set(map[string]string{"st_floor": "3"}); err != nil {
			return fmt.Errorf("Set with copy %d damaged: %w", copy, err)
		}
		if err := wantEnv(e, sample(map[string]string{"st_floor": "3"})); err != nil {
			return fmt.Errorf("with copy %d damaged: %w", copy, err)
		}
	}
	return nil
}

func (l envLaws) bothDamaged(_ context.Context, e hal.BootEnv) error {
	if l.Damage == nil {
		return skipf("the copies can't be damaged here")
	}
	for range 2 {
		if err := replace(e, sample(nil)); err != nil {
			return err
		}
		if err := errors.Join(l.Damage(0), l.Damage(1)); err != nil {
			return err
		}
		_, err := e.Get()
		if err := wantError("Get with both copies damaged", err, hal.ErrDamaged); err != nil {
			return err
		}
		if err := e.Set(sample(nil)); err != nil {
			return fmt.Errorf("Set with both copies damaged: %w", err)
		}
		if err := wantEnv(e, sample(nil)); err != nil {
			return err
		}
		for copy := range 2 { // written anew, both of them
			if err := l.Damage(copy); err != nil {
				return err
			}
			if err := wantEnv(e, sample(nil)); err != nil {
				return fmt.Errorf("copy %d damaged after the cure: %w", copy, err)
			}
			if err := l.Damage(copy); err != nil { // the same bits: whole again
				return err
			}
		}
	}
	return nil
}

func (l envLaws) powerCut(_ context.Context, _ hal.BootEnv) error {
	if l.Cuts == nil {
		return skipf("the power can't be cut here")
	}
	was, becomes := sample(nil), sample(map[string]string{"st_try": "b", "st_left": "3", "st_floor": "2b"})
	points, err := l.Cuts(
		func(e hal.BootEnv) error {
			return errors.Join(replace(e, sample(map[string]string{"st_slot": "b"})), replace(e, was))
		},
		func(e hal.BootEnv) error { return e.Set(becomes) },
		func(e hal.BootEnv, done bool) error {
			if err := wantEnv(e, was); err == nil && !done {
				return nil
			}
			return wantEnv(e, becomes)
		})
	if err != nil {
		return err
	}
	return enough(points)
}

// enough says when too few states were looked at to mean anything.
func enough(points int) error {
	if points < fewest {
		return fmt.Errorf("only %d states after power cuts", points)
	}
	return nil
}
