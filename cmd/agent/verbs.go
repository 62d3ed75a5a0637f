package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/ocellus/ocellus/access"
	"github.com/ocellus/ocellus/board"
	"github.com/ocellus/ocellus/internal/sealed"
	"github.com/ocellus/ocellus/internal/statefile"
)

// checkVerb says every fault of configuration and state, and changes nothing.
func checkVerb(_ context.Context, w world, args []string) error {
	set := flags(w, "check")
	state := stateFlag(set)
	config := set.String("config", "", "configuration `file`; config.yaml in the state directory if not given")
	if _, err := parse(set, args, 0); err != nil {
		return err
	}
	faults := 0
	told := func(what string, err error, fine string) {
		if err != nil {
			faults++
			fmt.Fprintf(w.out, "%s: %v\n", what, err)
			return
		}
		fmt.Fprintf(w.out, "%s: %s\n", what, fine)
	}
	path := configPath(*config, *state)
	_, warnings, err := loadConfig(*config, *state, defaultConfig(board.Board{}))
	fine := "no faults in " + path
	if _, serr := os.Stat(path); errors.Is(serr, fs.ErrNotExist) {
		fine = "no " + path + ", the defaults hold"
	}
	for _, line := range warnings {
		fmt.Fprintf(w.out, "config: warning: %s\n", line)
	}
	told("config", err, fine)
	known, err := checkOwner(w.root, *state)
	told("owner", err, known)
	updates, err := checkUpdates(*state)
	told("updates", err, updates)
	told("certificate", checkCertificate(filepath.Join(*state, certificateName)), "no faults")
	if faults > 0 {
		return errQuiet
	}
	return nil
}

// viewerVerb admits, lists and removes viewers: through the running agent, so that it counts at once, else in the state
// itself.
func viewerVerb(ctx context.Context, w world, args []string) error {
	set := flags(w, "viewer")
	state := stateFlag(set)
	role := set.String("role", string(access.Watcher), "`role` of a new viewer: viewer, member, installer, owner")
	asJSON := set.Bool("json", false, "print JSON")
	words, err := parse(set, args, 2)
	if err != nil {
		return err
	}
	words = append(words, "", "")
	what, name := words[0], words[1]
	if (what == "add" || what == "remove") == (name == "") {
		return usageError{"want: add NAME, remove NAME or list"}
	}
	viewers := viewerBook{w.root, *state}
	switch what {
	case "add":
		r, err := viewers.add(ctx, viewerArgs{name, access.Role(*role)})
		if err != nil {
			return err
		}
		return show(w, *asJSON, r, func() { printAdmitted(w, r) })
	case "remove":
		if err := viewers.remove(ctx, name); err != nil {
			return err
		}
		fmt.Fprintf(w.out, "viewer %s removed\n", name)
		return nil
	case "list":
		list, err := viewers.list(ctx)
		if err != nil {
			return err
		}
		return show(w, *asJSON, list, func() { printViewers(w, list) })
	}
	return usageError{fmt.Sprintf("unknown word %q; want add NAME, remove NAME or list", what)}
}

func printAdmitted(w world, r admitted) {
	fmt.Fprintf(w.out, "viewer %s added; the password is shown this once:\n  %s\n", r.Name, r.Password)
	for _, u := range r.URLs {
		fmt.Fprintf(w.out, "  %s\n", u)
	}
}

func printViewers(w world, list []access.Viewer) {
	t := tabwriter.NewWriter(w.out, 0, 0, 2, ' ', 0)
	for _, v := range list {
		fmt.Fprintf(t, "%s\t%s\tsince %s\n", v.Name, v.Role, v.Created.Format(time.DateOnly))
	}
	_ = t.Flush()
}

// viewerBook is the viewers, behind the socket or in the owner's file.
type viewerBook struct{ root, state string }

// ask goes to the running agent; where none runs it takes the state's lock and does the same to the file.
func (v viewerBook) ask(ctx context.Context, name string, args viewerArgs, result any,
	without func(g *access.Gate) error) error {
	var sent any = args
	if name == "viewer.list" {
		sent = none{}
	}
	err := call(ctx, v.state, name, sent, result)
	if !errors.Is(err, errNotRunning) {
		return err
	}
	if _, err := os.Stat(v.state); err != nil {
		return fmt.Errorf("state directory: %w; name it with --state", err)
	}
	unlock, err := lockState(v.state)
	if err != nil {
		return err
	}
	defer unlock()
	owner, err := findOwnership(v.root, v.state)
	if err != nil {
		return err
	}
	return without(access.NewGate(owner, silent()))
}

func (v viewerBook) add(ctx context.Context, args viewerArgs) (admitted, error) {
	var r admitted
	err := v.ask(ctx, "viewer.add", args, &r, func(g *access.Gate) (err error) {
		r, err = addViewer(g, args, nil)
		return err
	})
	return r, err
}

func (v viewerBook) remove(ctx context.Context, name string) error {
	return v.ask(ctx, "viewer.remove", viewerArgs{Name: name}, &none{}, func(g *access.Gate) error {
		return g.RemoveViewer(name)
	})
}

