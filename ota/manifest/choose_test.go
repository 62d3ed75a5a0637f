package manifest_test

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/ocellus/ocellus/ota/manifest"
)

func version(s string) manifest.Version {
	v, err := manifest.ParseVersion(s)
	if err != nil {
		panic(err)
	}
	return v
}

var noon = time.Date(2027, 3, 1, 12, 0, 0, 0, time.UTC)

func release(v string) manifest.Release {
	return manifest.Release{Target: "cam-" + v + ".img", Compatible: []string{"example,cam"}, Slot: "fit-squashfs",
		Version: version(v), Size: 20 << 20, Severity: manifest.Routine, Rollout: manifest.Rollout{Share: manifest.AllShare}}
}

func device() manifest.Device {
	return manifest.Device{Compatible: []string{"example,cam-rev2", "example,cam"}, Slot: "fit-squashfs",
		Running: version("1.3.0"),
		Floor:   version("1.2.0").Floor(), Bootloader: version("2023.1.0"), Storage: "block", SlotBytes: 24 << 20,
		ID: []byte("0123456789abcdef"), Reached: noon}
}

func TestJudge(t *testing.T) {
	t.Parallel()
	type R = manifest.Release
	type D = manifest.Device
	for _, c := range []struct {
		name   string
		change func(r *R, d *D)
		want   manifest.Reason
	}{
		{"fits", func(*R, *D) {}, ""},
		{"no board", func(r *R, _ *D) { r.Compatible = nil }, manifest.EmptyCompatible},
		{"no board, and the camera does not know its own", func(r *R, d *D) { r.Compatible, d.Compatible = nil, nil },
			manifest.EmptyCompatible},
		{"another board", func(r *R, _ *D) { r.Compatible = []string{"example,camera"} }, manifest.OtherBoard},
		{"a camera that does not know its board", func(_ *R, d *D) { d.Compatible = nil }, manifest.OtherBoard},
		{"another slot kind", func(r *R, _ *D) { r.Slot = "ubifs" }, manifest.OtherSlot},
		{"needs what it knows", func(r *R, d *D) { r.Needs, d.Knows = []string{"a"}, []string{"b", "a"} }, ""},
		{"needs more", func(r *R, d *D) { r.Needs, d.Knows = []string{"a", "c"}, []string{"b", "a"} }, manifest.Needs},
		{"below the floor", func(r *R, d *D) { r.Version, d.Running = version("1.1.9"), manifest.Version{} },
			manifest.BelowFloor},
		{"before the release of the floor", func(r *R, d *D) {
			r.Version, d.Running = version("1.2.0-rc.1"),
				manifest.Version{}
		}, manifest.BelowFloor},
		{"at the floor, nothing known to run", func(r *R, d *D) {
			r.Version, d.Running = version("1.2.0"),
				manifest.Version{}
		}, ""},
		{"above the floor, older than what runs", func(r *R, _ *D) { r.Version = version("1.2.5") }, manifest.NotNewer},
		{"what runs", func(r *R, _ *D) { r.Version = version("1.3.0") }, manifest.NotNewer},
		{"what ran before the release", func(r *R, _ *D) { r.Version = version("1.3.0-rc.9") }, manifest.NotNewer},
		{"the owner asks for an older one", func(r *R, d *D) { r.Version, d.Asked = version("1.2.5"), true },
			manifest.NotNewer},
		{"this boot loader", func(r *R, _ *D) { r.Bootloader = version("2023.1.0") }, ""},
		{"a newer boot loader", func(r *R, _ *D) { r.Bootloader = version("2023.1.1") }, manifest.OldBootloader},
		{"an unknown boot loader", func(r *R, d *D) {
			r.Bootloader, d.Bootloader = version("2023.1.0"),
				manifest.Version{}
		}, manifest.UnknownBootloader},
		{"an unknown boot loader that nobody asks for", func(_ *R, d *D) { d.Bootloader = manifest.Version{} }, ""},
		{"this storage", func(r *R, _ *D) { r.Storage.Kinds = []string{"nor", "block"} }, ""},
		{"other storage", func(r *R, _ *D) { r.Storage.Kinds = []string{"nor", "nand"} }, manifest.OtherStorage},
		{"too big", func(r *R, _ *D) { r.Size = 24<<20 + 1 }, manifest.SmallSlot},
		{"just fits", func(r *R, _ *D) { r.Size = 24 << 20 }, ""},
		{"asks for more than its size", func(r *R, _ *D) { r.Storage.SlotBytes = 32 << 20 }, manifest.SmallSlot},
		{"halted", func(r *R, _ *D) { r.Rollout.Halt = true }, manifest.Halted},
		{"halted, and the owner asks", func(r *R, d *D) { r.Rollout.Halt, d.Asked = true, true }, manifest.Halted},
		{"begins this second", func(r *R, _ *D) { r.Rollout.Start = noon }, ""},
		{"begins a second later", func(r *R, _ *D) { r.Rollout.Start = noon.Add(time.Second) }, manifest.NotStarted},
		{"begins later, and the owner asks", func(r *R, d *D) { r.Rollout.Start, d.Asked = noon.Add(time.Hour), true }, ""},
		{"nobody yet", func(r *R, _ *D) { r.Rollout.Share = 0 }, manifest.NotInCohort},
		{"nobody yet, and the owner asks", func(r *R, d *D) { r.Rollout.Share, d.Asked = 0, true }, ""},
		{"nearly everybody, and a camera without an id", func(r *R, d *D) {
			r.Rollout.Share, d.ID = manifest.AllShare-1,
				nil
		}, manifest.NotInCohort},
		{"everybody, and a camera without an id", func(_ *R, d *D) { d.ID = nil }, ""},
		{"the last place", func(r *R, d *D) { r.Rollout.Share = manifest.Cohort(d.ID, r.Version) }, manifest.NotInCohort},
		{"one place more", func(r *R, d *D) { r.Rollout.Share = manifest.Cohort(d.ID, r.Version) + 1 }, ""},
	} {
		r, d := release("1.4.0"), device()
		c.change(&r, &d)
		err := manifest.Judge(r, d)
		if got := manifest.ReasonOf(err); got != c.want || (err == nil) != (c.want == "") || c.want != "" && !errors.Is(err,
			c.want) {
			t.Errorf("%s: got %v, want %q", c.name, err, c.want)
		}
	}
}

