package lab

import (
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// The scripts under bad conditions: each must say what is missing and how to get it before long work starts, and leave
// nothing half-built in the cache.

// wantRefusal wants a failure that says all of words, and a clean cache.
func wantRefusal(t *testing.T, c tree, r ran, words ...string) {
	t.Helper()
	said := r.out + r.errs
	if r.code == 0 {
		t.Errorf("code 0, want a failure:\n%s", tail(said, 2000))
	}
	for _, w := range words {
		if !strings.Contains(said, w) {
			t.Errorf("does not say %q:\n%s", w, tail(said, 2000))
		}
	}
	if left := c.leftovers(t); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// lockOf moves the copy's lock to what a mirror has.
func (c tree) lockOf(t *testing.T, m *mirror) {
	t.Helper()
	if r := c.run(t, 2*time.Minute, "scripts/board-lock", m.env()...); r.code != 0 {
		t.Fatalf("board-lock: %s%s", r.out, r.errs)
	}
}

// changeLock replaces a pattern in the copy's lock.
func (c tree) changeLock(t *testing.T, pattern, with string) {
	t.Helper()
	name := c.path("scripts/board.lock")
	old := readFile(t, name)
	changed := regexp.MustCompile(pattern).ReplaceAll(old, []byte(with))
	if string(changed) == string(old) {
		t.Fatalf("the lock has nothing like %s:\n%s", pattern, old)
	}
	if err := os.WriteFile(name, changed, 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestScriptsTakeTheNearest: the locked kernel is gone from Debian. The nearest is taken and marked, and stays the
// choice offline, until the lock moves.
func TestScriptsTakeTheNearest(t *testing.T) {
	t.Parallel()
	need(t, "depmod")
	c, m := copyTree(t, t.TempDir()+"/copy"), newMirror(t)
	c.lockOf(t, m)
	c.changeLock(t, `linux-image-\S+-arm64 arm64 \S+`, "linux-image-6.1.0-8-arm64 arm64 6.1.49-1")
	const mark = "not the locked kernel, but the nearest that Debian has: linux-image-6.1.0-9-arm64 6.1.50-1"
	for _, online := range []bool{true, false} {
		if !online {
			m.server.Close()
		}
		r := c.run(t, 2*time.Minute, "scripts/board-kernel arm64", m.env()...)
		dir := strings.TrimSpace(r.out)
		if r.code != 0 || !strings.Contains(r.errs, mark) || filepath.Base(dir) != "kernel-"+mirrorRelease+"-arm64-"+mirrorKernel {
			t.Fatalf("online %v: code %d, %s\n%s", online, r.code, r.out, r.errs)
		}
		if _, err := os.Stat(filepath.Join(dir, "Image")); err != nil {
			t.Error(err)
		}
	}
	c.changeLock(t, `linux-image-\S+-arm64 arm64 \S+`, "linux-image-6.1.0-9-arm64 arm64 6.1.50-1")
	if r := c.run(t, time.Minute, "scripts/board-kernel arm64", m.env()...); r.code != 0 || strings.Contains(r.errs, "nearest") {
		t.Errorf("after the lock moved: code %d\n%s", r.code, r.errs)
	}
}

// TestScriptsWantWhatIsLocked: Debian has another file under the locked name.
func TestScriptsWantWhatIsLocked(t *testing.T) {
	t.Parallel()
	c, m := copyTree(t, t.TempDir()+"/copy"), newMirror(t)
	c.lockOf(t, m)
	c.changeLock(t, `(busybox-static arm64 \S+) \S+`, "$1 "+strings.Repeat("0", 64))
	r := c.run(t, 2*time.Minute, "scripts/board-fetch busybox:arm64", m.env()...)
	wantRefusal(t, c, r, "busybox-static", "has not the sha256 of the lock: not taken")
}

// TestScriptsTellOfRegistries: Debian's mirror refuses, lies, is signed by a stranger, is not there; the Go modules' proxy
// refuses.
func TestScriptsTellOfRegistries(t *testing.T) {
	t.Parallel()
	refusing := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "no", http.StatusForbidden)
	}))
	t.Cleanup(refusing.Close)
	m := newMirror(t)
	damaged := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, ".deb") {
			http.Error(w, "no", http.StatusForbidden)
			return
		}
		m.server.Config.Handler.ServeHTTP(w, r)
	}))
	t.Cleanup(damaged.Close)
	const fetch, hint = "scripts/board-fetch busybox:arm64", "DEBIAN_MIRROR=URL names another mirror"
	for name, c := range map[string]struct {
		line  string
		env   []string
		words []string
	}{
		"refusing mirror": {fetch, []string{"DEBIAN_MIRROR=" + refusing.URL, "DEBIAN_KEYRING=" + m.keyring},
			[]string{"403", "package lists do not come in from " + refusing.URL, hint}},
		"packages refused": {fetch, []string{"DEBIAN_MIRROR=" + damaged.URL, "DEBIAN_KEYRING=" + m.keyring},
			[]string{"403", "does not come in: is the network there"}},
		"nobody there": {fetch, []string{"DEBIAN_MIRROR=http://127.0.0.1:1", "DEBIAN_KEYRING=" + m.keyring},
			[]string{"package lists do not come in from http://127.0.0.1:1", hint}},
		"a stranger's signature": {fetch, []string{"DEBIAN_MIRROR=" + m.url},
			[]string{"NO_PUBKEY", "package lists do not come in", hint}},
		"no keyring": {fetch, []string{"DEBIAN_MIRROR=" + m.url, "DEBIAN_KEYRING=/nowhere"},
			[]string{"signing keys are missing", "debian-archive-keyring"}},
		"before the lab is built": {"scripts/lab arm64", []string{"DEBIAN_MIRROR=" + refusing.URL,
			"DEBIAN_KEYRING=" + m.keyring}, []string{"403", "package lists do not come in from " + refusing.URL, hint}},
		"refusing module proxy": {"scripts/image qemu-virt-arm64", []string{"GOPROXY=" + refusing.URL, "GOFLAGS=-modcacherw",
			"GOMODCACHE=" + t.TempDir(), "GONOSUMDB=*", "GONOPROXY=none"},
			[]string{"the Go modules do not come in", refusing.URL, "GOPROXY"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			copied := copyTree(t, t.TempDir()+"/copy")
			copied.lockOf(t, m)
			wantRefusal(t, copied, copied.run(t, 2*time.Minute, c.line, c.env...), c.words...)
			if built, _ := filepath.Glob(copied.path("bin/*")); len(built) > 0 {
				t.Errorf("built before it was refused: %v", built)
			}
		})
	}
}

