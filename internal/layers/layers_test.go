package layers

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/ocellus/ocellus/"

// row says what one room may import of the module itself. A pattern is a directory; with "/..." it covers what is
// under it too. The first row whose room matches counts. Own sub-packages are always allowed.
type row struct {
	room   string
	may    []string
	reason string
}

// floors is the table of docs/architecture.md.
func floors() []row {
	return []row{
		{"hal/haltest", []string{"hal", "codec/...", "internal/..."},
			"the suites check what drivers deliver; they know no driver"},
		{"hal/*/...", []string{"hal", "codec/...", "internal/..."}, "a driver knows no other driver"},
		{"hal", nil, "a dictionary leans on nothing"},
		{"codec/label", []string{"codec/...", "internal/secret"}, "a setup secret never prints"},
		{"codec/qrtext", []string{"codec/...", "internal/secret"}, "a password never prints"},
		{"codec/...", []string{"codec/..."}, "pure: bytes in, values out"},
		{"access", []string{"codec/...", "internal/..."}, "one gate for every door; it needs only words and state"},
		{"internal/supervise", []string{"hal", "internal/..."}, "it alone pets the watchdog, whose word is in hal"},
		{"internal/rawstore", []string{"hal", "codec/bootstate", "internal/..."},
			"how storage of hal is written to a bare disk, the same for the drivers and the simulated disk"},
		{"internal/areas", []string{"hal", "internal/..."}, "it makes the vault of hal a place for state"},
		{"internal/...", []string{"internal/..."}, "shared words know nobody above them"},
		{"stream/rtp", []string{"codec/..."}, "camctl uses it too: byte slices, no hal, no hub"},
		{"stream/...", feature("stream"), "a feature; siblings meet only in cmd/agent"},
		{"provision/smartconfig", []string{"codec/dot11", "internal/secret"},
			"pure: frames in, credentials out, no hal; camctl has the senders of the same wire"},
		{"provision/...", feature("provision"), "a feature"},
		{"ota/trust", []string{"codec/cjson"}, "whom a camera believes: pure, and camctl asks the same"},
		{"ota/manifest", []string{"codec/cjson", "ota/trust"}, "what a release says: pure, and camctl writes it"},
		{"ota/bundle", []string{"ota/trust"}, "a repository in one file: pure, and camctl writes it"},
		{"ota/delta/wire", nil, "the format of a delta: pure, and leans on nothing"},
		{"ota/delta/diff", []string{"codec/...", "ota/delta/wire"}, "makes deltas: pure, for camctl alone"},
		{"ota/delta", []string{"codec/..."}, "makes an image out of another one: pure, and camctl proves deltas by it"},
		{"ota/...", feature("ota"), "a feature"},
		{"record/...", feature("record"), "a feature"},
		{"console/link/wire", []string{"codec/..."}, "the conversation over a serial line: pure, and camctl has its other end"},
		{"console/link/caller", []string{"codec/...", "console/link/wire"}, "camctl's end of it: a port in, answers out"},
		{"console/...", feature("console"), "a feature"},
		{"control/...", feature("control"), "a feature"},
		{"web/...", feature("web"), "a feature"},
		{"notify/...", feature("notify"), "a feature"},
		{"board", []string{"hal", "hal/*/...", "internal/monotime"}, "the only one that opens hardware"},
		{"cmd/agent", []string{"..."}, "the only one that wires"},
		{"cmd/camctl", []string{"codec/...", "access", "internal/statefile", "internal/monotime", "internal/secret",
			"stream/rtp", "ota/bundle", "ota/trust", "ota/manifest", "ota/delta/...", "provision/smartconfig", "provision/qr",
			"console/link/wire", "console/link/caller", "hal", "hal/tty"},
			"the wire is the contract: pure formats, never a feature; arrival is measured on monotime, the capture clock; " +
				"a serial port is the same thing at both of its ends"},
		{"cmd/mkimage", []string{"codec/..."}, "it packs: formats alone"},
		{"cmd/init", []string{"codec/fit", "codec/verity"}, "the first process: how a slot is laid out, nothing else"},
		{"lab/bench/qr", []string{"codec/...", "internal/secret", "provision/qr/..."},
			"zbar is a library, so we are one, too: both read the same luma in one process"},
		{"lab/bench/...", []string{"lab/bench/..."}, "the programs of one benchmark share its clip"},
		{"lab/hand/wire", nil, "what the lab and its hand in a board say to one another"},
		{"lab/hand", []string{"hal", "hal/ubootenv", "hal/blockslot", "hal/vault", "codec/bootstate"},
			"the lab's hand in the board works with the board's own drivers"},
		{"lab/virt", []string{"lab/hand/wire"}, "it runs the built image"},
		{"lab/powercut", []string{"hal", "codec/...", "internal/rawstore", "lab/disklog"},
			"it judges rebuilt disks by the board's own formats"},
		{"lab/...", nil, "it runs the built binaries"},
	}
}

