package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ocellus/ocellus/board"
	"github.com/ocellus/ocellus/internal/logring"
	"github.com/ocellus/ocellus/provision"
)

// gather makes the files of a support bundle, as they are before the redaction. What can't be told says why.
func (a *agent) gather(context.Context) []supported {
	return []supported{
		{Name: "versions.json", About: "releases, slots, kernel, how far an update is", text: inJSON(a.versions())},
		{Name: "status.json", About: "camera, streams, readers and parts at this moment", text: inJSON(a.status(time.Now()))},
		{Name: "config.json", About: "the configuration; passwords and keys are left out", text: inJSON(a.shownConfig())},
		{Name: "network.json", About: "how the camera stands in its Wi-Fi network, without its name",
			text: inJSON(a.shownNetwork())},
		{Name: "boots.json", About: "the last starts, and why each began", text: inJSON(a.begun().Starts)},
		{Name: "crashes.json", About: "the last crashes: where, and what was logged before", text: inJSON(a.begun().Crashes)},
		{Name: "events.json", About: "what the camera told its owner last", text: inJSON(a.toldEvents())},
		{Name: "hardware.txt", About: "what the board has: cameras, encoders, memory", text: a.hardware()},
		{Name: "storage.json", About: "how full and how worn the storage is", text: inJSON(a.storage())},
		{Name: "log.txt", About: "the last lines of the log", text: a.shownLog()},
	}
}

// inJSON is a value for a person and a program; what can't be spelled says why.
func inJSON(v any) []byte {
	raw, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		raw, _ = json.Marshal(err.Error()) // a string always can
	}
	return append(raw, '\n')
}

// versionFacts are the programs of the camera.
type versionFacts struct {
	Release string       `json:"release"`
	Build   any          `json:"build"`
	Go      string       `json:"go"`
	Board   string       `json:"board"`
	Kernel  string       `json:"kernel"`
	Lacks   []string     `json:"lacks,omitempty"` // what this build has not
	Update  updateStatus `json:"update"`
	Uptime  float64      `json:"agent_uptime_s"`
	Time    time.Time    `json:"time"`
	Sure    bool         `json:"sure"`
}

func (a *agent) versions() versionFacts {
	v := versionFacts{Release: release, Build: a.program(), Go: runtime.Version(), Board: a.board.Name,
		Lacks: board.Lacks(), Update: a.updateStatus(), Uptime: time.Since(a.began).Seconds()}
	v.Time, v.Sure = clock()
	var u unix.Utsname
	if unix.Uname(&u) == nil {
		v.Kernel = unix.ByteSliceToString(u.Release[:]) + " " + unix.ByteSliceToString(u.Machine[:])
	}
	return v
}

func (a *agent) shownConfig() map[string]string {
	c, _ := a.settings.config()
	return flat(reflect.ValueOf(c), "")
}

// shownNetwork is the network without its name and addresses.
func (a *agent) shownNetwork() any {
	if a.network == nil {
		return errNoWiFi.Error()
	}
	s := a.network.Status()
	return struct {
		State    provision.State  `json:"state"`
		Reason   provision.Reason `json:"reason,omitempty"`
		Text     string           `json:"text,omitempty"`
		Address  bool             `json:"address"` // it has one
		SignalDB int              `json:"signal_dbm,omitempty"`
		MHz      int              `json:"frequency_mhz,omitempty"`
		Security string           `json:"security,omitempty"`
	}{s.State, s.Reason, s.Reason.Text(), s.Link.Address.IsValid(), s.Link.Signal, s.Link.Frequency,
		string(s.Link.Security)}
}

func (a *agent) begun() rebooted {
	if a.box == nil {
		return rebooted{}
	}
	return rebooted{a.box.Starts(), a.box.Crashes()}
}

func (a *agent) toldEvents() any {
	list := []happened{}
	if a.control == nil || a.control.queue == nil {
		return list
	}
	for _, e := range a.control.queue.Since(0) {
		list = append(list, happenedOf(e))
	}
	return list
}

