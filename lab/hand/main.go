// Command hand is the lab's hand in the virtual board. The lab's disk brings it and the board's init starts it as root;
// the shipped image knows nothing of it.
//
//	hand serve                         do what the lab asks for, over the virtio-serial port "hand" (package wire)
//	hand boot                          which slot runs and why
//	hand bootstate get                 the variables of the boot record
//	hand bootstate try SLOT TRIES      put a slot on trial
//	hand bootstate confirm             confirm the slot that runs
//	hand bootstate floor N             raise the version floor, in persist first, then in the record
//	hand bootstate restore             write a damaged record anew: the slot that runs, the floor of persist
//	hand slot write SLOT FILE          write a slot
//	hand slot sum SLOT BYTES           the SHA-256 of its beginning
//	hand vault load AREA               what persist or keys holds, in hexadecimal
//	hand vault store AREA HEX          replace it
//	hand vault destroy AREA            destroy it
//	hand v4l2 set DEVICE CONTROL VALUE set a control of a video device, by its name
//	hand reach                         what whoever runs it may open and write
//
// Record, slots and vault go through the board's own drivers, so that what is shown with the hand is shown of them.
package main

import (
	"errors"
	"fmt"
	"os"
	"strings"
)

// verb is what the first words say.
type verb struct {
	words string
	args  int
	run   func(args []string) error
}

func verbs() []verb {
	return []verb{
		{"serve", 0, func([]string) error { return serve() }},
		{"boot", 0, func([]string) error { return sayBoot() }},
		{"bootstate get", 0, func([]string) error { return sayRecord() }},
		{"bootstate try", 2, func(args []string) error { return tryOut(args[0], args[1]) }},
		{"bootstate confirm", 0, func([]string) error { return confirm() }},
		{"bootstate floor", 1, func(args []string) error { return raiseFloor(args[0]) }},
		{"bootstate restore", 0, func([]string) error { return restore() }},
		{"slot write", 2, func(args []string) error { return writeSlot(args[0], args[1]) }},
		{"slot sum", 2, func(args []string) error { return sumSlot(args[0], args[1]) }},
		{"vault load", 1, func(args []string) error { return loadArea(args[0]) }},
		{"vault store", 2, func(args []string) error { return storeArea(args[0], args[1]) }},
		{"vault destroy", 1, func(args []string) error { return destroyArea(args[0]) }},
		{"v4l2 set", 3, func(args []string) error { return setV4L2(args[0], args[1], args[2]) }},
		{"reach", 0, func([]string) error { return reach() }},
	}
}

func main() {
	if err := dispatch(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "hand:", err)
		os.Exit(1)
	}
}

func dispatch(args []string) error {
	for _, v := range verbs() {
		words := strings.Fields(v.words)
		if len(args) == len(words)+v.args && strings.Join(args[:len(words)], " ") == v.words {
			return v.run(args[len(words):])
		}
	}
	return errors.New("no such verb; lab/hand/main.go lists them")
}
