//go:build zbar

// Qr measures provision/qr and zbar, as a library, on the same luma in the same run:
//
//	go run -tags zbar ./lab/bench/qr              every class, both sizes; the seed is fresh and printed
//	go run -tags zbar ./lab/bench/qr -seed 7      the same pictures again
//
// It prints the read rate and the mean cost (CPU time of the reading thread) of each class, each size of the code and each payload; the inverted twins;
// rooms without a code; and the scenes in which somebody holds a phone for three seconds. A text that is not the true
// one is counted apart. docs/provisioning-qr.md says what the pictures are. It is built with the tag zbar, for which
// libzbar-dev is needed (scripts/setup test).
package main

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ocellus/ocellus/provision/qr"
)

// options are the command line.
type options struct {
	seed   uint64
	n      int
	holds  int
	empty  int
	only   string
	width  int
	normal bool
}

func main() {
	var o options
	flag.Uint64Var(&o.seed, "seed", 0, "of the pictures; 0: a fresh one")
	flag.IntVar(&o.n, "n", 1, "pictures of each class, payload and size")
	flag.IntVar(&o.holds, "holds", 100, "three-second scenes of each size")
	flag.IntVar(&o.empty, "empty", 100, "rooms without a code of each size")
	flag.StringVar(&o.only, "only", "", "only classes whose name holds this")
	flag.IntVar(&o.width, "width", 0, "only this width: 640 or 1280")
	flag.BoolVar(&o.normal, "normal", false, "skip the inverted twins")
	flag.Parse()
	runtime.LockOSThread() // cpu is that of a thread
	if o.seed == 0 {
		o.seed = rand.Uint64()
	}
	fmt.Printf("seed %d, %s\n", o.seed, runtime.Version())
	for _, size := range [][2]int{{640, 480}, {1280, 720}} {
		if o.width != 0 && o.width != size[0] {
			continue
		}
		if err := run(o, size[0], size[1]); err != nil {
			fmt.Fprintln(os.Stderr, "bench qr:", err)
			os.Exit(1)
		}
	}
}

// rig is what the measurements of one size share.
type rig struct {
	options
	w, h     int
	payloads []payload
	zbar     *zbar
	twice    *zbar // told to look at the inverted picture, too
	ours     *qr.Reader
}

func run(o options, w, h int) error {
	p, err := payloads(o.seed)
	if err != nil {
		return err
	}
	r := &rig{options: o, w: w, h: h, payloads: p, zbar: newZbar(false), twice: newZbar(true), ours: new(qr.Reader)}
	defer r.zbar.close()
	defer r.twice.close()
	fmt.Printf("\n== %dx%d ==\n", w, h)
	r.classes()
	r.rooms()
	r.scenes()
	return nil
}

// cpu returns the CPU time that this thread has used, so that other work on the machine does not count.
func cpu() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t); err != nil {
		panic(err) // the clock has been there since Linux 2.6
	}
	return time.Duration(t.Nano())
}

// rng returns the random numbers of one measurement, so that leaving one out does not change another.
func (r *rig) rng(what uint64) *rand.Rand { return rand.New(rand.NewPCG(r.seed, uint64(r.w)<<8|what)) }