func (v viewerBook) list(ctx context.Context) ([]access.Viewer, error) {
	var list []access.Viewer
	err := v.ask(ctx, "viewer.list", viewerArgs{}, &list, func(g *access.Gate) error {
		list = g.Viewers()
		return nil
	})
	return list, err
}

func snapshotVerb(ctx context.Context, w world, args []string) error {
	set := flags(w, "snapshot")
	state := stateFlag(set)
	name := set.String("stream", "main", "`stream` to take the picture from")
	out := set.String("o", "snapshot.jpg", "`file` to write, - for standard output")
	if _, err := parse(set, args, 0); err != nil {
		return err
	}
	var p picture
	if err := call(ctx, *state, "snapshot", streamArgs{*name}, &p); err != nil {
		return err
	}
	if *out == "-" {
		_, err := w.out.Write(p.JPEG)
		return err
	}
	if err := os.WriteFile(*out, p.JPEG, 0o600); err != nil {
		return err
	}
	fmt.Fprintf(w.out, "%s: %d bytes\n", *out, len(p.JPEG))
	return nil
}

func statusVerb(ctx context.Context, w world, args []string) error {
	set := flags(w, "status")
	state := stateFlag(set)
	asJSON := set.Bool("json", false, "print JSON")
	if _, err := parse(set, args, 0); err != nil {
		return err
	}
	var doc statusDocument
	if err := call(ctx, *state, "status", none{}, &doc); err != nil {
		return err
	}
	err := show(w, *asJSON, doc, func() { printStatus(w, doc) })
	if err == nil && !doc.Healthy {
		return errQuiet
	}
	return err
}

func printStatus(w world, doc statusDocument) {
	health := "healthy"
	if !doc.Healthy {
		health = "NOT HEALTHY"
	}
	up := time.Duration(doc.UptimeSeconds * float64(time.Second)).Round(time.Second)
	fmt.Fprintf(w.out, "%s, board %s, release %s, up %v, %.1f MB\n", health, doc.Board, doc.Release, up,
		float64(doc.ResidentBytes)/1e6)
	t := tabwriter.NewWriter(w.out, 0, 0, 2, ' ', 0)
	for _, s := range doc.Streams {
		fmt.Fprintf(t, "  %s\t%s\t%.1f pictures/s\t%.0f kbit/s\t%d reader(s)\t%s\n",
			s.Name, s.State, s.FPS, s.BitrateBPS/1000, s.Readers, s.Reason)
	}
	for _, p := range doc.Parts {
		if !p.Up || p.Restarts > 0 {
			fmt.Fprintf(t, "  part %s\tup %v\t%d restart(s)\t%s\n", p.Name, p.Up, p.Restarts, p.Error)
		}
	}
	_ = t.Flush()
}

// buildFacts is what agent version tells.
type buildFacts struct {
	Release string   `json:"release"`
	Go      string   `json:"go"`
	OS      string   `json:"os"`
	Arch    string   `json:"arch"`
	Boards  []string `json:"boards"`
	Lacks   []string `json:"lacks"` // what this build has not, and why
}

func facts() buildFacts {
	f := buildFacts{Release: release, Go: runtime.Version(), OS: runtime.GOOS, Arch: runtime.GOARCH, Lacks: board.Lacks()}
	for _, b := range board.Boards() {
		f.Boards = append(f.Boards, b.Name)
	}
	return f
}

func versionVerb(_ context.Context, w world, args []string) error {
	set := flags(w, "version")
	asJSON := set.Bool("json", false, "print JSON")
	if _, err := parse(set, args, 0); err != nil {
		return err
	}
	f := facts()
	return show(w, *asJSON, f, func() {
		fmt.Fprintf(w.out, "ocellus agent %s, %s %s/%s\n", f.Release, f.Go, f.OS, f.Arch)
		for _, l := range f.Lacks {
			fmt.Fprintf(w.out, "lacks %s\n", l)
		}
	})
}

// show prints a value as JSON, or as a person reads it.
func show(w world, asJSON bool, v any, text func()) error {
	if !asJSON {
		text()
		return nil
	}
	raw, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(w.out, string(raw))
	return err
}

// checkCertificate reports a certificate file that can't be used; none is fine, it is made when it is needed.
func checkCertificate(path string) error {
	raw, err := statefile.ReadBytes(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil && !sealed.Is(raw) {
		err = fmt.Errorf("%w: not sealed", statefile.ErrCorrupt)
	}
	if err != nil {
		return fmt.Errorf("%s: %w (the agent will make a new one)", path, err)
	}
	return nil
}

// urlHost is the address under which clients reach what listens on listen: the machine's own address where it listens
// on all of them, loopback on the simulated board.
func urlHost(listen string, local bool) string {
	ap, err := netip.ParseAddrPort(listen)
	if err != nil || !ap.Addr().IsUnspecified() {
		return listen
	}
	host := "127.0.0.1"
	if ip := ownAddress(); !local && ip.IsValid() {
		host = ip.String()
	}
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	return fmt.Sprintf("%s:%d", host, ap.Port())
}
