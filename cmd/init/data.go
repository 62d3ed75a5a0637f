package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

const (
	dataFlags = unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC | unix.MS_NOATIME
	agentData = "/data/agent"
	damaged   = "/mnt" // where a damaged disk is looked at
)

// The agent's files are small (internal/statefile has the same bound), and it has few.
const (
	maxStateFile = 1 << 20
	maxState     = 64
)

// mountData gives the agent its place. Where the disk can't be mounted, or takes no writes because it is damaged, the
// agent gets a place in memory with what can still be read of its files, so that the camera lives; the disk stays as it
// is, for somebody to look at.
func mountData(d dataDisk) error {
	node, err := waitForPartition(d.partition, diskPatience)
	if err == nil {
		if err = mount(node, "/data", "ext4", dataFlags, "errors=remount-ro"); err == nil {
			err = takesWrites(d)
		}
	}
	if err == nil {
		return nil
	}
	tell("data: %v: the disk is left alone, and what is written from now on is gone after a reset", err)
	_ = syscall.Unmount("/data", 0)
	if err := mount("tmpfs", "/data", "tmpfs", dataFlags, "mode=755,size=16m"); err != nil {
		return err
	}
	if err := ownFolder(d); err != nil {
		return err
	}
	return salvage(node, d)
}

// ownFolder makes the agent's folder.
func ownFolder(d dataDisk) error {
	if err := os.Mkdir(agentData, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	return os.Chown(agentData, d.uid, d.gid)
}

// takesWrites makes the agent's folder and reads the agent's files, so that the kernel notices damage now and makes the
// disk read-only (errors=remount-ro), then writes. A full disk is not a damaged one.
func takesWrites(d dataDisk) error {
	if err := ownFolder(d); err != nil && !errors.Is(err, unix.ENOSPC) {
		return err
	}
	err := eachStateFile(agentData, func(name string, _ fs.FileInfo) error {
		return readThrough(filepath.Join(agentData, name))
	})
	if err != nil {
		tell("data: %v", err)
	}
	const probe = "/data/.probe"
	f, err := os.OpenFile(probe, os.O_CREATE|os.O_WRONLY, 0o600)
	if err == nil {
		_, err = f.WriteString("probe\n")
		err = errors.Join(err, f.Sync(), f.Close(), os.Remove(probe))
	}
	if errors.Is(err, unix.ENOSPC) {
		tell("data: the disk is full")
		return nil
	}
	return err
}

// salvage copies what can be read of the agent's files on a damaged disk.
func salvage(node string, d dataDisk) error {
	if node == "" {
		return nil
	}
	if err := mountDamaged(node); err != nil {
		return fmt.Errorf("nothing can be read: %w", err)
	}
	kept := 0
	from := filepath.Join(damaged, filepath.Base(agentData))
	err := eachStateFile(from, func(name string, info fs.FileInfo) error {
		err := copyState(filepath.Join(from, name), filepath.Join(agentData, name), info, d)
		if err == nil {
			kept++
		}
		return err
	})
	tell("data: %d files of the agent are kept", kept)
	return errors.Join(err, syscall.Unmount(damaged, 0))
}

// mountDamaged mounts a disk to read it. The kernel reads past a lost journal, and past a lost beginning by a copy of it:
// mke2fs puts one at KiB 8193 (blocks of 1 KiB) or 131072 (4 KiB).
func mountDamaged(node string) error {
	var first error
	for _, options := range []string{"", "noload", "noload,sb=8193", "noload,sb=131072"} {
		err := mount(node, damaged, "ext4", dataFlags|unix.MS_RDONLY, options)
		if err == nil {
			return nil
		}
		if first == nil {
			first = err
		}
	}
	return first
}

// eachStateFile calls do for the plain files of a folder that are small enough; it goes on where one fails.
func eachStateFile(dir string, do func(name string, info fs.FileInfo) error) error {
	entries, err := os.ReadDir(dir)
	faults := []error{err}
	for _, e := range entries[:min(len(entries), maxState)] {
		info, err := e.Info()
		if err == nil && info.Mode().IsRegular() && info.Size() <= maxStateFile {
			err = do(e.Name(), info)
		}
		faults = append(faults, err)
	}
	return errors.Join(faults...)
}

func readThrough(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, f)
	return errors.Join(err, f.Close())
}

func copyState(from, to string, info fs.FileInfo, d dataDisk) error {
	content, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	if err := os.WriteFile(to, content, info.Mode().Perm()); err != nil {
		return err
	}
	return os.Chown(to, d.uid, d.gid)
}
