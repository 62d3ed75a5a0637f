// Package powercut proves that a recorded run of a whole board survives a power cut at any instant: it rebuilds the
// disk at every cut point (lab/disklog) and judges each by the board's own formats and programs.
//
//	boot record   whole, and one of those that were stored; what the boot script does with it (codec/bootstate has its
//	              twin) boots a slot whose FIT and root file system verify, and goes on doing so if nobody ever confirms
//	persist, keys one of the values that were stored, whole, and open for the next one; what was replaced or destroyed
//	              is nowhere on the partition any more
//	data          its file system needs its journal and no other repair (e2fsck); each file is one of the versions that
//	              were stored (debugfs), and the agent finds no fault with its state (agent check)
//
// A part of the disk is judged by its content alone, and each content once: a run has thousands of states and few
// contents. What may be found at a cut is a disklog.History's business, which knows what had been answered by then.
package powercut

import (
	"fmt"
	"io"
	"slices"

	"github.com/ocellus/ocellus/codec/gpt"
	"github.com/ocellus/ocellus/hal"
	"github.com/ocellus/ocellus/lab/disklog"
)

// Absent is the value of a thing that is not there. It is no content: an empty file is another thing.
const Absent = "(absent)"

// The things of a board's disk that have a history, beside its files on /data: "/agent/config.yaml".
const (
	Record  = "boot record" // its variables, as RecordText has them
	Persist = string(hal.Persist)
	Keys    = string(hal.Keys)
)

// Story is what a board was told to store in the course of a run.
type Story map[string]*disklog.History

// Tell begins the history of a thing where it has none, and adds to it.
func (s Story) Tell(thing, first string, v ...disklog.Version) {
	if s[thing] == nil {
		s[thing] = disklog.NewHistory(first)
	}
	for _, one := range v {
		s[thing].Add(one)
	}
}

// layout is where the partitions of a disk lie.
type layout map[string]gpt.Partition

// readLayout reads the partition table of a disk and sees that all parts that are judged are there.
func readLayout(disk io.ReaderAt) (layout, error) {
	head := make([]byte, gpt.Reserve)
	if _, err := disk.ReadAt(head, 0); err != nil {
		return nil, fmt.Errorf("read partition table: %w", err)
	}
	list, err := gpt.Parse(head)
	if err != nil {
		return nil, err
	}
	l := layout{}
	for _, p := range list {
		l[p.Name] = p
	}
	for _, name := range []string{"env", "slot-a", "slot-b", Persist, Keys} {
		if _, ok := l[name]; !ok {
			return nil, fmt.Errorf("the disk has no partition %s", name)
		}
	}
	return l, nil
}

// section is a partition of a disk.
func (l layout) section(d *disklog.Disk, name string) *io.SectionReader {
	return io.NewSectionReader(d, l[name].Start, l[name].Size)
}

// look is what was found out about one content of a part.
type look struct {
	found  map[string]string // the things in it
	raw    map[string][]string
	class  string
	faults []string // what is wrong whatever had been stored
}

// judge says what is wrong with a look at a cut.
func (k *look) judge(s Story, at disklog.Instant) []string {
	faults := slices.Clone(k.faults)
	for thing, value := range k.found {
		if h := s[thing]; h != nil {
			if err := h.Judge(at, value); err != nil {
				faults = append(faults, fmt.Sprintf("%s: %v", thing, err))
			}
		}
	}
	for thing, there := range k.raw {
		for _, value := range s[thing].Gone(at) {
			if slices.Contains(there, value) {
				faults = append(faults, fmt.Sprintf("%s: %d bytes of a value that is gone are on the disk", thing, len(value)))
			}
		}
	}
	return faults
}
