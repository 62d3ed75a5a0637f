package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/ocellus/ocellus/internal/statefile"
	"github.com/ocellus/ocellus/ota"
)

// otaVerb is agent ota WORD.
func otaVerb(ctx context.Context, w world, args []string) error {
	set := flags(w, "ota")
	state := stateFlag(set)
	asJSON := set.Bool("json", false, "print JSON (check, status)")
	now := set.Bool("now", false, "restart at once, whoever watches (install)")
	words, err := parse(set, args, 2)
	if err != nil {
		return err
	}
	words = append(words, "", "")
	o := otaClient{w, *state, *asJSON}
	switch what, from := words[0], words[1]; {
	case what == "check" && (from == "" || isURL(from)):
		return o.check(ctx, from)
	case what == "install":
		return o.install(ctx, from, *now)
	case what == "status" && from == "":
		return o.status(ctx)
	case (what == "rollback" || what == "cancel") && from == "":
		return o.end(ctx, what)
	}
	return usageError{"want: check [URL], install FILE, install URL, install - (standard input), status, rollback, cancel"}
}

func isURL(s string) bool { return strings.HasPrefix(s, "http://") || strings.HasPrefix(s, "https://") }

// otaClient asks the running agent about updates.
type otaClient struct {
	w      world
	state  string
	asJSON bool
}

func (o otaClient) check(ctx context.Context, url string) error {
	var r foundUpdate
	if err := converse(ctx, o.state, "ota.check", otaArgs{URL: url}, nil, &r); err != nil {
		return err
	}
	return show(o.w, o.asJSON, r, func() {
		fmt.Fprintf(o.w.out, "%s is there for this camera: %s, %.1f MB, away for about %.0f s\n", r.Version, r.Severity,
			float64(r.Bytes)/1e6, r.DowntimeS)
		if r.Notes != "" {
			fmt.Fprintln(o.w.out, r.Notes)
		}
	})
}

// install sends a file, or says where the release is, and tells how far it is until the next boot tries it.
func (o otaClient) install(ctx context.Context, from string, now bool) error {
	args := otaArgs{Now: now}
	var file io.Reader
	switch {
	case isURL(from), from == "":
		args.URL = from
	case from == "-":
		args.Bundle, file = true, os.Stdin
	default:
		f, err := os.Open(from)
		if err != nil {
			return err
		}
		defer f.Close()
		args.Bundle, file = true, f
	}
	var s updateStatus
	watching, done := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		o.watch(watching)
	}()
	err := converse(ctx, o.state, "ota.install", args, file, &s)
	done()
	<-ended
	if err != nil {
		return err
	}
	fmt.Fprintf(o.w.out, "%s is in the other slot and verified; the camera restarts into it as soon as it may\n", s.Version)
	return nil
}

// watch prints what the install does, a line each time that it has come further, until ctx ends.
func (o otaClient) watch(ctx context.Context) {
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	before := ""
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		var s updateStatus
		if err := call(ctx, o.state, "ota.status", none{}, &s); err != nil || s.State != ota.Writing {
			continue
		}
		if line := progressLine(s); line != before {
			fmt.Fprintln(o.w.out, line)
			before = line
		}
	}
}

func progressLine(s updateStatus) string {
	return fmt.Sprintf("%s: %s %d %%, %.1f of %.1f MB", s.Version, s.Phase, s.Percent, float64(s.Bytes)/1e6,
		float64(s.Total)/1e6)
}

func (o otaClient) status(ctx context.Context) error {
	var s updateStatus
	if err := call(ctx, o.state, "ota.status", none{}, &s); err != nil {
		return err
	}
	return show(o.w, o.asJSON, s, func() { o.printStatus(s) })
}

func (o otaClient) printStatus(s updateStatus) {
	say := func(told bool, format string, args ...any) {
		if told {
			fmt.Fprintf(o.w.out, format+"\n", args...)
		}
	}
	say(s.Slot != "", "slot %s runs, release %s, booted as %s", s.Slot, orUnknown(s.Running), orUnknown(s.Boot))
	say(s.State != "" && s.Version == "", "%s", s.State)
	say(s.Version != "", "%s %s", s.State, s.Version)
	say(s.Reason != "", "  because: %s %s", s.Reason, s.Detail)
	say(s.State == ota.Writing, "  %s", progressLine(s))
	say(s.Offer != "", "offered: %s", s.Offer)
	say(s.Refused != "", "last look found nothing: %s (%s)", s.Refused, s.Why)
	say(s.Doubt != "", "nobody can tell whether that is the newest: %s", s.Doubt)
	say(s.Repository != "", "repository: %s", s.Repository)
	say(s.Unable != "", "%s", s.Unable)
}

func orUnknown(s string) string {
	if s == "" {
		return "unknown"
	}
	return s
}

// end goes back, or ends what is under way.
func (o otaClient) end(ctx context.Context, what string) error {
	var s updateStatus
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	err := converse(ctx, o.state, "ota."+what, none{}, nil, &s)
	if errors.Is(err, errGone) { // a trial that is left ends in a restart
		fmt.Fprintln(o.w.out, "the camera restarts")
		return nil
	}
	if err != nil {
		return err
	}
	o.printStatus(s)
	return nil
}

// checkUpdates says how far the update is that ota.json tells of.
func checkUpdates(state string) (string, error) {
	s, err := ota.ReadState(statefile.Path(filepath.Join(state, otaName)))
	if errors.Is(err, fs.ErrNotExist) {
		return "none yet", nil
	}
	return string(s), err
}
