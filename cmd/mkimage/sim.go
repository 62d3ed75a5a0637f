package main

import (
	"errors"
	"flag"
	"io"
	"math/rand/v2"
	"os"
	"strings"

	"github.com/ocellus/ocellus/codec/fit"
)

// simulated makes a slot of the simulated board: a FIT that hal/sim's boot loader verifies. There is no program in it:
// the kernel is a word, the initrd the update root, and the rest is filling of the size of a real one.
func simulated(args []string) error {
	f := flag.NewFlagSet("mkimage sim", flag.ContinueOnError)
	version := f.String("version", "", "the release's `name`")
	root := f.String("root", "", "the update root key's `file`; without it the slot refuses updates")
	kernel := f.String("kernel", "runs", "`word`: runs, or panics")
	size := f.Int("size", 8, "`MiB` of filling")
	at := f.Int64("time", 1, "the `time` at which it was made, Unix seconds")
	out := f.String("out", "", "`file` for the slot")
	if err := f.Parse(args); err != nil {
		return err
	}
	if *version == "" || *out == "" || *kernel != "runs" && *kernel != "panics" || *size < 0 || *size > 22 {
		return errors.New("-version and -out are needed, -kernel is runs or panics, -size at most 22")
	}
	i := fit.Image{Arch: "sandbox", Time: uint32(*at), Kernel: fit.Part{Data: []byte(*kernel)},
		Slot: fit.Slot{Compatible: "sim", Version: *version}}
	if *root != "" {
		var err error
		if i.Initrd.Data, err = os.ReadFile(*root); err != nil {
			return err
		}
	}
	i.DeviceTree.Data = make([]byte, *size*mib)
	seed := [32]byte([]byte(strings.Repeat(" ", 32)))
	copy(seed[:], *version)
	if _, err := io.ReadFull(rand.NewChaCha8(seed), i.DeviceTree.Data); err != nil {
		return err
	}
	b, err := fit.Build(i)
	if err != nil {
		return err
	}
	return os.WriteFile(*out, b, 0o644)
}
