package main

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/ocellus/ocellus/codec/bootstate"
	"github.com/ocellus/ocellus/hal"
	"github.com/ocellus/ocellus/hal/blockslot"
	"github.com/ocellus/ocellus/hal/ubootenv"
	"github.com/ocellus/ocellus/hal/vault"
)

// sayBoot prints the slot that runs and how it came to be booted.
func sayBoot() error {
	line, err := os.ReadFile("/proc/cmdline")
	if err != nil {
		return err
	}
	booted, err := blockslot.Booted()
	how := ""
	for word := range strings.FieldsSeq(string(line)) {
		if value, ok := strings.CutPrefix(word, "ocellus.boot="); ok {
			how = value
		}
	}
	fmt.Println(booted, how)
	return err
}

// withRecord opens the boot record.
func withRecord(do func(e hal.BootEnv) error) error {
	node, err := ubootenv.Find("")
	if err != nil {
		return err
	}
	e, err := ubootenv.Open(node)
	if err != nil {
		return err
	}
	return errors.Join(do(e), e.Close())
}

func sayRecord() error {
	return withRecord(func(e hal.BootEnv) error {
		vars, err := e.Get()
		for _, name := range slices.Sorted(maps.Keys(vars)) {
			fmt.Printf("%s=%s\n", name, vars[name])
		}
		return err
	})
}

// changeRecord edits what the record means.
func changeRecord(edit func(r *bootstate.Record) error) error {
	return withRecord(func(e hal.BootEnv) error {
		vars, err := e.Get()
		if err != nil {
			return err
		}
		r, err := bootstate.Read(vars)
		if err != nil {
			return err
		}
		if err := edit(&r); err != nil {
			return err
		}
		return storeRecord(e, r)
	})
}

func storeRecord(e hal.BootEnv, r bootstate.Record) error {
	changes, err := r.Apply(nil)
	if err != nil {
		return err
	}
	return e.Set(changes)
}

func tryOut(slot, tries string) error {
	n, err := strconv.Atoi(tries)
	if err != nil {
		return err
	}
	return changeRecord(func(r *bootstate.Record) error {
		r.Trial, r.Tries = bootstate.Slot(slot), n
		return nil
	})
}

func confirm() error {
	booted, err := blockslot.Booted()
	if err != nil {
		return err
	}
	return changeRecord(func(r *bootstate.Record) error {
		r.Confirmed, r.Trial, r.Tries = bootstate.Slot(booted), "", 0
		return nil
	})
}

// persisted is what the lab keeps in persist, beside the fields of others.
type persisted struct {
	Floor uint32 `json:"floor"`
}

func withVault(do func(v hal.Vault) error) error {
	nodes, err := vault.Find("")
	if err != nil {
		return err
	}
	v, err := vault.Open(nodes)
	if err != nil {
		return err
	}
	return errors.Join(do(v), v.Close())
}

// raiseFloor writes persist first: a record that is lost meanwhile comes back with the new floor.
func raiseFloor(text string) error {
	n, err := strconv.ParseUint(text, 10, 32)
	if err != nil {
		return err
	}
	err = withVault(func(v hal.Vault) error {
		raw, err := v.Load(hal.Persist)
		if err != nil {
			return err
		}
		fields := map[string]any{"version": 1}
		if err := json.Unmarshal(raw, &fields); raw != nil && err != nil {
			return err
		}
		fields["floor"] = n
		if raw, err = json.Marshal(fields); err != nil {
			return err
		}
		return v.Store(hal.Persist, raw)
	})
	if err != nil {
		return err
	}
	return changeRecord(func(r *bootstate.Record) error {
		if uint32(n) < r.Floor {
			return fmt.Errorf("floor %d is below %d", n, r.Floor)
		}
		r.Floor = uint32(n)
		return nil
	})
}

// restore is for a board that booted without a record: what runs is what is confirmed.
func restore() error {
	booted, err := blockslot.Booted()
	if err != nil {
		return err
	}
	var p persisted
	err = withVault(func(v hal.Vault) error {
		raw, err := v.Load(hal.Persist)
		if err == nil {
			err = json.Unmarshal(raw, &p)
		}
		return err
	})
	if err != nil {
		return err
	}
	return withRecord(func(e hal.BootEnv) error {
		if _, err := e.Get(); !errors.Is(err, hal.ErrDamaged) {
			return errors.Join(errors.New("the record is not damaged"), err)
		}
		return storeRecord(e, bootstate.Record{Confirmed: bootstate.Slot(booted), Floor: p.Floor})
	})
}

func openSlots() (hal.Slots, error) {
	nodes, err := blockslot.Find("")
	if err != nil {
		return nil, err
	}
	booted, err := blockslot.Booted()
	if err != nil {
		return nil, err
	}
	return blockslot.New(booted, nodes), nil
}

// writeSlot fills a slot and commits it when the device gives back what it was given.
func writeSlot(slot, name string) error {
	slots, err := openSlots()
	if err != nil {
		return err
	}
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	w, err := slots.Open(hal.Slot(slot))
	if err != nil {
		return err
	}
	given, back := sha256.New(), sha256.New()
	n, err := io.CopyBuffer(io.NewOffsetWriter(w, 0), onlyReader{io.TeeReader(f, given)}, make([]byte, 1<<20))
	if err == nil {
		_, err = io.CopyBuffer(back, onlyReader{io.NewSectionReader(w, 0, n)}, make([]byte, 1<<20))
	}
	if err == nil && string(given.Sum(nil)) != string(back.Sum(nil)) {
		err = errors.New("the device does not give back what was written")
	}
	if err == nil {
		err = w.Commit()
	}
	return errors.Join(err, w.Close())
}

// onlyReader hides WriterTo, so that the buffer is used.
type onlyReader struct{ io.Reader }

func sumSlot(slot, bytes string) error {
	n, err := strconv.ParseInt(bytes, 10, 64)
	if err != nil {
		return err
	}
	slots, err := openSlots()
	if err != nil {
		return err
	}
	r, err := slots.Read(hal.Slot(slot))
	if err != nil {
		return err
	}
	sum := sha256.New()
	_, err = io.CopyBuffer(sum, onlyReader{io.NewSectionReader(r, 0, n)}, make([]byte, 1<<20))
	fmt.Printf("%x\n", sum.Sum(nil))
	return errors.Join(err, r.Close())
}
