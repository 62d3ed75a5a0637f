package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"

	"github.com/ocellus/ocellus/console/link/caller"
	"github.com/ocellus/ocellus/console/link/wire"
	"github.com/ocellus/ocellus/hal"
	"github.com/ocellus/ocellus/hal/tty"
)

// speedFlag is how fast a serial port is.
type speedFlag struct {
	Speed int `default:"115200" placeholder:"BAUD" help:"Of the serial port."`
}

const (
	portPatience = 5 * time.Second // for a camera to answer on a port
	portPause    = time.Second     // between two tries to open a port that went away
)

// isPort reports whether a camera is named by where its serial line is: a device, or the TCP port of a virtual board's
// line or of a terminal server. No name that a camera can have holds a slash.
func isPort(camera string) bool {
	return strings.Contains(camera, "/") || strings.HasPrefix(camera, tcpPrefix)
}

const tcpPrefix = "tcp:"

// openPort opens a serial port, a pseudo terminal, or tcp:HOST:PORT. One that is gone is an exitUnreachable.
func openPort(ctx context.Context, name string, baud int) (io.ReadWriteCloser, error) {
	if address, ok := strings.CutPrefix(name, tcpPrefix); ok {
		conn, err := (&net.Dialer{Timeout: portPatience}).DialContext(ctx, "tcp", address)
		if err != nil {
			return nil, &fault{exitUnreachable, err}
		}
		return conn, nil
	}
	line, err := tty.New(name).Open(baud)
	switch {
	case err == nil:
		return line, nil
	case errors.Is(err, hal.ErrBusy):
		return nil, fmt.Errorf("%s: another program has it open", name)
	case errors.Is(err, os.ErrPermission):
		return nil, fmt.Errorf("%s: you may not open it: be a member of the group dialout", name)
	case errors.Is(err, hal.ErrUnsupported):
		return nil, &fault{exitUsage, fmt.Errorf("%s: it does not do %d baud", name, baud)}
	}
	return nil, &fault{exitUnreachable, err}
}

// dialPort greets the camera on a port.
func dialPort(ctx context.Context, name string, baud int) (*caller.Caller, error) {
	port, err := openPort(ctx, name, baud)
	if err != nil {
		return nil, err
	}
	c, err := caller.Dial(ctx, port, caller.Options{Chunk: caller.ChunkFor(baud), Patience: portPatience})
	if err != nil {
		return nil, explainPort(name, baud, err)
	}
	return c, nil
}

// explainPort says what to do.
func explainPort(name string, baud int, err error) error {
	switch {
	case errors.Is(err, caller.ErrEcho):
		return &fault{exitUnreachable, fmt.Errorf("%s: %w: is anything connected to it?", name, err)}
	case errors.Is(err, caller.ErrNobody):
		return &fault{exitUnreachable, fmt.Errorf("%s: %w at %d baud: is it switched on, are the wires crossed, "+
			"is the speed right (--speed)?", name, err, baud)}
	case errors.Is(err, wire.ErrVersion):
		return fmt.Errorf("%s: %w: take a newer camctl", name, err)
	case errors.Is(err, caller.ErrGone):
		return &fault{exitUnreachable, fmt.Errorf("%s: %w", name, err)}
	}
	return err
}
