package lab

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// mirror is a small Debian mirror of our own on the loopback: packages of some bytes with the names that the board is
// made of, lists, and a signature by a key of its own. apt and the scripts can't tell it from a large one.
type mirror struct {
	dir, keyring, url string
	server            *httptest.Server
}

// mirrorKernel is the only kernel that it has.
const mirrorKernel, mirrorRelease = "6.1.50-1", "6.1.0-9"

// mirrorPackages are "name version architecture", the architectures of one name in lines of their own.
func mirrorPackages() []string {
	list := []string{
		"busybox-static 1:1.35 arm64", "busybox-static 1:1.35 armhf", "v4l2loopback-dkms 0.12 all", "u-boot-qemu 2023 all",
		"u-boot-rpi 2023 arm64", "raspi-firmware 1 all", "firmware-brcm80211 1 all",
		"base-passwd 1 arm64", "systemd 1 arm64", "udev 1 arm64", "usr-is-merged 1 all", "wireless-regdb 1 all",
	}
	for _, name := range []string{"hostapd", "iw", "libssl-dev", "libnl-3-dev", "libnl-genl-3-dev"} {
		list = append(list, name+" 1 arm64", name+" 1 armhf")
	}
	for _, p := range []string{"linux-image-RELEASE-arm64 VERSION arm64", "linux-image-RELEASE-armmp-lpae VERSION armhf",
		"linux-headers-RELEASE-arm64 VERSION arm64", "linux-headers-RELEASE-armmp-lpae VERSION armhf",
		"linux-headers-RELEASE-common VERSION all", "linux-kbuild-6.1 VERSION amd64", "linux-kbuild-6.1 VERSION arm64",
		"linux-source-6.1 VERSION all"} {
		list = append(list, strings.NewReplacer("RELEASE", mirrorRelease, "VERSION", mirrorKernel).Replace(p))
	}
	return list
}

func newMirror(t *testing.T) *mirror {
	t.Helper()
	need(t, "gpg", "dpkg-deb", "apt-get")
	dir := t.TempDir()
	m := &mirror{dir: filepath.Join(dir, "debian"), keyring: filepath.Join(dir, "key.gpg")}
	lists := map[string]*bytes.Buffer{"main": {}, "non-free-firmware": {}}
	for _, p := range mirrorPackages() {
		fields := strings.Fields(p)
		section := "main"
		if strings.Contains(fields[0], "firmware") {
			section = "non-free-firmware"
		}
		m.add(t, lists[section], fields[0], fields[1], fields[2])
	}
	m.publish(t, lists)
	m.server = httptest.NewServer(http.FileServer(http.Dir(m.dir)))
	m.url = m.server.URL
	t.Cleanup(m.server.Close)
	return m
}

func (m *mirror) write(t *testing.T, name string, content []byte) {
	t.Helper()
	file := filepath.Join(m.dir, name)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, content, 0o644); err != nil {
		t.Fatal(err)
	}
}

// add builds a package and writes its paragraph. The kernel and busybox have the files that the scripts look for.
func (m *mirror) add(t *testing.T, list *bytes.Buffer, name, version, arch string) {
	t.Helper()
	content := "../" + name + "-" + arch
	control := fmt.Sprintf("Package: %s\nVersion: %s\nArchitecture: %s\nMaintainer: Nobody <nobody@example.com>\n"+
		"Description: of a test\n", name, version, arch)
	m.write(t, content+"/DEBIAN/control", []byte(control))
	files := []string{"usr/share/" + name}
	if release, kernel := strings.CutPrefix(name, "linux-image-"); kernel {
		files = []string{"boot/vmlinuz-" + release, "lib/modules/" + release + "/modules.order",
			"lib/modules/" + release + "/modules.builtin"}
	} else if name == "busybox-static" {
		files = []string{"bin/busybox"}
	}
	for _, f := range files {
		m.write(t, content+"/"+f, nil)
	}
	pool := fmt.Sprintf("pool/%s_%s_%s.deb", name, strings.ReplaceAll(version, ":", ""), arch)
	m.write(t, pool, nil)
	if r := tool(t, 20*time.Second, "dpkg-deb", "--root-owner-group", "-Znone", "-b", filepath.Join(m.dir, content),
		filepath.Join(m.dir, pool)); r.code != 0 {
		t.Fatalf("dpkg-deb: %s", r.errs)
	}
	b := readFile(t, filepath.Join(m.dir, pool))
	fmt.Fprintf(list, "%sFilename: %s\nSize: %d\nSHA256: %x\n\n", control, pool, len(b), sha256.Sum256(b))
}

// publish writes lists and their signed summary. Debian's own lists of an architecture have what fits it alone; apt does
// not mind the rest.
func (m *mirror) publish(t *testing.T, lists map[string]*bytes.Buffer) {
	t.Helper()
	sums := map[string]string{}
	for section, list := range lists {
		for _, arch := range []string{"amd64", "arm64", "armhf"} {
			name := section + "/binary-" + arch + "/Packages"
			m.write(t, "dists/bookworm/"+name, list.Bytes())
			sums[name] = fmt.Sprintf(" %x %d %s\n", sha256.Sum256(list.Bytes()), list.Len(), name)
		}
	}
	sources := fmt.Sprintf("Package: wpa\nBinary: hostapd\nVersion: 2:2.10\nDirectory: pool\n"+
		"Checksums-Sha256:\n %x 0 wpa.dsc\n\n", sha256.Sum256(nil))
	for section, list := range map[string]string{"main": sources, "non-free-firmware": ""} {
		name := section + "/source/Sources"
		m.write(t, "dists/bookworm/"+name, []byte(list))
		sums[name] = fmt.Sprintf(" %x %d %s\n", sha256.Sum256([]byte(list)), len(list), name)
	}
	release := "Origin: Debian\nSuite: oldstable\nCodename: bookworm\nDate: " + time.Now().UTC().Format(time.RFC1123) +
		"\nArchitectures: amd64 arm64 armhf\nComponents: main non-free-firmware\nSHA256:\n"
	for _, line := range slices.Sorted(maps.Values(sums)) {
		release += line
	}
	m.write(t, "dists/bookworm/Release", []byte(release))
	m.sign(t)
}

// sign makes a key for this mirror alone and signs the summary with it.
func (m *mirror) sign(t *testing.T) {
	t.Helper()
	home, err := os.MkdirTemp("", "gpg") // the agent's socket wants a short path
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = tool(t, 20*time.Second, "gpgconf", "--homedir", home, "--kill", "gpg-agent")
		_ = os.RemoveAll(home)
	}()
	summary := filepath.Join(m.dir, "dists", "bookworm")
	for _, args := range [][]string{
		{"--passphrase", "", "--quick-generate-key", "mirror@example.com", "ed25519", "sign", "never"},
		{"--output", m.keyring, "--export"},
		{"--output", filepath.Join(summary, "InRelease"), "--clearsign", filepath.Join(summary, "Release")},
	} {
		args = append([]string{"--homedir", home, "--batch", "--quiet"}, args...)
		if r := tool(t, 60*time.Second, "gpg", args...); r.code != 0 {
			t.Fatalf("gpg: %s", r.errs)
		}
	}
}

// env points the scripts at the mirror.
func (m *mirror) env() []string {
	return []string{"DEBIAN_MIRROR=" + m.url, "DEBIAN_KEYRING=" + m.keyring}
}