func feature(room string) []string {
	return []string{"hal", "codec/...", "access", "internal/...", room + "/..."}
}

// external says which rooms may import packages that are neither ours nor the standard library's.
func external() []row {
	return []row{
		{"hal/haltest", nil, "a suite needs only testing"},
		{"hal/*/...", []string{"..."}, "a driver has its own libraries"},
		{"hal", nil, "standard library only"},
		{"codec/...", []string{"github.com/pion/rtp", "github.com/pion/rtcp", "github.com/Eyevinn/mp4ff/...",
			"github.com/klauspost/compress/zstd", "github.com/klauspost/compress/gzip", "github.com/tinylib/msgp/msgp"},
			"pure formats; a slot's format names its compressors, a message its encoding"},
		{"stream/rtp", []string{"github.com/pion/rtp/...", "github.com/pion/rtcp"},
			"the wire format; pion is the reference of its tests"},
		{"provision/smartconfig", nil, "pure: the standard library is enough"},
		{"internal/supervise", []string{"golang.org/x/sys/..."}, "system calls"},
		{"internal/monotime", []string{"golang.org/x/sys/..."}, "clock_gettime"},
		{"internal/...", []string{"golang.org/x/sys/...", "go.yaml.in/yaml/v3"}, "small shared words"},
		{"access", nil, "the gate leans on the standard library's cryptography alone"},
		{"ota/trust", nil, "so does the verifier"},
		{"ota/manifest", nil, "it decides with the verifier"},
		{"lab/...", []string{"..."}, "the lab drives real peers"},
		{"...", []string{"..."}, "dependencies are listed, with their cost, in docs/dependencies.md"},
	}
}

// matches reports whether dir is covered by pattern: "a", "a/...", "a/*/..." or "...".
func matches(pattern, dir string) bool {
	if pattern == "..." {
		return true
	}
	base, deep := strings.CutSuffix(pattern, "/...")
	want, got := strings.Split(base, "/"), strings.Split(dir, "/")
	if len(got) < len(want) || !deep && len(got) != len(want) {
		return false
	}
	for i, w := range want {
		if w != "*" && w != got[i] {
			return false
		}
	}
	return true
}

// verdict judges one import of a package in dir; "" means it is allowed. inTest imports may use haltest too.
func verdict(dir, imported string, inTest bool) string {
	own, ours := strings.CutPrefix(imported, module)
	table, what := external(), imported
	if ours {
		table, what = floors(), own
		if matches(dir+"/...", what) || what == dir {
			return ""
		}
		if what == "hal/haltest" {
			return map[bool]string{true: "", false: "haltest is for tests alone"}[inTest]
		}
		if what == "hal/sim" && dir == "cmd/agent" && inTest {
			return "" // the wiring's tests press the simulated button and cut the power of the simulated disk
		}
	} else if !strings.Contains(strings.SplitN(imported, "/", 2)[0], ".") {
		return "" // standard library
	} else if inTest && !matches("lab/...", dir) {
		return "" // a test may bring the reference that it compares with
	}
	for _, r := range table {
		if !matches(r.room, dir) {
			continue
		}
		for _, m := range r.may {
			if matches(m, what) {
				return driverRule(dir, what, ours)
			}
		}
		return fmt.Sprintf("%s may import %v: %s", r.room, r.may, r.reason)
	}
	return "no row for this room in internal/layers"
}

// driverRule keeps drivers apart from one another and from everybody but board, and the lab's hand in one. camctl has the
// other end of a serial line.
func driverRule(dir, what string, ours bool) string {
	switch {
	case !ours, !matches("hal/*/...", what), dir == "board", dir == "lab/hand", dir == "cmd/camctl" && what == "hal/tty":
		return ""
	}
	return "only board imports a driver"
}

func TestFloors(t *testing.T) {
	t.Parallel()
	walk(t, func(name, dir string, f *ast.File) {
		for _, spec := range f.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				t.Errorf("%s: import %s: %v", name, spec.Path.Value, err)
				continue
			}
			if bad := verdict(dir, imported, strings.HasSuffix(name, "_test.go")); bad != "" {
				t.Errorf("%s imports %s: %s", name, imported, bad)
			}
		}
	})
}

