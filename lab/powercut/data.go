package powercut

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/ocellus/ocellus/lab/disklog"
)

// dataJudge looks at the file system of the data partition with e2fsprogs, and at the agent's state with the agent.
type dataJudge struct {
	agent  string // the built agent
	dir    string // for files that are soon gone; in memory is best
	saver  *disklog.Saver
	story  Story
	mu     sync.Mutex // guards checks
	checks map[[sha256.Size]byte]string
}

func newDataJudge(l layout, r Run) (*dataJudge, error) {
	p := l["data"]
	saver, err := disklog.NewSaver(r.Base, p.Start, p.Size)
	if err != nil {
		return nil, err
	}
	return &dataJudge{agent: r.Agent, dir: r.Dir, saver: saver, story: r.Story,
		checks: map[[sha256.Size]byte]string{}}, nil
}

// look repairs a copy of the partition as a person would, but counts what was repaired.
func (j *dataJudge) look(ctx context.Context, d *disklog.Disk) (k *look, err error) {
	work, err := os.MkdirTemp(j.dir, "cut-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()
	image := filepath.Join(work, "data.img")
	if err := j.saver.Save(d, image); err != nil {
		return nil, err
	}
	k = &look{found: map[string]string{}}
	if k.class, err = replay(ctx, image); err != nil {
		k.faults = append(k.faults, err.Error())
		return k, nil
	}
	out, err := run(ctx, 0, "debugfs", "-R", "rdump / "+work, image)
	if err != nil {
		return nil, err
	}
	if err := collect(k.found, work); err != nil {
		return nil, fmt.Errorf("%w\n%s", err, out)
	}
	fault, err := j.check(ctx, k.found, filepath.Join(work, "agent"))
	if fault != "" {
		k.faults = append(k.faults, fault)
	}
	for thing := range j.story {
		if _, there := k.found[thing]; !there && strings.HasPrefix(thing, "/") {
			k.found[thing] = Absent
		}
	}
	return k, err
}

// replay lets e2fsck go over the file system. That it is what the kernel would take, once its journal was replayed, is
// what counts: any other repair is an error.
func replay(ctx context.Context, image string) (class string, err error) {
	const repaired = 1 // e2fsck(8)
	out, err := run(ctx, repaired, "e2fsck", "-f", "-y", image)
	if err != nil {
		return "", err
	}
	class = "data clean"
	for line := range strings.Lines(out) {
		line = strings.TrimSpace(line)
		switch {
		case strings.HasSuffix(line, "recovering journal"):
			class = "data with a journal to replay"
		case !usual(line):
			return "", fmt.Errorf("e2fsck repairs more than the journal: %s", strings.TrimSpace(out))
		}
	}
	return class, nil
}

// usual reports whether a line of e2fsck tells of no repair that matters: the kernel counts free blocks and inodes anew
// when it mounts, and clears what a program had open without a name.
func usual(line string) bool {
	return line == "" || slices.ContainsFunc([]string{"e2fsck 1.", "Pass ", "data: ", "Clearing orphaned inode ",
		"Free blocks count wrong (", "Free inodes count wrong (", "Fix? yes"},
		func(begin string) bool { return strings.HasPrefix(line, begin) })
}

// collect reads the files of a folder: "/agent/viewers.json". What statefile had not renamed yet is nobody's.
func collect(files map[string]string, dir string) error {
	return filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(name)
		if place := strings.TrimPrefix(name, dir); place != "/data.img" && !strings.HasSuffix(place, ".tmp") {
			files[place] = string(b)
		}
		return err
	})
}

// check asks the built agent what it finds wrong with the state, once for each state.
func (j *dataJudge) check(ctx context.Context, files map[string]string, state string) (fault string, err error) {
	if _, err := os.Stat(state); errors.Is(err, fs.ErrNotExist) {
		return "", nil // the board has not come that far
	}
	key := digest(files)
	j.mu.Lock()
	fault, ok := j.checks[key]
	j.mu.Unlock()
	if ok {
		return fault, nil
	}
	out, err := exec.CommandContext(ctx, j.agent, "check", "--state", state).CombinedOutput()
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		fault = "agent check: " + strings.TrimSpace(string(out))
	case err != nil:
		return "", err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.checks[key] = fault
	return fault, nil
}

func digest(files map[string]string) [sha256.Size]byte {
	var all bytes.Buffer
	for _, name := range slices.Sorted(maps.Keys(files)) {
		fmt.Fprintf(&all, "%q %q\n", name, files[name])
	}
	return sha256.Sum256(all.Bytes())
}

// run runs a tool of e2fsprogs, which Debian keeps where users do not look. most is the highest exit code that is fine.
func run(ctx context.Context, most int, name string, args ...string) (string, error) {
	path, err := exec.LookPath(name)
	if err != nil {
		path = "/usr/sbin/" + name
	}
	out, err := exec.CommandContext(ctx, path, args...).CombinedOutput()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() >= 0 && exit.ExitCode() <= most {
		err = nil
	}
	if err != nil {
		err = fmt.Errorf("%s: %w: %s", name, err, strings.TrimSpace(string(out)))
	}
	return string(out), err
}
