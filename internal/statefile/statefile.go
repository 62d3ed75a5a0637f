// Package statefile keeps small state in files, or in other places, that survive a power cut at any instant.
//
// A write goes to a temporary file beside the target, is flushed (fsync), renamed over the target, and the directory
// is flushed: after a cut the file holds the old content or the new one, never a part of either.
//
// State outlives the release that wrote it, in both directions. A File carries a version number; fields are only ever
// added. An older release that rewrites what a newer one wrote keeps the version and every field that it does not know
// (see merge), so that a roll-back loses nothing. Collections whose members may grow fields are maps, not lists: the
// members of a list have no name by which their unknown fields could be found again.
package statefile

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"sync"
)

// MaxSize bounds a file that is read or written, in bytes. State is small; a bigger file is not ours.
const MaxSize = 1 << 20

// ErrCorrupt: the file is there, and is not what Store writes. The caller decides whether to go on without it.
var ErrCorrupt = errors.New("corrupt state")

// Place is where a File lies: a Path of the file system, an area outside of it, either of them sealed.
type Place interface {
	// Load returns what was stored last. The error is fs.ErrNotExist when nothing was, and ErrCorrupt when what lies
	// there is not what Store wrote.
	Load() ([]byte, error)
	// Store replaces all or nothing. When it returns nil, content outlives a power cut.
	Store(content []byte) error
	// String names the place, for errors.
	String() string
}

// File is one JSON document that holds a T, a struct. It has one user process at a time.
type File[T any] struct {
	place   Place
	version int
	mu      sync.Locker // one Store at a time: reading, merging and writing are one step
}

// New names a file of the file system; version is the newest format that this release knows. Nothing is opened yet.
func New[T any](path string, version int) *File[T] { return At[T](Path(path), version) }

// At is New for any place. Several Files may lie at one place that is a sync.Locker, each with fields of its own: what
// one does not know it keeps.
func At[T any](p Place, version int) *File[T] {
	f := &File[T]{place: p, version: version, mu: &sync.Mutex{}}
	if shared, ok := p.(sync.Locker); ok {
		f.mu = shared
	}
	return f
}

// Load reads the file and tells the version that wrote it, which may be newer than this release's. It returns an error
// that is fs.ErrNotExist when there is none yet, and ErrCorrupt when it can't be read as a T.
func (f *File[T]) Load() (T, int, error) {
	var v T
	raw, err := f.place.Load()
	if err != nil {
		return v, 0, err
	}
	version, err := versionOf(raw)
	if err == nil {
		err = json.Unmarshal(raw, &v)
	}
	if err != nil {
		var none T
		return none, 0, fmt.Errorf("load %s: %w: %w", f.place, ErrCorrupt, err)
	}
	return v, version, nil
}

// Store replaces the file's content by v. When it returns nil, v is on the disk.
func (f *File[T]) Store(v T) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.store(v)
}

// Update changes what the file holds, the zero T where there is none, and stores it, with nobody between.
func (f *File[T]) Update(change func(v *T) error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	v, _, err := f.Load()
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	if err == nil {
		err = change(&v)
	}
	if err != nil {
		return err
	}
	return f.store(v)
}

func (f *File[T]) store(v T) error {
	fresh, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("store %s: %w", f.place, err)
	}
	version := f.version
	if old, err := f.place.Load(); err == nil {
		if was, err := versionOf(old); err == nil {
			version = max(version, was)
			fresh = merge(old, fresh, reflect.TypeFor[T]())
		}
	}
	out, err := withVersion(fresh, version)
	if err != nil {
		return fmt.Errorf("store %s: %w", f.place, err)
	}
	return f.place.Store(out)
}

// Path is a place in the file system, readable for its owner alone.
type Path string

// Load reads the file.
func (p Path) Load() ([]byte, error) { return ReadBytes(string(p)) }

// Store replaces the file.
func (p Path) Store(content []byte) error { return WriteBytes(string(p), content, 0o600) }

func (p Path) String() string { return string(p) }

// On is a Path on another disk than the system's, with what reads a whole file of it.
func On(d Disk, read func(path string) ([]byte, error), path string) Place {
	return elsewhere{d, read, path}
}

type elsewhere struct {
	disk Disk
	read func(path string) ([]byte, error)
	path string
}

func (e elsewhere) Load() ([]byte, error) { return e.read(e.path) }

func (e elsewhere) Store(content []byte) error { return write(e.disk, e.path, content, 0o600) }

func (e elsewhere) String() string { return e.path }

// WriteBytes replaces the content of a file as Store does, for state that has a format of its own (a certificate).
func WriteBytes(path string, content []byte, mode fs.FileMode) error {
	return write(osDisk{}, path, content, mode)
}

// ReadBytes reads a whole file of at most MaxSize bytes.
func ReadBytes(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, MaxSize+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	if len(raw) > MaxSize {
		return nil, fmt.Errorf("read %s: %w: more than %d bytes", path, ErrCorrupt, MaxSize)
	}
	return raw, nil
}

// SetAside renames a corrupt file out of the way, so that a new one can begin and a person can look at the old one.
func SetAside(path string) (string, error) {
	aside := path + ".corrupt"
	if err := os.Rename(path, aside); err != nil {
		return "", err
	}
	return aside, osDisk{}.SyncDir(filepath.Dir(path))
}

// Disk is what a write asks of the file system. Tests stand in for it and cut the power between any two.
type Disk interface {
	Create(path string, mode fs.FileMode) (Handle, error)
	Remove(path string)
	Rename(from, to string) error
	SyncDir(dir string) error
}

// Handle is a file that is being written.
type Handle interface {
	io.WriteCloser
	Sync() error
}

func write(d Disk, path string, content []byte, mode fs.FileMode) error {
	if len(content) > MaxSize {
		return fmt.Errorf("write %s: %d bytes are more than %d", path, len(content), MaxSize)
	}
	temp := filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".tmp")
	if err := fill(d, temp, content, mode); err != nil {
		d.Remove(temp) // a full disk needs the room
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := d.Rename(temp, path); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := d.SyncDir(filepath.Dir(path)); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

func fill(d Disk, path string, content []byte, mode fs.FileMode) error {
	f, err := d.Create(path, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

type osDisk struct{}

// Create starts the temporary file afresh: what a cut left behind under its name had perhaps another mode.
func (osDisk) Create(path string, mode fs.FileMode) (Handle, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
}

func (osDisk) Remove(path string) { _ = os.Remove(path) }

func (osDisk) Rename(from, to string) error { return os.Rename(from, to) }

func (osDisk) SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
