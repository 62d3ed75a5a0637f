package haltest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/ocellus/ocellus/hal"
)

// VaultOptions say what the suite may do with a vault. Damage damages a copy of hal.Persist.
type VaultOptions = StorageOptions[hal.Vault]

// Vault checks the law of hal.Vault. It overwrites the vault that it is given.
func Vault(t *testing.T, open func(t *testing.T) hal.Vault, o VaultOptions) {
	t.Helper()
	run(t, vaultLaws(o), open, o.Skips)
}

// VaultFindings checks what Vault checks.
func VaultFindings(ctx context.Context, open func() hal.Vault, o VaultOptions) []Finding {
	return findings(ctx, vaultLaws(o), open, o.Skips)
}

func vaultLaws(o VaultOptions) []law[hal.Vault] {
	l := areaLaws{o}
	return []law[hal.Vault]{
		{"what was stored is there after a reboot", l.survives},
		{"areas do not touch one another", l.apart},
		{"too much is refused", l.tooMuch},
		{"one damaged copy is not noticed", l.oneDamaged},
		{"both damaged is told and cured", l.bothDamaged},
		{"destroyed keys are gone", l.destroyed},
		{"persist is not destroyed", l.persistStays},
		{"a power cut in store leaves before or after", l.powerCutInStore},
		{"a power cut in destroy leaves before or nothing", l.powerCutInDestroy},
	}
}

type areaLaws struct{ StorageOptions[hal.Vault] }

// wantArea says how an area differs from one of some contents.
func wantArea(v hal.Vault, a hal.Area, want ...[]byte) error {
	got, err := v.Load(a)
	if err != nil {
		return fmt.Errorf("Load %s: %w", a, err)
	}
	for _, w := range want {
		if bytes.Equal(got, w) {
			return nil
		}
	}
	return fmt.Errorf("Load %s: %.40q, want %.40q", a, got, want)
}

// pattern is n bytes that are not all the same.
func pattern(seed byte, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i)*7 + byte(i>>8) + seed
	}
	return b
}

func (l areaLaws) survives(_ context.Context, v hal.Vault) error {
	for i, n := range []int{1, hal.MaxArea, 100, 0, 4096, 5000} {
		for _, a := range []hal.Area{hal.Persist, hal.Keys} {
			want := pattern(byte(i), n)
			if err := v.Store(a, want); err != nil {
				return fmt.Errorf("Store %s: %w", a, err)
			}
			again, err := l.Again()
			if err != nil {
				return err
			}
			if err := errors.Join(wantArea(v, a, want), wantArea(again, a, want)); err != nil {
				return err
			}
		}
	}
	return nil
}

func (l areaLaws) apart(_ context.Context, v hal.Vault) error {
	if err := errors.Join(v.Store(hal.Persist, []byte("identity")), v.Store(hal.Keys, []byte("key"))); err != nil {
		return err
	}
	if err := v.Destroy(hal.Keys); err != nil {
		return fmt.Errorf("Destroy: %w", err)
	}
	_, err := v.Load("attic")
	return errors.Join(wantArea(v, hal.Persist, []byte("identity")), wantError("Load attic", err, hal.ErrUnsupported),
		wantError("Store attic", v.Store("attic", nil), hal.ErrUnsupported),
		wantError("Destroy attic", v.Destroy("attic"), hal.ErrUnsupported))
}

func (l areaLaws) tooMuch(_ context.Context, v hal.Vault) error {
	if err := v.Store(hal.Persist, []byte("small")); err != nil {
		return err
	}
	if err := v.Store(hal.Persist, make([]byte, hal.MaxArea+1)); err == nil {
		return errors.New("Store took more than MaxArea")
	}
	return wantArea(v, hal.Persist, []byte("small"))
}

func (l areaLaws) oneDamaged(_ context.Context, v hal.Vault) error {
	if l.Damage == nil {
		return skipf("the copies can't be damaged here")
	}
	for copy := range 2 {
		want := pattern(byte(copy), 600)
		if err := v.Store(hal.Persist, want); err != nil {
			return err
		}
		if err := l.Damage(copy); err != nil {
			return err
		}
		if err := wantArea(v, hal.Persist, want); err != nil {
			return fmt.Errorf("copy %d damaged: %w", copy, err)
		}
	}
	return nil
}

func (l areaLaws) bothDamaged(_ context.Context, v hal.Vault) error {
	if l.Damage == nil {
		return skipf("the copies can't be damaged here")
	}
	if err := v.Store(hal.Persist, pattern(1, 600)); err != nil {
		return err
	}
	if err := errors.Join(l.Damage(0), l.Damage(1)); err != nil {
		return err
	}
	_, err := v.Load(hal.Persist)
	if err := wantError("Load with both copies damaged", err, hal.ErrDamaged); err != nil {
		return err
	}
	if err := v.Store(hal.Persist, pattern(2, 600)); err != nil {
		return fmt.Errorf("Store with both copies damaged: %w", err)
	}
	return wantArea(v, hal.Persist, pattern(2, 600))
}

func (l areaLaws) destroyed(_ context.Context, v hal.Vault) error {
	for range 2 {
		if err := v.Store(hal.Keys, pattern(1, 64)); err != nil {
			return err
		}
		for range 2 { // the second time there is nothing
			if err := v.Destroy(hal.Keys); err != nil {
				return fmt.Errorf("Destroy: %w", err)
			}
			again, err := l.Again()
			if err != nil {
				return err
			}
			if err := errors.Join(wantArea(v, hal.Keys, nil), wantArea(again, hal.Keys, nil)); err != nil {
				return err
			}
		}
	}
	return nil
}

func (l areaLaws) persistStays(_ context.Context, v hal.Vault) error {
	if err := v.Store(hal.Persist, []byte("identity")); err != nil {
		return err
	}
	err := wantError("Destroy persist", v.Destroy(hal.Persist), hal.ErrUnsupported)
	return errors.Join(err, wantArea(v, hal.Persist, []byte("identity")))
}

func (l areaLaws) powerCutInStore(_ context.Context, _ hal.Vault) error {
	if l.Cuts == nil {
		return skipf("the power can't be cut here")
	}
	for _, was := range [][]byte{nil, pattern(1, 700)} {
		becomes := pattern(2, 6000)
		points, err := l.Cuts(
			func(v hal.Vault) error {
				if was == nil {
					return v.Destroy(hal.Keys)
				}
				return v.Store(hal.Keys, was)
			},
			func(v hal.Vault) error { return v.Store(hal.Keys, becomes) },
			func(v hal.Vault, done bool) error { return wantArea(v, hal.Keys, either(done, was, becomes)...) })
		if err := errors.Join(err, enough(points)); err != nil {
			return err
		}
	}
	return nil
}

func (l areaLaws) powerCutInDestroy(_ context.Context, _ hal.Vault) error {
	if l.Cuts == nil {
		return skipf("the power can't be cut here")
	}
	was := pattern(1, 6000)
	points, err := l.Cuts(
		func(v hal.Vault) error { return v.Store(hal.Keys, was) },
		func(v hal.Vault) error { return v.Destroy(hal.Keys) },
		func(v hal.Vault, done bool) error { return wantArea(v, hal.Keys, either(done, was, nil)...) })
	return errors.Join(err, enough(points))
}

// either returns what an area may hold after a power cut: once the change is done, what it becomes alone.
func either(done bool, was, becomes []byte) [][]byte {
	if done {
		return [][]byte{becomes}
	}
	return [][]byte{was, becomes}
}
