package main

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"
)

const (
	// pstoreFolder is where the kernel shows what outlived a reset (Documentation/admin-guide/ramoops.rst).
	pstoreFolder = "/sys/fs/pstore"
	// kernelNote is what the kernel before said when it died (board reads it).
	kernelNote = endedFolder + "/kernel"
	// maxKernelNote bounds it, in bytes: its end counts.
	maxKernelNote = 16 << 10
)

// keepKernelNote gives what the kernel before said when it died to the agent's user, who alone can read it, and takes it
// out of the memory that outlived the reset: a death is told once. A kernel without pstore knows nothing.
func keepKernelNote(uid int) error {
	if _, err := os.Stat(pstoreFolder); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err := mount("pstore", pstoreFolder, "pstore", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return err
	}
	note, err := takeKernelNote(pstoreFolder)
	err = errors.Join(err, unix.Unmount(pstoreFolder, 0))
	if len(note) == 0 {
		return err
	}
	return errors.Join(err, os.MkdirAll(endedFolder, 0o755), os.WriteFile(kernelNote, note, 0o400),
		os.Chown(kernelNote, uid, uid))
}

// takeKernelNote returns the end of the newest record of a panic, and removes all records: an oops that the kernel
// survived is none.
func takeKernelNote(folder string) ([]byte, error) {
	records, err := filepath.Glob(filepath.Join(folder, "dmesg-*"))
	if err != nil {
		return nil, err
	}
	slices.SortFunc(records, func(a, b string) int { return modified(a) - modified(b) })
	var note []byte
	var faults []error
	for _, name := range records {
		record, err := readSome(name, 1<<20)
		if bytes.HasPrefix(record, []byte("Panic")) {
			note = record[max(0, len(record)-maxKernelNote):]
		}
		faults = append(faults, err, os.Remove(name))
	}
	return note, errors.Join(faults...)
}

// modified is when a record was made, in seconds; 0 where nobody knows.
func modified(name string) int {
	info, err := os.Stat(name)
	if err != nil {
		return 0
	}
	return int(info.ModTime().Unix())
}

// readSome reads a file up to a bound.
func readSome(name string, most int64) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, most))
}
