// Delta measures deltas beside the usual tools, on the same pair of images in the same run:
//
//	go run ./lab/bench/delta                 builds the pair with scripts/delta-pair first, some minutes
//	go run ./lab/bench/delta -pair DIR       a pair that is there
//
// For each image it prints what a delta costs in bytes and in per cent of the image, how long it takes to make and to
// apply, and the memory of the program that applies it. A tool whose result is not the image, byte for byte, is void;
// one that is not installed is left out.
package main

import (
	"archive/tar"
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

func main() {
	pair := flag.String("pair", "", "the directory of scripts/delta-pair; empty: make one")
	camctl := flag.String("camctl", "bin/camctl", "the built camctl")
	flag.Parse()
	if err := run(*pair, *camctl); err != nil {
		fmt.Fprintln(os.Stderr, "bench delta:", err)
		os.Exit(1)
	}
}

func run(pair, camctl string) error {
	work, err := os.MkdirTemp("", "bench-delta-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	if pair == "" {
		pair = filepath.Join(work, "pair")
		build := exec.Command("scripts/delta-pair", pair)
		build.Stdout, build.Stderr = os.Stderr, os.Stderr
		if err := build.Run(); err != nil {
			return fmt.Errorf("scripts/delta-pair: %w", err)
		}
	}
	idle, err := measure(camctl, "version")
	if err != nil {
		return err
	}
	fmt.Printf("camctl that does nothing: %.1f MB of memory\n", idle.mb)
	for _, name := range []string{"plain", "slot-armv7", "slot-arm64"} {
		b := bench{old: filepath.Join(pair, name+"-old.img"), new: filepath.Join(pair, name+"-new.img"), dir: work,
			board: strings.Replace(name, "slot-", "qemu-virt-", 1)}
		if err := b.run(name, camctl); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// tool makes and applies deltas. Its words OLD, NEW, DELTA and OUT stand for files.
type tool struct {
	name        string
	make, apply []string
	after       func(b bench) error // once the delta is made
}

func tools(camctl string) []tool {
	return []tool{
		{"ours", words(camctl + " ota build --board BOARD --version 1.4.1-rc.1.field --slot NEW --from OLD -o DELTA.bundle"),
			words(camctl + " ota patch OLD DELTA -o OUT"), bench.unpack},
		{"bsdiff", words("bsdiff OLD NEW DELTA"), words("bspatch OLD OUT DELTA"), nil},
		{"xdelta3 -9", words("xdelta3 -e -f -9 -B 134217728 -s OLD NEW DELTA"),
			words("xdelta3 -d -f -B 134217728 -s OLD DELTA OUT"), nil},
		{"zstd -19 --patch-from", words("zstd -q -f -19 --long=27 --patch-from=OLD NEW -o DELTA"),
			words("zstd -q -f -d --long=27 --patch-from=OLD DELTA -o OUT"), nil},
		{"hdiffz -SD -c-zstd", words("hdiffz -f -m-6 -SD-256k -c-zstd-21-24 OLD NEW DELTA"),
			words("hpatchz -f -s-256k OLD DELTA OUT"), nil},
		{"zstd -19, the whole image", words("zstd -q -f -19 NEW -o DELTA"), words("zstd -q -f -d DELTA -o OUT"), nil},
	}
}

func words(line string) []string { return strings.Fields(line) }

// bench is one pair of images, for a board.
type bench struct{ old, new, dir, board string }

func (b bench) file(name string) string { return filepath.Join(b.dir, name) }

// fill puts files in place of words.
func (b bench) fill(line []string) []string {
	names := strings.NewReplacer("OLD", b.old, "NEW", b.new, "DELTA", b.file("delta"), "OUT", b.file("out"),
		"BOARD", b.board)
	filled := make([]string, len(line))
	for i, w := range line {
		filled[i] = names.Replace(w)
	}
	return filled
}

func (b bench) run(name, camctl string) error {
	info, err := os.Stat(b.new)
	if err != nil {
		return err
	}
	fmt.Printf("\n%s, %d bytes\n  %-28s %10s %8s %8s %8s %9s\n", name, info.Size(), "", "bytes", "%", "make s", "apply s",
		"apply MB")
	for _, t := range tools(camctl) {
		if _, err := exec.LookPath(t.make[0]); err != nil {
			fmt.Printf("  %-28s not installed\n", t.name)
			continue
		}
		if err := b.row(t, info.Size()); err != nil {
			fmt.Printf("  %-28s void: %v\n", t.name, err)
		}
	}
	return nil
}

func (b bench) row(t tool, size int64) error {
	made, err := measure(b.fill(t.make)...)
	if err == nil && t.after != nil {
		err = t.after(b)
	}
	if err != nil {
		return err
	}
	info, err := os.Stat(b.file("delta"))
	if err != nil {
		return err
	}
	applied, err := measure(b.fill(t.apply)...)
	if err != nil {
		return err
	}
	if err := exec.Command("cmp", "-s", b.file("out"), b.new).Run(); err != nil {
		return fmt.Errorf("the result is another image: %w", err)
	}
	fmt.Printf("  %-28s %10d %8.3f %8.2f %8.2f %9.1f\n", t.name, info.Size(),
		100*float64(info.Size())/float64(size), made.took.Seconds(), applied.took.Seconds(), applied.mb)
	return nil
}

// unpack takes the delta out of what camctl ota build wrote.
func (b bench) unpack() error {
	f, err := os.Open(b.file("delta.bundle"))
	if err != nil {
		return err
	}
	defer f.Close()
	for r := tar.NewReader(f); ; {
		h, err := r.Next()
		if err != nil {
			return fmt.Errorf("no delta in the bundle: %w", err)
		}
		if strings.HasSuffix(h.Name, ".delta") {
			d, err := io.ReadAll(r)
			if err != nil {
				return err
			}
			return os.WriteFile(b.file("delta"), d, 0o600)
		}
	}
}

// cost is what a run took.
type cost struct {
	took time.Duration
	mb   float64 // resident memory at most
}

// measure runs a program. The kernel counts what a child has before it becomes another program, which is this one's
// memory: so nothing here holds an image.
func measure(line ...string) (cost, error) {
	c := exec.Command(line[0], line[1:]...)
	begin := time.Now()
	out, err := c.CombinedOutput()
	if err != nil {
		return cost{}, fmt.Errorf("%s: %w: %s", line[0], err, bytes.TrimSpace(out))
	}
	usage, ok := c.ProcessState.SysUsage().(*syscall.Rusage)
	if !ok {
		return cost{}, errors.New("no account of memory")
	}
	return cost{time.Since(begin), float64(usage.Maxrss) / 1000}, nil
}