// TestNoInit: nothing registers itself.
func TestNoInit(t *testing.T) {
	t.Parallel()
	walk(t, func(name, _ string, f *ast.File) {
		for _, d := range f.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
				t.Errorf("%s: init(): pass things in, wire in cmd/agent", name)
			}
		}
	})
}

// TestSizes holds the limits of the style page: no function over 80 lines, no file over 600.
func TestSizes(t *testing.T) {
	t.Parallel()
	const maxFunc, maxFile = 80, 600
	fset := token.NewFileSet()
	walkWith(t, fset, func(name, _ string, f *ast.File) {
		if strings.HasSuffix(name, "_test.go") {
			return
		}
		if n := fset.Position(f.FileEnd).Line; n > maxFile {
			t.Errorf("%s: %d lines, want at most %d", name, n, maxFile)
		}
		for _, d := range f.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok {
				continue
			}
			if n := fset.Position(fn.End()).Line - fset.Position(fn.Pos()).Line + 1; n > maxFunc {
				t.Errorf("%s: %s has %d lines, want at most %d", name, fn.Name.Name, n, maxFunc)
			}
		}
	})
}

func TestVerdict(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		dir, imported string
		inTest, ok    bool
	}{
		{"hal", "context", false, true},
		{"hal", module + "codec/h264", false, false},
		{"hal", "golang.org/x/sys/unix", false, false},
		{"hal/v4l2", module + "hal", false, true},
		{"hal/v4l2", "golang.org/x/sys/unix", false, true},
		{"hal/v4l2", module + "hal/sim", false, false},
		{"hal/v4l2", module + "hal/sim", true, false},
		{"hal/v4l2", module + "hal/v4l2/ioctl", false, true},
		{"hal/v4l2", module + "hal/haltest", true, true},
		{"hal/v4l2", module + "hal/haltest", false, false},
		{"stream", module + "stream/rtp", false, true},
		{"stream", module + "board", false, false},
		{"stream", module + "record", false, false},
		{"stream", module + "hal/sim", false, false},
		{"stream/rtp", module + "hal", false, false},
		{"stream/rtp", module + "stream", false, false},
		{"provision/smartconfig", module + "codec/dot11", false, true},
		{"provision/smartconfig", module + "hal", false, false},
		{"provision/smartconfig", "golang.org/x/sys/unix", false, false},
		{"board", module + "hal/v4l2", false, true},
		{"board", module + "stream", false, false},
		{"cmd/agent", module + "stream/rtsp", false, true},
		{"cmd/agent", module + "hal/sim", false, false},
		{"cmd/agent", module + "hal/sim", true, true},
		{"cmd/agent", module + "hal/vault", true, false},
		{"cmd/camctl", module + "stream/rtp", false, true},
		{"cmd/camctl", module + "stream/rtsp", false, false},
		{"cmd/camctl", module + "hal/tty", false, true},
		{"cmd/camctl", module + "hal/wifi", false, false},
		{"lab", module + "codec/h264", true, false},
		{"lab", module + "lab/virt", true, true},
		{"lab/virt", module + "hal/vault", false, false},
		{"lab/hand", module + "hal/vault", false, true},
		{"lab/hand", module + "hal/v4l2", false, false},
		{"access", "golang.org/x/crypto/argon2", false, false},
		{"ota/trust", module + "codec/cjson", false, true},
		{"ota/trust", module + "hal", false, false},
		{"ota/trust", "github.com/theupdateframework/go-tuf/v2/metadata", true, true},
		{"ota/trust", "github.com/theupdateframework/go-tuf/v2/metadata", false, false},
		{"util", module + "hal", false, false},
	} {
		if got := verdict(c.dir, c.imported, c.inTest); (got == "") != c.ok {
			t.Errorf("%s imports %s (test %v): got %q, want allowed %v", c.dir, c.imported, c.inTest, got, c.ok)
		}
	}
}

func walk(t *testing.T, visit func(name, dir string, f *ast.File)) {
	t.Helper()
	walkWith(t, token.NewFileSet(), visit)
}

// walkWith parses every Go file of the module, whatever its build constraints.
func walkWith(t *testing.T, fset *token.FileSet, visit func(name, dir string, f *ast.File)) {
	t.Helper()
	root := filepath.Join("..", "..")
	if _, err := os.Stat(filepath.Join(root, "go.mod")); err != nil {
		t.Fatal(err)
	}
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, p)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		if d.IsDir() {
			skip := []string{"testdata", "vendor", "bin", "dist", "var"}
			if rel != "." && (strings.HasPrefix(d.Name(), ".") || slices.Contains(skip, d.Name())) {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(rel, ".go") {
			return nil
		}
		f, err := parser.ParseFile(fset, p, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		visit(rel, path.Dir(rel), f)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