// hardware is the board as probe would show it, without opening anything that is in use.
func (a *agent) hardware() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "board %s (%s)\n", a.board.Name, a.board.Title)
	nodes, err := board.Survey(a.board)
	for _, line := range nodes {
		fmt.Fprintf(&b, "  %s\n", line)
	}
	if err != nil {
		fmt.Fprintf(&b, "  %v\n", err)
	}
	fmt.Fprintf(&b, "camera: %s\n", describe(a.source.Stats().Camera))
	for _, p := range a.parts() {
		fmt.Fprintf(&b, "part %s: up %v, started again %d times\n", p.Name, p.Up, p.Restarts)
	}
	fmt.Fprintf(&b, "processors: %d, %s\n", runtime.NumCPU(), runtime.GOARCH)
	for _, name := range []string{"proc/meminfo", "proc/loadavg", "proc/uptime"} {
		raw, err := os.ReadFile(filepath.Join(a.root, name))
		if err == nil {
			fmt.Fprintf(&b, "--- /%s\n%s", name, raw)
		}
	}
	return b.Bytes()
}

// storageFacts are the disk of the state.
type storageFacts struct {
	Bytes  uint64            `json:"bytes"`
	Free   uint64            `json:"free_bytes"`
	Files  uint64            `json:"files"`
	Unused uint64            `json:"unused_files"`
	Mount  string            `json:"mount,omitempty"`  // kind and options
	Health map[string]string `json:"health,omitempty"` // what the kernel knows of file system and flash
	State  map[string]int64  `json:"state"`            // the agent's own files, and their sizes
	Error  string            `json:"error,omitempty"`
}

func (a *agent) storage() storageFacts {
	f := storageFacts{State: map[string]int64{}, Health: map[string]string{}}
	var s unix.Statfs_t
	var at unix.Stat_t
	if err := unix.Statfs(a.state, &s); err != nil {
		f.Error = err.Error()
		return f
	}
	f.Bytes, f.Free, f.Files, f.Unused = s.Blocks*uint64(s.Bsize), s.Bavail*uint64(s.Bsize), s.Files, s.Ffree
	if err := unix.Stat(a.state, &at); err == nil {
		device := fmt.Sprintf("%d:%d", unix.Major(uint64(at.Dev)), unix.Minor(uint64(at.Dev)))
		f.Mount = mountOf(a.root, device)
		f.Health = healthOf(a.root, device)
	}
	entries, err := os.ReadDir(a.state)
	if err != nil {
		f.Error = err.Error()
	}
	for _, e := range entries {
		if info, err := e.Info(); err == nil && (ownersFile(e.Name()) || survives(e.Name())) {
			f.State[e.Name()] = info.Size()
		}
	}
	return f
}

// mountOf is kind and options of a device's mount (proc_pid_mountinfo(5)).
func mountOf(root, device string) string {
	raw, err := os.ReadFile(filepath.Join(root, "proc/self/mountinfo"))
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(raw)) {
		before, after, ok := strings.Cut(line, " - ")
		fields, kind := strings.Fields(before), strings.Fields(after)
		if ok && len(fields) > 5 && len(kind) > 2 && fields[2] == device {
			return kind[0] + " " + fields[5] + " " + kind[2]
		}
	}
	return ""
}

// healthOf is what the kernel knows: errors of ext4 and how much was ever written (Documentation/ABI/testing/
// sysfs-fs-ext4), the wear of an eMMC (sysfs-bus-mmc).
func healthOf(root, device string) map[string]string {
	known := map[string]string{}
	block, err := filepath.EvalSymlinks(filepath.Join(root, "sys/dev/block", device))
	if err != nil {
		return known
	}
	ext4 := filepath.Join(root, "sys/fs/ext4", filepath.Base(block))
	for _, where := range []string{ext4, filepath.Join(block, "device"), filepath.Join(block, "../device")} {
		for _, name := range []string{"errors_count", "warning_count", "first_error_time", "last_error_time",
			"lifetime_write_kbytes", "life_time", "pre_eol_info"} {
			raw, err := os.ReadFile(filepath.Join(where, name))
			if text := strings.TrimSpace(string(raw)); err == nil && len(text) < 64 {
				known[name] = text
			}
		}
	}
	return known
}

// shownLog is the log, the oldest line first.
func (a *agent) shownLog() []byte {
	var b bytes.Buffer
	for _, l := range a.journal.Lines(logring.Filter{Level: slog.LevelDebug}) {
		fmt.Fprintf(&b, "%d %s %s %s: %s\n", l.Seq, l.Time.Format(time.RFC3339Nano), l.Level, l.Part, l.Text())
	}
	return b.Bytes()
}
