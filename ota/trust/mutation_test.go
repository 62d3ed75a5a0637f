package trust_test

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// mutantSource is the package that says which check is out.
const mutantSource = `// Package mutant says which check is out.
package mutant

// Now is the number of the mutation that is switched on.
var Now = -1

// Gone lets an error be none.
func Gone(n int, err error) error {
	if n == Now {
		return nil
	}
	return err
}
`

// silent functions give no verdict: what they say to a person, and what saves a write to the disk.
func silent(function string) bool {
	return map[string]bool{"Error": true, "Unwrap": true, "about": true, "Equal": true, "equal": true, "SHA256": true,
		"later": true}[function]
}

// TestMutants is the proof that each check counts: a copy of the verifier and of its JSON reader loses one check after
// another, and each time some repository must get another verdict than before. The shipped verifier has no switch.
func TestMutants(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("builds a copy of the package")
	}
	dir := t.TempDir()
	mutations := copyMutated(t, dir)
	corpus := writeCorpus(t, dir)
	binary := filepath.Join(dir, "mutants")
	build := exec.Command("go", "test", "-c", "-o", binary, "./ota/trust")
	build.Dir = dir
	build.Env = append(os.Environ(), "GOFLAGS=-mod=mod", "GOWORK=off")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the mutants: %v\n%s", err, out)
	}
	killers := run(t, binary, corpus, len(mutations))
	if killers[-1] != "" {
		t.Fatalf("the copy without a mutation disagrees on %s", killers[-1])
	}
	var table strings.Builder
	for i, m := range mutations {
		reason, known := equivalent()[m.where[strings.IndexByte(m.where, ' ')+1:]+": "+m.what]
		switch killer := killers[i]; {
		case killer == "" && known:
			killer = "equivalent: " + reason
			fallthrough
		case killer != "" && !known:
			fmt.Fprintf(&table, "\n%-36s %-90.90s | %s", m.where, m.what, killer)
		case known:
			t.Errorf("%s: %s: given away by %s, but called equivalent", m.where, m.what, killer)
		default:
			t.Errorf("%s: %s: no repository disagrees", m.where, m.what)
		}
	}
	t.Logf("%d mutants, and the repository that gives each away:%s", len(mutations), table.String())
}

// copyMutated makes a module of the two packages in a directory.
func copyMutated(t *testing.T, dir string) []mutation {
	t.Helper()
	var all []mutation
	root := filepath.Join("..", "..")
	for _, pkg := range []string{"codec/cjson", "ota/trust"} {
		files, err := filepath.Glob(filepath.Join(root, pkg, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range files {
			if !strings.HasSuffix(path, "_test.go") {
				name := filepath.Join(pkg, filepath.Base(path))
				put(t, filepath.Join(dir, name), mutate(t, path, filepath.Base(pkg)+"/"+filepath.Base(path), silent, &all))
			}
		}
	}
	for from, to := range map[string]string{"judge_test.go": "judge_test.go", "testdata/mutants.go": "mutants_test.go"} {
		b, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		put(t, filepath.Join(dir, "ota/trust", to), b)
	}
	put(t, filepath.Join(dir, "mutant/mutant.go"), []byte(mutantSource))
	put(t, filepath.Join(dir, "go.mod"), []byte("module github.com/ocellus/ocellus\n\ngo 1.26\n"))
	return all
}

func put(t *testing.T, path string, b []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
}

// writeCorpus writes all stories with our verdicts, which the other tests compare with go-tuf's.
func writeCorpus(t *testing.T, dir string) string {
	t.Helper()
	type told struct {
		Repository repository
		Verdicts   []string
	}
	var corpus []told
	add := func(r repository) { corpus = append(corpus, told{r, exact(judge(t.Context(), r))}) }
	for _, s := range agreed() {
		add(tell(s))
	}
	for _, d := range differences() {
		add(d.repository())
	}
	slices.SortStableFunc(corpus, func(a, b told) int { return cmp.Compare(weight(a.Repository), weight(b.Repository)) })
	b, err := json.Marshal(corpus)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "corpus.json")
	put(t, path, b)
	return path
}

// weight is about how long a client is busy with a repository: most mutants are given away by a light one.
func weight(r repository) (bytes int) {
	for _, s := range r.Steps {
		for _, f := range s.Files {
			if bytes += len(f.Data); f.Endless {
				bytes += 1 << 20
			}
		}
	}
	return bytes
}

// run tells all stories to all mutants. One that hangs ends the process, which is begun again behind it.
func run(t *testing.T, binary, corpus string, count int) map[int]string {
	t.Helper()
	killers := map[int]string{}
	for next := -1; next < count; {
		c := exec.CommandContext(t.Context(), binary, "-test.run", "^TestMutants$")
		c.Dir = filepath.Dir(corpus)
		c.Env = append(os.Environ(), "CORPUS="+corpus, fmt.Sprintf("RANGE=%d %d", next, count))
		out, err := c.CombinedOutput()
		before := next
		for lines := bufio.NewScanner(bytes.NewReader(out)); lines.Scan(); {
			if rest, ok := strings.CutPrefix(lines.Text(), "mutant "); ok {
				number, killer, _ := strings.Cut(rest, " ")
				if _, err := fmt.Sscan(number, &next); err != nil {
					t.Fatal(err)
				}
				killers[next] = killer
				next++
			}
		}
		if next == before || err != nil && next < count && killers[next-1] != "hangs" {
			t.Fatalf("mutant %d: %v\n%s", next, err, out)
		}
	}
	return killers
}

// equivalent names the mutations that change no verdict, and why.
func equivalent() map[string]string {
	return map[string]string{
		"end: if never: err != nil": "Refresh asks for nothing after an error; TestSessionEnds goes on by hand",
	}
}
