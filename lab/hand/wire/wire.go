// Package wire is what the lab and its hand in the board say to one another over a virtio-serial port: a line of JSON
// each way, so that both find their feet again behind a line that a reset cut short.
//
//	< {"hello":"0d21..."}                                     the hand is there; the number is the boot's own
//	> {"id":1,"run":{"argv":["/bin/busybox","id"],"uid":1000}}
//	< {"id":1,"data":"dWlkPTEwMDA=","code":0}
//
// Requests are answered as they are done, in any order. A line that can't be read is passed over.
package wire

import "time"

// Port is the name of the virtio-serial port (QEMU: -device virtserialport,name=).
const Port = "hand"

// Bounds, in bytes.
const (
	Chunk   = 256 << 10 // of a file in one line
	MaxOut  = 512 << 10 // of what a program writes to one of its outputs; the rest is dropped
	MaxLine = 2 << 20
)

// Request asks for one thing.
type Request struct {
	ID    uint64 `json:"id"`
	Run   *Run   `json:"run,omitempty"`
	Read  *Read  `json:"read,omitempty"`
	Write *Write `json:"write,omitempty"`
}

// Run starts a program and waits for it.
type Run struct {
	Argv  []string      `json:"argv"`
	User  *User         `json:"user,omitempty"` // root where it is nil
	Limit time.Duration `json:"limit"`          // then the program and its children are killed
}

// User is whose rights a program has.
type User struct {
	UID    uint32   `json:"uid"`
	GID    uint32   `json:"gid"`
	Groups []uint32 `json:"groups,omitempty"`
}

// Read reads up to Chunk bytes of a file.
type Read struct {
	Name   string `json:"name"`
	Offset int64  `json:"offset"`
}

// Write writes a file: begins it anew, or goes on where it ends.
type Write struct {
	Name   string `json:"name"`
	Data   []byte `json:"data"`
	Mode   uint32 `json:"mode"` // permission bits
	Append bool   `json:"append,omitempty"`
}

// Answer is what came of a request, or the hand's first word.
type Answer struct {
	Hello string `json:"hello,omitempty"` // /proc/sys/kernel/random/boot_id
	ID    uint64 `json:"id,omitempty"`
	Data  []byte `json:"data,omitempty"` // a program's output, or a piece of a file
	Errs  []byte `json:"errs,omitempty"` // a program's error output
	Code  int    `json:"code,omitempty"` // a program's exit code; 126: it can't be run; 127: none there; 128 + signal
	Last  bool   `json:"last,omitempty"` // the file ends here
	Fault string `json:"fault,omitempty"`
}