func TestChoose(t *testing.T) {
	t.Parallel()
	with := func(v string, change func(*manifest.Release)) manifest.Release {
		r := release(v)
		change(&r)
		return r
	}
	halt := func(r *manifest.Release) { r.Rollout.Halt = true }
	other := func(r *manifest.Release) { r.Compatible = []string{"example,other"} }
	for _, c := range []struct {
		name string
		all  []manifest.Release
		want string
		why  manifest.Reason
	}{
		{"nothing", nil, "", manifest.NoRelease},
		{"the newest", []manifest.Release{release("1.4.0"), release("1.5.0"), release("1.4.1")}, "1.5.0", ""},
		{"the newest that may be", []manifest.Release{release("1.4.0"), with("1.5.0", halt)}, "1.4.0", ""},
		{"not one of another board", []manifest.Release{release("1.4.0"), with("1.5.0", other)}, "1.4.0", ""},
		{"why the newest of this board is not", []manifest.Release{release("1.3.0"), with("1.5.0", halt), with("9.0.0",
			other)}, "", manifest.Halted},
		{"only other boards", []manifest.Release{with("9.0.0", other)}, "", manifest.OtherBoard},
		{"nothing newer", []manifest.Release{release("1.3.0"), release("1.0.0")}, "", manifest.NotNewer},
	} {
		got, err := manifest.Choose(c.all, device())
		if manifest.ReasonOf(err) != c.why || c.want != "" && got.Version != version(c.want) {
			t.Errorf("%s: got %s, %v, want %s, %q", c.name, got.Version, err, c.want, c.why)
		}
	}
}

// TestCohort pins places, which cameras and publishers must agree on for ever, and looks at how they are spread.
func TestCohort(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		id, version string
		want        int
	}{{"0123456789abcdef", "1.4.0", 4877}, {"0123456789abcdef", "1.4.1", 6537}, {"", "1.4.0", 6849}} {
		if got := manifest.Cohort([]byte(c.id), version(c.version)); got != c.want {
			t.Errorf("%q %s: got %d, want %d", c.id, c.version, got, c.want)
		}
	}
	const cameras = 100_000
	first, both := 0, 0
	for i := range cameras {
		id := sha256.Sum256([]byte(fmt.Sprint(i)))
		a := manifest.Cohort(id[:16], version("1.4.0")) < 100
		if a {
			first++
		}
		if a && manifest.Cohort(id[:16], version("1.5.0")) < 100 {
			both++
		}
	}
	if first < 900 || first > 1100 || both > 40 { // 1,000 and 10 expected
		t.Errorf("one in a hundred: got %d of %d, the same ones again: %d", first, cameras, both)
	}
}

func TestVersion(t *testing.T) {
	t.Parallel()
	order := []string{"0.0.1-0", "0.0.1", "1.0.0-0", "1.0.0-2", "1.0.0-10", "1.0.0-alpha", "1.0.0-alpha.1",
		"1.0.0-alpha.beta",
		"1.0.0-beta", "1.0.0-beta.2", "1.0.0-beta.11", "1.0.0-rc.1", "1.0.0", "1.0.1", "1.2.0", "1.10.0", "2026.11.3",
		"4095.255.4095"}
	for i, a := range order {
		if got := version(a).String(); got != a {
			t.Errorf("%s: written as %s", a, got)
		}
		for j, b := range order {
			got, want := version(a).Compare(version(b)), slices.Index([]bool{i < j, i == j, i > j}, true)-1
			if got != want {
				t.Errorf("%s against %s: got %d, want %d", a, b, got, want)
			}
			if low, high := version(a).Floor(), version(b).Floor(); i < j && low > high {
				t.Errorf("floors of %s and %s: %x, %x", a, b, low, high)
			}
		}
	}
	for _, bad := range []string{"", "1", "1.2", "1.2.3.4", "01.2.3", "1.2.3-", "1.2.3-01", "1.2.3-a..b", "1.2.3+b",
		"v1.2.3", " 1.2.3",
		"1.2.-3", "4096.0.0", "0.256.0", "0.0.4096", "1.2.3-ä", "1.2.3-123456789012345678901234567890123"} {
		if v, err := manifest.ParseVersion(bad); err == nil {
			t.Errorf("%q: taken for %s", bad, v)
		}
	}
	for _, n := range []uint32{0, 1, 0x00100000, 0xffffffff} {
		if got := manifest.FloorVersion(n).Floor(); got != n {
			t.Errorf("%x: got %x", n, got)
		}
	}
}
