package lab

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ocellus/ocellus/lab/carve"
)

// belongings are what an owner has on a camera, to be looked for before he parts with it and afterwards.
type belongings struct {
	values []carve.Value
	open   []string // values that lie open as well, since a person wrote them there
}

// The home's network, planted: sealed, as every part of the agent does it, and open in a configuration.
const (
	homeSSID     = "Großmutters WLAN \"5 GHz\""
	homePassword = "correct-horse-battery-staple"
	homeToken    = "tok_9f8e7d6c5b4a39281706"
	grantName    = "Großmutters Tablet"
	viewerName   = "oma-tablet"
)

// homeNetwork is a sealed file's content.
func homeNetwork(t *testing.T) []byte {
	t.Helper()
	raw, err := json.Marshal(map[string]string{"ssid": homeSSID, "psk": homePassword, "token": homeToken})
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// homeConfig is a configuration of a person who notes too much in it.
const homeConfig = "schema: 1\n# the WLAN: " + homeSSID + "\n# " + homePassword + "\n"

// names under which the agent seals, and the lab.
func sealedNames() carve.Names {
	return carve.Names{"owner", "rtsps", "network", "settings", "counters", "log", "blackbox", "lab"}
}

// belongingsOf reads what there is to look for in the owner's home.
func belongingsOf(t *testing.T, home, camera string) belongings {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(home, "owner.json"))
	if err != nil {
		t.Fatal(err)
	}
	var kept struct {
		Cameras map[string]struct{ ID, Operational []byte }
	}
	if err := json.Unmarshal(raw, &kept); err != nil {
		t.Fatal(err)
	}
	owner := tool(t, 10*time.Second, program("camctl"), "owner", "make", "--home", home)
	key, err := hex.DecodeString(strings.TrimSpace(owner.out))
	if err != nil || len(key) != 32 {
		t.Fatalf("camctl owner make: %q %s", owner.out, owner.errs)
	}
	return belongings{open: []string{"SSID", "password"}, values: []carve.Value{
		{Name: "SSID", Bytes: []byte(homeSSID)}, {Name: "password", Bytes: []byte(homePassword)},
		{Name: "token", Bytes: []byte(homeToken)}, {Name: "viewer", Bytes: []byte(viewerName)},
		{Name: "name in a grant", Bytes: []byte(grantName)}, {Name: "owner's key", Bytes: key},
		{Name: "operational id", Bytes: kept.Cameras[camera].ID},
		{Name: "operational key", Bytes: kept.Cameras[camera].Operational},
	}}
}

// found checks what a disk gives away while the owner has the camera: everything. Otherwise the look afterwards would
// prove nothing.
func (o *belongings) found(t *testing.T, disk []byte) {
	t.Helper()
	r := o.look(t, disk)
	for _, v := range o.values {
		is := func(sealed bool) bool {
			return slices.ContainsFunc(r.Hits, func(h carve.Hit) bool { return h.Value == v.Name && h.Sealed == sealed })
		}
		if open := slices.Contains(o.open, v.Name); !is(true) || is(false) != open {
			t.Errorf("before: %s: found with the key %v, open %v, want true and %v", v.Name, is(true), is(false), open)
		}
	}
	if r.Keys != 1 || r.Opened == 0 {
		t.Errorf("before: %d keys, which open %d of %d sealed files", r.Keys, r.Opened, r.Sealed)
	}
	keys, err := carve.Keys(bytes.NewReader(disk), int64(len(disk)))
	if err != nil {
		t.Fatal(err)
	}
	for i, key := range keys {
		o.values = append(o.values, carve.Value{Name: fmt.Sprintf("the data key %d", i), Bytes: key})
	}
}

// gone checks that a disk gives nothing away.
func (o *belongings) gone(t *testing.T, disk []byte) {
	t.Helper()
	r := o.look(t, disk)
	for _, h := range r.Hits {
		t.Errorf("after: %v", h)
	}
	t.Logf("after: %d sealed files lie there, in files or free blocks; %d open with the %d keys there are, with nothing of his",
		r.Sealed, r.Opened, r.Keys)
}

func (o *belongings) look(t *testing.T, disk []byte) *carve.Report {
	t.Helper()
	r, err := carve.Look(bytes.NewReader(disk), int64(len(disk)), o.values, sealedNames())
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// folderDisk is the files of a folder as a disk would have them, each at a block of its own. Where one is replaced
// meanwhile, all are read again.
func folderDisk(t *testing.T, dir string) (disk []byte) {
	t.Helper()
	until(t, 10*time.Second, "no file goes while they are read", func() bool {
		var err error
		if disk, err = readFolder(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
		return err == nil
	})
	return disk
}

func readFolder(dir string) (disk []byte, err error) {
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		if !e.Type().IsRegular() {
			continue
		}
		raw, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			return nil, err
		}
		disk = append(disk, raw...)
		disk = append(disk, make([]byte, 4096-len(disk)%4096)...)
	}
	return disk, err
}

