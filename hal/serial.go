package hal

// Serial is a serial port: three wires to a person's terminal, or to a program.
//
// Law (haltest.Serial): Open gives the line, with 8 data bits, no parity and no flow control, at this speed; while it
// is open, another Open is ErrBusy. It works again after the line was closed, and after a port that had gone away came
// back.
type Serial interface {
	// Name is the port as the kernel has it: /dev/ttyS0.
	Name() string
	// Open opens the line; ErrUnsupported for a speed that the port does not have.
	Open(baud int) (Line, error)
}

// Line is an open serial port.
//
// Law: bytes go through as they are, none is changed, echoed or taken for a signal. Read waits until there is at least
// one. Write waits while the other side takes nothing. Close unblocks both; after it, and once the port has gone away
// (a USB adapter was pulled out), they return ErrClosed. SetSpeed waits until what was written has gone out at the
// speed of before; ErrUnsupported changes nothing.
type Line interface {
	Read(p []byte) (int, error)
	Write(p []byte) (int, error)
	SetSpeed(baud int) error
	Close() error
}
