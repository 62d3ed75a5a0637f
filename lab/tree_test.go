package lab

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// tree is a copy of the project, with a cache of its own, for tests of what the scripts do to a project.
type tree struct{ dir string }

// copyTree clones the project as it lies here, committed or not.
func copyTree(t *testing.T, dir string) tree {
	t.Helper()
	need(t, "git")
	git := func(args ...string) string {
		r := tool(t, time.Minute, "git", args...)
		if r.code != 0 {
			t.Fatalf("git %v: %s", args, r.errs)
		}
		return r.out
	}
	// shared: names of commits are as short there as here
	git("clone", "-q", "--shared", "..", dir)
	for name := range strings.SplitSeq(git("-C", "..", "ls-files", "-z", "-m", "-o", "--exclude-standard"), "\x00") {
		if name == "" {
			continue
		}
		from, to := filepath.Join("..", name), filepath.Join(dir, name)
		info, err := os.Stat(from)
		if err != nil { // deleted here
			_ = os.Remove(to)
			continue
		}
		b, err := os.ReadFile(from)
		if err == nil {
			err = os.MkdirAll(filepath.Dir(to), 0o755)
		}
		if err == nil {
			err = os.WriteFile(to, b, info.Mode().Perm())
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return tree{dir}
}

func (c tree) path(name string) string { return filepath.Join(c.dir, name) }

// shareCache lets the copy use what was downloaded and unpacked here.
func (c tree) shareCache(t *testing.T) {
	t.Helper()
	cache, err := filepath.Abs(filepath.Join("..", ".cache"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(cache, c.path(".cache")); err != nil {
		t.Fatal(err)
	}
}

// run has a line of shell run in the copy. What env names replaces what the test has; nothing may be installed.
func (c tree) run(t *testing.T, limit time.Duration, line string, env ...string) ran {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, "/bin/bash", "-c", line)
	cmd.Dir, cmd.WaitDelay = c.dir, time.Second
	cmd.Env = append(os.Environ(), "NO_INSTALL=1", "BOARD_ALONE=")
	cmd.Env = append(cmd.Env, env...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if ctx.Err() != nil {
		t.Fatalf("%s: not done within %v\n%s", line, limit, tail(errs.String(), 2000))
	}
	if _, exited := err.(*exec.ExitError); err != nil && !exited {
		t.Fatal(err)
	}
	return ran{out.String(), errs.String(), cmd.ProcessState.ExitCode()}
}

// leftovers lists what a failed run left in the copy's cache: files that are taken for whole ones later, and folders
// that somebody was still working on.
func (c tree) leftovers(t *testing.T) []string {
	t.Helper()
	var found []string
	for _, pattern := range []string{"debs/*", "debs/.fetch", "board/*", "board/.*.??????", ".lock.??????", "board.nearest*"} {
		names, err := filepath.Glob(c.path(filepath.Join(".cache", pattern)))
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, names...)
	}
	return found
}
