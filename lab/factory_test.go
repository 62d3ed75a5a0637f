package lab

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// factoryReport is a line of camctl factory.
type factoryReport struct {
	Port, Result, Text, Model, Fingerprint string
	Selftest                               *struct{ Passed bool }
}

// factory is a factory with a key.
type factory struct {
	t   *testing.T
	key string
	out string
}

// newFactory makes a factory, and the half of its key that images know.
func newFactory(t *testing.T) (f factory, public string) {
	t.Helper()
	dir := t.TempDir()
	f = factory{t, filepath.Join(dir, "factory.key"), filepath.Join(dir, "tray")}
	made := tool(t, time.Minute, program("camctl"), "factory", "key", f.key)
	public = filepath.Join(dir, "factory.pub")
	if err := os.WriteFile(public, []byte(made.out), 0o600); made.code != 0 || err != nil {
		t.Fatalf("%d %s %v", made.code, made.errs, err)
	}
	return f, public
}

// run finishes the boards on these ports.
func (f factory) run(words ...string) (map[string]factoryReport, ran) {
	f.t.Helper()
	r := tool(f.t, 2*time.Minute, program("camctl"), append([]string{"factory", "--key", f.key, "-o", f.out}, words...)...)
	reports := map[string]factoryReport{}
	for line := range strings.Lines(r.out) {
		var report factoryReport
		if err := json.Unmarshal([]byte(line), &report); err != nil {
			f.t.Fatalf("%q: %v", line, err)
		}
		reports[report.Port] = report
	}
	return reports, r
}

func (f factory) file(fingerprint, kind string) string {
	f.t.Helper()
	raw, err := os.ReadFile(filepath.Join(f.out, fingerprint+"."+kind))
	if err != nil {
		f.t.Fatal(err)
	}
	return string(raw)
}

// TestFactory: a tray of two boards, one of which another station tests; the label that is printed claims the camera;
// what was done before, or has an owner, is refused, and the factory's key is dead then.
func TestFactory(t *testing.T) {
	t.Parallel()
	f, public := newFactory(t)
	var cables [2]*cable
	var cameras [2]*agent
	for i := range cables {
		cables[i] = newCable(t)
		cameras[i] = startAgent(t, agentOptions{alone: true,
			args: []string{"--serial", cables[i].camera, "--factory", public}})
	}
	first, second := cables[0].port, cables[1].port
	other, _ := newFactory(t)
	if got, r := other.run("--untested", first); r.code != 1 || got[first].Result != "failed" ||
		!strings.Contains(got[first].Text, "the line stays locked") {
		t.Errorf("another factory: %d %+v", r.code, got)
	}
	broken := filepath.Join(cameras[0].state, ".selftest.tmp") // in the way of the storage's test
	if err := os.Mkdir(broken, 0o700); err != nil {
		t.Fatal(err)
	}
	bad, r := f.run(first)
	labels, err := filepath.Glob(filepath.Join(f.out, "*.txt"))
	if r.code != 1 || bad[first].Result != "failed" || !strings.Contains(bad[first].Text, "self-test failed: storage") ||
		len(labels) > 0 || err != nil {
		t.Errorf("a bad board: %d %+v, labels %v", r.code, bad, labels)
	}
	if err := os.Remove(broken); err != nil {
		t.Fatal(err)
	}
	cables[1].noise(20)
	got, r := f.run(first, second)
	cables[1].noise(0)
	for _, port := range []string{first, second} {
		if b := got[port]; r.code != 0 || b.Result != "done" || b.Model != "SIM" || b.Selftest == nil || !b.Selftest.Passed {
			t.Fatalf("a tray: %d %+v %s", r.code, got, r.errs)
		}
	}
	print := got[first].Fingerprint
	text, _, _ := strings.Cut(f.file(print, "txt"), "\n")
	if want := label(t, cameras[0]); text != want {
		t.Error("the label is another one than the board's")
	}
	read := tool(t, time.Minute, "zbarimg", "--quiet", "--raw", filepath.Join(f.out, print+".png"))
	if read.out != text+"\n" {
		t.Errorf("zbar does not read the label: %d %s", read.code, read.errs)
	}
	if svg := f.file(print, "svg"); !strings.HasPrefix(svg, "<svg ") || strings.Count(svg, "<text ") != 2 {
		t.Error("no label in SVG")
	}
	secret := strings.Split(text, ":")[4]
	for _, kept := range []string{f.file(print, "json"), r.out, r.errs, cameras[0].log.String()} {
		if strings.Contains(kept, secret) {
			t.Error("the setup secret is where it does not belong")
		}
	}
	if got, r := f.run("--untested", first); r.code != 1 || got[first].Result != "refused" {
		t.Errorf("done before: %d %+v", r.code, got)
	}
	paired := tool(t, time.Minute, program("camctl"), "pair", "--home", cameras[0].home, "--camera", cameras[0].ports.Web,
		"--label", text)
	if paired.code != 0 {
		t.Fatalf("pair by the printed label: %s", paired.errs)
	}
	if got, r := f.run("--untested", first); r.code != 1 || got[first].Result != "refused" ||
		!strings.Contains(got[first].Text, "has an owner") {
		t.Errorf("owned: %d %+v", r.code, got)
	}
}
