// Command agent is the firmware agent of a camera board: it opens the board, streams its camera, and answers for it.
//
// This package is the only one that wires: it opens the board, builds the features, hands each the devices that it
// owns, and runs them under one supervisor. Everything that a person or another program can ask of a running agent is
// one row of the command table in commands.go, whatever door the question came through.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// release is set by the linker: -X main.release=1.2.3.
var release = "devel"

// world is what a verb gets of the process, so that a test runs it in its own.
type world struct {
	out, errs io.Writer
	getenv    func(string) string
	root      string // "/", where /proc and /dev are looked for
}

// verb is one word after "agent".
type verb struct {
	name    string
	args    string
	summary string
	run     func(ctx context.Context, w world, args []string) error
}

func verbs() []verb {
	return []verb{
		{"run", "[--board B] [--state DIR] [--config FILE] [--file CLIP] [--hold PNG] [--air PCAP] [--serial PORT]",
			"stream the camera", runVerb},
		{"probe", "[--board B] [--config FILE] [--state DIR]",
			"what the board has, mode by mode, and what the agent would choose", probeVerb},
		{"check", "[--config FILE] [--state DIR]", "faults of configuration and state, without starting", checkVerb},
		{"label", "[--board B] [--state DIR]", "what is printed on the camera, and what claims it", labelVerb},
		{"reset", "[--state DIR]", "forget the owner, within 10 s of power-on, on a board without a button", resetVerb},
		{"viewer", "add|list|remove [--state DIR] [NAME]", "who may watch", viewerVerb},
		{"snapshot", "[--stream main] [-o FILE]", "one JPEG picture from the running agent", snapshotVerb},
		{"status", "[--json]", "how the running agent is", statusVerb},
		{"ota", "check|install|status|rollback|cancel [--state DIR] [FILE|URL|-]", "signed updates", otaVerb},
		{"ear", "--interface IF --uid UID", "hear the air for that user; the board's init starts it", earVerb},
		{"version", "[--json]", "release, and what this build has", versionVerb},
	}
}

// usageError is a fault of the command line; its text says what is right.
type usageError struct{ text string }

func (e usageError) Error() string { return e.text }

// errQuiet: the verb has said everything itself; only the exit code is left.
var errQuiet = errors.New("")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := dispatch(ctx, world{os.Stdout, os.Stderr, os.Getenv, "/"}, os.Args[1:])
	told := ctx.Err() != nil // to end, while it was on its way to start anew
	stop()
	if code == exitAnew && told {
		code = 0 // the next start finds what is left to do
	}
	if code == exitAnew {
		// The same program in a fresh memory; whoever watches the process sees no other. It returns when it fails.
		err := unix.Exec("/proc/self/exe", os.Args, os.Environ())
		fmt.Fprintf(os.Stderr, "agent: start anew: %v\n", err)
	}
	os.Exit(code)
}

// exitAnew is the exit code of an agent that wants to be started anew (EX_TEMPFAIL of sysexits.h).
const exitAnew = 75

// dispatch runs a verb and returns the exit code: 0, 1 for a failure, 2 for a wrong command line, or exitAnew.
func dispatch(ctx context.Context, w world, args []string) int {
	if len(args) == 0 || args[0] == "help" || args[0] == "-h" || args[0] == "--help" {
		usage(w.out)
		return 0
	}
	for _, v := range verbs() {
		if v.name != args[0] {
			continue
		}
		err := v.run(ctx, w, args[1:])
		var wrong usageError
		switch {
		case err == nil, errors.Is(err, flag.ErrHelp):
			return 0
		case errors.Is(err, errAnew):
			return exitAnew
		case errors.As(err, &wrong):
			fmt.Fprintf(w.errs, "agent %s: %s\nusage: agent %s %s\n", v.name, wrong.text, v.name, v.args)
			return 2
		case !errors.Is(err, errQuiet):
			fmt.Fprintf(w.errs, "agent %s: %v\n", v.name, err)
		}
		return 1
	}
	fmt.Fprintf(w.errs, "agent: unknown verb %q\n\n", args[0])
	usage(w.errs)
	return 2
}

func usage(to io.Writer) {
	fmt.Fprint(to, "agent: the firmware agent of a camera board\n\n")
	for _, v := range verbs() {
		fmt.Fprintf(to, "  agent %-9s %s\n  %15s %s\n", v.name, v.args, "", v.summary)
	}
	fmt.Fprint(to, "\nagent VERB -h tells the flags of a verb. docs/configuration.md tells the keys of config.yaml.\n")
}

// flags makes the flag set of a verb; parse parses into it and turns what is wrong into a usageError.
func flags(w world, name string) *flag.FlagSet {
	set := flag.NewFlagSet("agent "+name, flag.ContinueOnError)
	set.SetOutput(io.Discard)
	set.Usage = func() {
		set.SetOutput(w.out)
		fmt.Fprintf(w.out, "flags of %s:\n", set.Name())
		set.PrintDefaults()
		set.SetOutput(io.Discard)
	}
	return set
}

// parse takes flags wherever they stand among the words, and returns the words; there may be at most words of them.
func parse(set *flag.FlagSet, args []string, words int) ([]string, error) {
	var rest []string
	for {
		if err := set.Parse(args); err != nil {
			if errors.Is(err, flag.ErrHelp) {
				return nil, err
			}
			return nil, usageError{err.Error()}
		}
		if set.NArg() == 0 {
			break
		}
		rest, args = append(rest, set.Arg(0)), set.Args()[1:]
	}
	if len(rest) > words {
		return nil, usageError{"unexpected " + strings.Join(rest[words:], " ")}
	}
	return rest, nil
}

const defaultState = "/data/agent"

func stateFlag(set *flag.FlagSet) *string {
	return set.String("state", defaultState, "`directory` of state and configuration")
}