// TestScriptsNameTheMirror: without DEBIAN_MIRROR it is the host's own that does not answer.
func TestScriptsNameTheMirror(t *testing.T) {
	t.Parallel()
	c := copyTree(t, t.TempDir()+"/copy")
	r := c.run(t, 2*time.Minute, "scripts/board-fetch busybox:arm64", "DEBIAN_MIRROR=", "http_proxy=http://127.0.0.1:1")
	wantRefusal(t, c, r, "Could not connect to 127.0.0.1:1", "DEBIAN_MIRROR=URL names another mirror")
	named := regexp.MustCompile(`do not come in from (\S+):`).FindStringSubmatch(r.errs)
	asked := string(readFile(t, c.path(".cache/apt/sources.list")))
	if named == nil || !strings.Contains(asked, " "+named[1]+" ") {
		t.Errorf("named %q, asked:\n%s", named, asked)
	}
}

// TestScriptsBoardSaysAtOnce: what a verb of scripts/board can't do is said before anything is built.
func TestScriptsBoardSaysAtOnce(t *testing.T) {
	t.Parallel()
	c := copyTree(t, t.TempDir()+"/copy")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	_, taken, _ := net.SplitHostPort(l.Addr().String())
	for _, refused := range []struct{ line, env, says string }{
		{"scripts/board flash", "ARCH=arm64", "there is no disk yet: scripts/board run makes one"},
		{"scripts/board run", "BOARD_PORT=" + taken, "port " + taken + " is taken: BOARD_PORT=N takes another one"},
		{"scripts/board run --arch armv7", "BOARD_DOOR=" + taken, "port " + taken + " is taken: BOARD_DOOR=N"},
		{"scripts/board run --arch mips", "ARCH=arm64", "arm64 or armv7, not mips"},
	} {
		wantRefusal(t, c, c.run(t, 20*time.Second, refused.line, refused.env), refused.says)
	}
}

