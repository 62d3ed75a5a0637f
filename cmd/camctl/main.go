// Camctl is the other side of every wire: the phone of whoever owns a camera, the stream doctor of whoever looks after
// it, and the tool of whoever publishes its updates.
//
//	camctl pair --label -                                   makes you the owner of the camera with this label
//	camctl discover                                         the cameras of this link
//	camctl owner [phrase|restore]                           your key, its backup phrase, your cameras
//	camctl call CAMERA status|snapshot|set KEY=VALUE|...    asks a camera, over its LAN door, a broker, or a serial line
//	camctl desire CAMERA ... KEY=VALUE ...                  leaves a configuration for cameras that may be away
//	camctl console /dev/ttyUSB0                             a terminal on a camera's serial line, unlocked by your key
//	camctl events CAMERA                                    tells what happens there
//	camctl support CAMERA                                   saves a support bundle, and says first what is in it
//	camctl network status|scan|join|forget NAME             the Wi-Fi network of a camera of yours
//	camctl fleet simulate --broker mqtt://broker:1883       plays many cameras and their back end
//	camctl watch rtsp://viewer:PASSWORD@camera:8554/main    reads a stream and says how healthy it is
//	camctl picture 1280 720 < frames.gray                   reads the test card's clock out of decoded pictures
//	camctl pair, owner, grant, revoke, accept, hand-over, unbind    what a phone does (docs/provisioning.md)
//	camctl ota init|build|publish|renew|rollout|root|verify keys and repository of signed updates
//	camctl factory --key FILE -o DIR /dev/ttyUSB0 ...       finishes new boards (docs/factory.md)
//	camctl version
//
// Exit codes: 0 all is well; 1 something else went wrong; 2 the command line; 3 the camera can't be reached; 4 the
// credential is refused; 5 there is no such stream; 6 no packet came; 7 no decodable picture came; 8 the stream ended
// before its time; 9 (picture) no picture could be read.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"syscall"

	"github.com/alecthomas/kong"
)

// The exit codes, part of the command's contract.
const (
	exitOK = iota
	exitOther
	exitUsage
	exitUnreachable
	exitCredential
	exitNoStream
	exitNoPackets
	exitNoPicture
	exitEnded
	exitUnreadable
)

// fault is an error that has an exit code of its own.
type fault struct {
	code int
	err  error
}

func (f *fault) Error() string { return f.err.Error() }
func (f *fault) Unwrap() error { return f.err }

// commands is the command line.
type commands struct {
	Watch    watchCommand    `cmd:"" help:"Read a stream and say how healthy it is: one JSON line a second, then a summary."`
	Discover discoverCommand `cmd:"" help:"List the cameras of this link."`
	Pair     pairCommand     `cmd:"" help:"Become the owner of a camera, by its label."`
	Owner    ownerCommand    `cmd:"" help:"Your owner's key, its backup phrase, and your cameras."`
	Grant    grantCommand    `cmd:"" help:"Let somebody in, and print the invitation for him."`
	Grants   grantsCommand   `cmd:"" help:"Who was let in."`
	Revoke   revokeCommand   `cmd:"" help:"Let somebody in no more."`
	Accept   acceptCommand   `cmd:"" help:"Take an invitation, or the offer of a camera, from its owner."`
	HandOver handOverCommand `cmd:"" help:"Make somebody else the owner: print an offer, then take the answer to it."`
	Unbind   unbindCommand   `cmd:"" help:"Make a camera forget you and everything that it keeps for you."`
	Erased   erasedCommand   `cmd:"" help:"The receipts of cameras that forgot you."`
	Call     callCommand     `cmd:"" help:"Ask a camera to do something."`
	Desire   desireCommand   `cmd:"" help:"Leave a configuration at a broker, for cameras that may be away: each takes it when it is back."`
	Console  consoleCommand  `cmd:"" help:"A terminal on a camera's serial line, unlocked by your key."`
	Events   eventsCommand   `cmd:"" help:"Tell what happens at a camera: a line of JSON an event."`
	Support  supportCommand  `cmd:"" help:"Save what helps to help you: versions, log, crashes; it says first what is in it."`
	Network  networkCommand  `cmd:"" help:"The Wi-Fi network of a camera: how it stands, which there are, another one."`
	Fleet    fleetCommands   `cmd:"" help:"Many cameras: try out a broker or a cluster."`
	Factory  factoryCommands `cmd:"" help:"Finish new boards: self-test, label, report."`
	Picture  pictureCommand  `cmd:"" help:"Read frame number and capture time out of raw pictures of the test card on stdin."`
	Ota      otaCommands     `cmd:"" help:"Publish updates: keys, releases, rollouts."`
	Version  versionCommand  `cmd:"" help:"Print the version."`
}

// release is set by the linker: -X main.release=1.2.3.
var release = "devel" //nolint:gochecknoglobals // the linker's place

// streams are the process's standard streams.
type streams struct {
	in       io.Reader
	out, err io.Writer
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], streams{os.Stdin, os.Stdout, os.Stderr})
	stop()
	os.Exit(code)
}

// run parses and runs a command line and returns the exit code.
func run(ctx context.Context, args []string, s streams) int {
	var cli commands
	exited := -1
	parser, err := kong.New(&cli,
		kong.Name("camctl"),
		kong.Description("The stream doctor of an Ocellus camera, and of any RTSP camera with H.264.\n\n"+exitHelp),
		kong.UsageOnError(),
		kong.Writers(s.out, s.err),
		kong.Exit(func(code int) { exited = code }),
	)
	if err != nil {
		fmt.Fprintln(s.err, "camctl:", err)
		return exitOther
	}
	command, err := parser.Parse(args)
	if exited >= 0 { // --help
		return exited
	}
	if err != nil {
		fmt.Fprintln(s.err, "camctl:", err)
		return exitUsage
	}
	command.BindTo(ctx, (*context.Context)(nil))
	return exitCode(command.Run(s), s.err)
}

const exitHelp = "Exit codes: 0 well, 1 other, 2 usage, 3 unreachable, 4 credential refused, 5 no such stream, " +
	"6 no packets, 7 no decodable picture, 8 ended before its time, 9 no picture could be read."

func exitCode(err error, out io.Writer) int {
	if err == nil {
		return exitOK
	}
	fmt.Fprintln(out, "camctl:", err)
	var f *fault
	if errors.As(err, &f) {
		return f.code
	}
	return exitOther
}

type versionCommand struct{}

// Run prints the version and what it was built with.
func (versionCommand) Run(s streams) error {
	_, err := fmt.Fprintf(s.out, "camctl %s %s %s/%s\n", release, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return err
}
