package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/ocellus/ocellus/access"
	"github.com/ocellus/ocellus/hal"
	"github.com/ocellus/ocellus/internal/sealed"
	"github.com/ocellus/ocellus/internal/statefile"
)

// sealedSuffix is how the name of everything ends that the owner's key seals: settings, networks, people.
const sealedSuffix = ".sealed"

// safe is the owner's key, and what is sealed by it.
type safe struct {
	vault hal.Vault
	key   [sealed.KeySize]byte
	state string
}

func openSafe(l lasting, state string) (*safe, error) {
	key, err := sealed.OpenKey(l.keys)
	if err != nil {
		return nil, err
	}
	return &safe{l.vault, key, state}, nil
}

// sealed is a place in the state directory that is gone when the owner is: NAME.sealed.
func (s *safe) sealed(name string) *sealed.Place {
	return sealed.New(name, s.key, statefile.Path(filepath.Join(s.state, name+sealedSuffix)))
}

// destroy makes everything that is sealed unreadable, for good.
func (s *safe) destroy() error { return s.vault.Destroy(hal.Keys) }

// owners are the files of the state directory that are the owner's and lie open: what a person writes there, and what
// earlier releases left.
func owners() []string {
	return []string{"config.yaml", "rtsps.pem", "viewers.json", "sim-viewer-password", portsName, wordsName, tailName}
}

// ownersFolders have more of them: events that the owner has not heard of yet, and the log.
func ownersFolders() []string { return []string{"events", logFolder} }

// endReset ends a reset that was begun, by whoever and whenever: keys first, then files. It comes first of all, before
// the configuration, which is the owner's too, is read.
func endReset(w world, state string) {
	log := slog.New(slog.NewTextHandler(w.errs, nil))
	_, l, err := findLasting(w.root, state)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	ended := false
	if err == nil {
		if c, ok := l.vault.(io.Closer); ok {
			defer c.Close()
		}
		ended, err = access.EndReset(l.persist, func() error {
			return errors.Join(l.vault.Destroy(hal.Keys), eraseFiles(state, ownFolder(w, state), log),
				eraseOutliving(state))
		})
	}
	switch {
	case err != nil: // it goes on at the next start; until then the camera is nobody's
		log.Error("reset not at its end", "err", err)
	case ended:
		log.Info("reset: the camera is as it came from its box")
	}
}

// ownFolder reports whether nothing but the agent's lies in a state directory: on a board of ours, and where systemd made
// it (StateDirectory=, systemd.exec(5)). Elsewhere it is a person's machine.
func ownFolder(w world, state string) bool {
	return state == defaultState || state == w.getenv("STATE_DIRECTORY")
}

// eraseFiles takes away what the owner left in the state directory. What was sealed is unreadable already; what lay open
// is overwritten in its place first, which is as good as the file system and the flash below it. In a folder of the
// agent's own that is everything; elsewhere, what nobody here knows is left alone, and told.
func eraseFiles(state string, own bool, log *slog.Logger) error {
	entries, err := os.ReadDir(state)
	faults := []error{err}
	for _, e := range entries {
		path := filepath.Join(state, e.Name())
		switch {
		case survives(e.Name()):
		case e.IsDir() && (own || slices.Contains(ownersFolders(), e.Name())):
			faults = append(faults, eraseFolder(path))
		case e.Type().IsRegular() && (own || ownersFile(e.Name())):
			faults = append(faults, eraseFile(path))
		case own:
			faults = append(faults, os.Remove(path)) // a link, and not where it leads to
		default:
			log.Warn("reset: left alone, it is not the agent's", "name", e.Name())
		}
	}
	if err := errors.Join(faults...); err != nil {
		return fmt.Errorf("erase: %w", err)
	}
	return syncDir(state)
}

// eraseOutliving takes away what the agent before left in memory, for its next start.
func eraseOutliving(state string) error {
	var faults []error
	for _, name := range []string{wordsName, tailName} {
		if err := eraseFile(outliving(state, name)); !errors.Is(err, fs.ErrNotExist) {
			faults = append(faults, err)
		}
	}
	return errors.Join(faults...)
}

// eraseFolder takes a folder away with all that is in it.
func eraseFolder(dir string) error {
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() {
			err = eraseFile(path)
		}
		return err
	})
	return errors.Join(err, os.RemoveAll(dir))
}

// ownersFile reports whether a file is the owner's, by its name or by that of the copy that statefile makes of it.
func ownersFile(name string) bool {
	name = strings.TrimSuffix(strings.TrimSuffix(strings.TrimPrefix(name, "."), ".tmp"), ".corrupt")
	return strings.HasSuffix(name, sealedSuffix) || slices.Contains(owners(), name)
}

// survives names what a reset leaves: the vault of a board without partitions, what the running agent holds, and what
// the camera knows of its updates, which is nobody's.
func survives(name string) bool {
	return slices.Contains([]string{"persist.area", "keys.area", lockName, socketName, otaName}, name)
}

// eraseFile takes a file's name away, then its content, then the rest of it: nobody ever reads half of it by its name.
func eraseFile(path string) error {
	dir, name := filepath.Split(path)
	gone := path
	if !strings.HasSuffix(name, ".tmp") {
		gone = filepath.Join(dir, "."+name+".tmp")
		if err := os.Rename(path, gone); err != nil {
			return err
		}
		if err := syncDir(dir); err != nil {
			return err
		}
	}
	f, err := os.OpenFile(gone, os.O_WRONLY, 0)
	if errors.Is(err, fs.ErrPermission) {
		return os.Remove(gone) // root's editor wrote a configuration: it is not ours to overwrite, and may not stop a reset
	}
	if err != nil {
		return err
	}
	size, err := f.Seek(0, io.SeekEnd)
	if err == nil {
		_, err = f.WriteAt(make([]byte, size), 0)
	}
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close(), os.Remove(gone))
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// over seals a file of somebody who has many.
func (s *safe) over(name string, file statefile.Place) statefile.Place {
	return sealed.New(name, s.key, file)
}