// TestErase is the end of a camera's life with an owner, with the built programs: everything of his is found before, and
// nothing afterwards; he has a receipt, and the next one becomes the owner by the same label.
func TestErase(t *testing.T) {
	t.Parallel()
	a := startAgent(t, agentOptions{apart: true})
	camctl := func(verb string, words ...string) ran {
		t.Helper()
		return tool(t, 20*time.Second, program("camctl"), append([]string{verb, "--home", a.home}, words...)...)
	}
	granted := camctl("grant", "camera", strings.Repeat("07", 32), "--to", grantName, "--viewer", viewerName)
	if granted.code != 0 {
		t.Fatal(granted.errs)
	}
	disk := folderDisk(t, a.state)
	sealed, err := carve.Seal(bytes.NewReader(disk), int64(len(disk)), "lab", homeNetwork(t))
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{"lab.sealed": sealed, "config.yaml": []byte(homeConfig)} {
		if err := os.WriteFile(filepath.Join(a.state, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	o := belongingsOf(t, a.home, "camera")
	o.found(t, folderDisk(t, a.state))
	label := tool(t, 10*time.Second, program("agent"), "label", "--board", "sim", "--state", a.state)

	if r := camctl("unbind", "camera", "--yes"); r.code != 0 {
		t.Fatalf("camctl unbind: %d: %s", r.code, r.errs)
	}
	until(t, 20*time.Second, "the camera starts anew", func() bool {
		return strings.Contains(a.log.String(), "the camera is as it came from its box") &&
			strings.Count(a.log.String(), "agent runs") == 2
	})
	a.learnPorts(t)
	o.gone(t, folderDisk(t, a.state))
	if r := camctl("erased"); r.code != 0 || !strings.Contains(r.out, "camera (SIM, fingerprint ") {
		t.Errorf("camctl erased: %d: %s%s", r.code, r.out, r.errs)
	}
	again := tool(t, 10*time.Second, program("agent"), "label", "--board", "sim", "--state", a.state)
	if again.out != label.out {
		t.Error("the label changed")
	}
	if _, r := watch(t, time.Second, a.url("main")); r.code != 4 {
		t.Errorf("the old owner's viewer: exit code %d, want 4 (credential refused): %s", r.code, r.errs)
	}
	a.home = filepath.Join(t.TempDir(), "next")
	a.pair(t)
	if s, r := watch(t, 2*time.Second, a.url("main")); r.code != 0 || !s.whole() {
		t.Errorf("the next owner's stream: exit code %d: %s", r.code, r.errs)
	}
}

// TestHandOverStory: two people and a camera, with the built programs.
func TestHandOverStory(t *testing.T) {
	t.Parallel()
	a := startAgent(t, agentOptions{apart: true})
	next := filepath.Join(t.TempDir(), "next")
	camctl := func(home, verb string, words ...string) ran {
		t.Helper()
		return tool(t, time.Minute, program("camctl"), append([]string{verb, "--home", home}, words...)...)
	}
	offer := camctl(a.home, "hand-over", "camera")
	if offer.code != 0 {
		t.Fatal(offer.errs)
	}
	tooSoon := camctl(next, "accept", strings.TrimSpace(offer.out), "--wait", "1s")
	if tooSoon.code == 0 || !strings.Contains(tooSoon.errs, "has not handed it over") {
		t.Errorf("without the owner's last word: %d: %s", tooSoon.code, tooSoon.errs)
	}
	said := &output{}
	accept := exec.CommandContext(t.Context(), program("camctl"), "accept", "--home", next, strings.TrimSpace(offer.out),
		"--name", "mine")
	accept.Stdout, accept.Stderr = said, said
	if err := accept.Start(); err != nil {
		t.Fatal(err)
	}
	answer := regexp.MustCompile(`OCELLUS-ANSWER:\S+\n`)
	until(t, 20*time.Second, "the next owner answers", func() bool { return answer.MatchString(said.String()) })
	last := []string{"hand-over", "camera", "--answer", strings.TrimSpace(answer.FindString(said.String()))}
	if r := camctl(a.home, last[0], last[1:]...); r.code != 0 {
		t.Errorf("the owner's last word: %d: %s", r.code, r.errs)
	}
	if err := accept.Wait(); err != nil || !strings.Contains(said.String(), "mine (SIM) is yours") {
		t.Errorf("the next owner: %v: %s", err, said)
	}
	if r := camctl(next, "grants", "mine"); r.code != 0 {
		t.Errorf("the next owner at the door: %d: %s", r.code, r.errs)
	}
	if r := camctl(a.home, last[0], last[1:]...); r.code == 0 || !strings.Contains(r.errs, "no camera is paired") {
		t.Errorf("a second time: %d: %s", r.code, r.errs)
	}
	if _, r := watch(t, time.Second, a.url("main")); r.code != 4 {
		t.Errorf("the old owner's viewer: exit code %d, want 4 (credential refused): %s", r.code, r.errs)
	}
}
