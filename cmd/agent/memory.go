package main

import (
	"bytes"
	"math"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
)

// minMemory is what the agent needs to do anything at all, in bytes.
const minMemory = 32 << 20

// boundMemory gives the garbage collector its limit: a share of the board's memory, or of the control group's where
// that is less. GOMEMLIMIT in the environment has the last word. It returns the limit in bytes.
//
// The steady state allocates nothing, so a small heap costs no time: half of the usual growth before a collection
// keeps the resident memory down.
func boundMemory(root string, percent int, getenv func(string) string) int64 {
	if getenv("GOGC") == "" {
		debug.SetGCPercent(50)
	}
	if getenv("GOMEMLIMIT") != "" {
		return debug.SetMemoryLimit(-1)
	}
	limit := memoryLimit(root, percent)
	debug.SetMemoryLimit(limit)
	return limit
}

func memoryLimit(root string, percent int) int64 {
	total := memTotal(root)
	if group, err := os.ReadFile(filepath.Join(root, "sys/fs/cgroup/memory.max")); err == nil {
		if n, err := strconv.ParseInt(string(bytes.TrimSpace(group)), 10, 64); err == nil {
			total = min(total, n)
		}
	}
	if total == math.MaxInt64 {
		return total
	}
	return max(minMemory, total/100*int64(percent))
}

// memTotal reads proc_meminfo(5).
func memTotal(root string) int64 {
	raw, err := os.ReadFile(filepath.Join(root, "proc/meminfo"))
	if err != nil {
		return math.MaxInt64
	}
	for line := range bytes.Lines(raw) {
		f := bytes.Fields(line)
		if len(f) == 3 && string(f[0]) == "MemTotal:" {
			if kib, err := strconv.ParseInt(string(f[1]), 10, 64); err == nil {
				return kib << 10
			}
		}
	}
	return math.MaxInt64
}

// residentBytes is the process's resident memory (proc_pid_statm(5), second field), 0 where it is unknown.
func residentBytes() int64 {
	raw, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	f := bytes.Fields(raw)
	if len(f) < 2 {
		return 0
	}
	pages, err := strconv.ParseInt(string(f[1]), 10, 64)
	if err != nil {
		return 0
	}
	return pages * int64(os.Getpagesize())
}
