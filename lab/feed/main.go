// Command feed plays a camera on a v4l2loopback node. Either one that delivers H.264: it writes the access units of a clip,
// each at its time, over and over. Or one that delivers raw pictures, before whose lens somebody holds an image while
// there is such a file.
//
//	feed DEVICE CLIP WIDTHxHEIGHT FPS
//	feed hold DEVICE PNG WIDTHxHEIGHT FPS
//
// At SIGUSR1 the first of them hangs: behind the clip's next IDR it stops itself, until SIGCONT. A driver then keeps a
// picture that every decoder would show.
//
// The clip is Annex B in which each access unit begins with an access unit delimiter (H.264 7.3.2.4; ffmpeg writes them with
// -bsf:v h264_metadata=aud=insert), so that nobody has to find out where one ends.
package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "feed:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 4 && (len(args) != 5 || args[0] != "hold") {
		return errors.New("usage: feed [hold] DEVICE CLIP|PNG WIDTHxHEIGHT FPS")
	}
	var width, height uint32
	device, file, size, rate := args[len(args)-4], args[len(args)-3], args[len(args)-2], args[len(args)-1]
	if _, err := fmt.Sscanf(size, "%dx%d", &width, &height); err != nil {
		return fmt.Errorf("size %q: %w", size, err)
	}
	fps, err := strconv.Atoi(rate)
	if err != nil || fps < 1 {
		return fmt.Errorf("rate %q is none", rate)
	}
	interval := time.Second / time.Duration(fps)
	if len(args) == 5 {
		return hold(device, file, width, height, interval)
	}
	clip, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	units := split(clip)
	if len(units) == 0 {
		return fmt.Errorf("clip %s: no access unit begins with a delimiter", file)
	}
	out, err := open(device, fourCCH264, width, height)
	if err != nil {
		return err
	}
	defer out.Close()
	fmt.Printf("feed: %d access units of %dx%d at %d a second into %s\n", len(units), width, height, fps, device)
	return play(out, units, interval)
}

// split cuts a clip in front of each delimiter.
func split(clip []byte) [][]byte {
	delimiter := []byte{0, 0, 0, 1, 9}
	var units [][]byte
	at := bytes.Index(clip, delimiter)
	for at >= 0 {
		next := bytes.Index(clip[at+1:], delimiter)
		if next < 0 {
			return append(units, clip[at:])
		}
		units = append(units, clip[at:at+1+next])
		at += 1 + next
	}
	return units
}

// play writes until it is killed or the device refuses.
func play(out *os.File, units [][]byte, interval time.Duration) error {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	told := make(chan os.Signal, 1) // full: it was told before
	signal.Notify(told, unix.SIGUSR1)
	for i := 0; ; i = (i + 1) % len(units) {
		if _, err := out.Write(units[i]); err != nil {
			return err
		}
		if len(told) > 0 && isIDR(units[i]) {
			<-told
			if err := unix.Kill(os.Getpid(), unix.SIGSTOP); err != nil {
				return err
			}
		}
		<-tick.C
	}
}

// isIDR reports whether an access unit has a slice of an IDR picture: nal_unit_type 5, and nal_ref_idc 3 as x264 writes it.
func isIDR(unit []byte) bool { return bytes.Contains(unit, []byte{0, 0, 1, 0x65}) }
