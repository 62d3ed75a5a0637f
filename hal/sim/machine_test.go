package sim

import (
	"os"
	"testing"
	"time"

	"github.com/ocellus/ocellus/codec/bootstate"
	"github.com/ocellus/ocellus/hal"
)

// TestMachine: a board is switched on again and again, through an update that is confirmed, and one whose kernel panics.
func TestMachine(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	factory := System{Compatible: "sim", Version: "1.0.0", Root: []byte("root"), Built: time.Unix(1000, 0)}
	on := func(slot hal.Slot, how bootstate.How, version string) *Machine {
		t.Helper()
		m, err := PowerOn(dir, factory)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = m.Close() })
		if m.Slots.Booted() != slot || m.How != how || m.System.Version != version {
			t.Fatalf("got slot %s, %s, %+v, want %s, %s, %s", m.Slots.Booted(), m.How, m.System, slot, how, version)
		}
		return m
	}
	m := on(hal.SlotA, bootstate.Confirmed, "1.0.0")
	if string(m.System.Root) != "root" || !m.System.Built.Equal(factory.Built) || m.System.Compatible != "sim" {
		t.Errorf("got %+v", m.System)
	}
	install(t, m, "2.0.0", "")
	try(t, m, bootstate.B)
	m = on(hal.SlotB, bootstate.OnTrial, "2.0.0")
	set(t, m, bootstate.Record{Confirmed: bootstate.B})
	m = on(hal.SlotB, bootstate.Confirmed, "2.0.0")
	install(t, m, "3.0.0", Panics)
	try(t, m, bootstate.A)
	m = on(hal.SlotB, bootstate.Confirmed, "2.0.0")
	env, err := m.Env.Get()
	if err != nil {
		t.Fatal(err)
	}
	if r, err := bootstate.Read(env); err != nil || r.Failed != bootstate.A || r.Why != bootstate.Tries {
		t.Errorf("got %+v, %v, want slot a to have used up its tries", r, err)
	}
	if err := os.Remove(slotFile(dir, bootstate.B)); err != nil {
		t.Fatal(err)
	}
	if _, err := PowerOn(dir, factory); err == nil {
		t.Error("a board runs that has nothing but panics")
	}
}

func install(t *testing.T, m *Machine, version, kernel string) {
	t.Helper()
	image, err := Image(System{Compatible: "sim", Version: version, Built: time.Unix(2000, 0)}, kernel)
	if err != nil {
		t.Fatal(err)
	}
	w, err := m.Slots.Open(m.Slots.Other())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.WriteAt(image, 0); err != nil {
		t.Fatal(err)
	}
	if err := w.Commit(); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}

func try(t *testing.T, m *Machine, s bootstate.Slot) {
	t.Helper()
	set(t, m, bootstate.Record{Confirmed: s.Other(), Trial: s, Tries: 3})
}

func set(t *testing.T, m *Machine, r bootstate.Record) {
	t.Helper()
	env, err := r.Apply(nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Env.Set(env); err != nil {
		t.Fatal(err)
	}
}