// TestScriptsTellOfTools: each program that is missing is named with the package that has it and the line that installs
// it, before anything is downloaded.
func TestScriptsTellOfTools(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ line, without, pkg string }{
		"image":   {"scripts/image qemu-virt-arm64", "xz", "xz-utils"},
		"pi":      {"scripts/image rpi-zero2w", "aarch64-linux-gnu-g++", "g++-aarch64-linux-gnu"},
		"smoke":   {"scripts/smoke arm64", "qemu-system-aarch64", "qemu-system-arm"},
		"systemd": {"scripts/systemd-image", "cpio", "cpio"},
		"board":   {"scripts/board run", "ffmpeg", "ffmpeg"},
		"armv7":   {"scripts/board run --arch armv7", "arm-linux-gnueabihf-g++", "g++-arm-linux-gnueabihf"},
		"at once": {"scripts/board run", "patch", "patch"},
		"in it":   {"scripts/board-test arm64 ./hal/wdt", "patch", "patch"},
		"build":   {"scripts/build", "gcc", "gcc"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			copied := copyTree(t, t.TempDir()+"/copy")
			r := copied.run(t, time.Minute, c.line, "PATH="+pathWithout(t, c.without))
			wantRefusal(t, copied, r, "missing for", "apt-get install --no-install-recommends "+c.pkg, "as root")
		})
	}
	t.Run("go", func(t *testing.T) {
		t.Parallel()
		copied := copyTree(t, t.TempDir()+"/copy")
		r := copied.run(t, time.Minute, "scripts/image", "PATH="+pathWithout(t, "go"))
		wantRefusal(t, copied, r, "Go is missing: version 1.26 or newer", "https://go.dev/dl")
	})
}

// pathWithout is a PATH with every program that this machine has but one.
func pathWithout(t *testing.T, missing string) string {
	t.Helper()
	dir := t.TempDir()
	for _, from := range append(filepath.SplitList(os.Getenv("PATH")), "/usr/sbin", "/sbin") {
		programs, _ := filepath.Glob(filepath.Join(from, "*"))
		for _, p := range programs {
			if name := filepath.Base(p); name != missing {
				_ = os.Symlink(p, filepath.Join(dir, name)) // the first one counts, as in PATH
			}
		}
	}
	return dir
}

// TestScriptsTellOfSpace runs the scripts in a copy on a disk of 60 MB.
func TestScriptsTellOfSpace(t *testing.T) {
	t.Parallel()
	need(t, "unshare")
	c := copyTree(t, t.TempDir()+"/copy")
	const small = `exec unshare --map-root-user --mount bash -uc 'mount -t tmpfs -o size=60m small /mnt && cp -r . /mnt/ &&
		cd /mnt && { "$@"; code=$?; find .cache/debs .cache/board -mindepth 1 2>/dev/null; exit $code; }' small `
	if r := c.run(t, time.Minute, small+"true"); r.code != 0 {
		t.Skipf("no mount namespace for this user: %s", r.errs)
	}
	for _, line := range []string{"scripts/board-fetch kernel:arm64", "scripts/cross arm64", "scripts/image", "scripts/smoke",
		"scripts/board run", "scripts/board-test arm64 ./hal/wdt"} {
		r := c.run(t, time.Minute, small+line, "DEBIAN_MIRROR=http://127.0.0.1:1")
		wantRefusal(t, c, r, "MB of disk space, but", "make room, then try again")
		if strings.Contains(r.out, ".cache/") {
			t.Errorf("%s left behind: %s", line, r.out)
		}
	}
}

// TestScriptsTellReasons: what failed is told in its own words, without the logs beside them, and of nobody else's.
func TestScriptsTellReasons(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"go.mod": "module x\n\ngo 1.24\n",
		"x_test.go": "package x\n\nimport \"testing\"\n" + `
			func TestA(t *testing.T) {
				t.Parallel()
				t.Cleanup(func() { t.Log("agent's log:\nmuch\nmore") })
				t.Run("part", func(t *testing.T) { t.Error("got 1,\nwant 2") })
				t.Error("and so\non")
			}
			func TestB(t *testing.T) { t.Parallel(); t.Log("all is well") }
			func TestC(t *testing.T) { t.Parallel(); t.Log("the screen:\nrows"); t.Fatal("gone") }
		`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r := tool(t, time.Minute, "go", "-C", dir, "test", "-v")
	why := regexp.MustCompile(`_test.go:\d+|\d+\.\d+s`).ReplaceAllString(reasons(t, []byte(r.out)), "")
	for _, want := range []string{
		"--- FAIL: TestA ()\n    x: and so\n        on\n", "--- FAIL: TestC ()\n    x: gone\n",
		"    --- FAIL: TestA/part ()\n    x: got 1,\n        want 2\n",
	} {
		if !strings.Contains(why, want) {
			t.Errorf("got\n%swant\n%s", why, want)
		}
	}
	if says := regexp.MustCompile("much|rows|well").FindString(why); says != "" || r.code == 0 {
		t.Errorf("code %d, it says %q:\n%s", r.code, says, why)
	}
}
