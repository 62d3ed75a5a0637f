package lab

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ocellus/ocellus/lab/virt"
)

// Patience with an emulated camera: a device that comes back is opened after a back-off of four seconds at most, and the
// picture has to come through an emulated core.
const (
	faultTold = 15 * time.Second
	comesBack = 30 * time.Second
)

// rawCameraFails has a viewer connected while vivid does all that a camera can do wrong. It goes on in its session each
// time, the status says what is going on, and no picture is repeated.
func rawCameraFails(t *testing.T, b *virt.Board) {
	v := startViewer(t, b.URL("main"))
	v.more(10, comesBack, "pictures before anything fails")
	for _, fault := range []struct {
		name string
		does func(t *testing.T, b *virt.Board, v *viewer)
	}{
		{"driver unbound", unbound},
		{"device disconnected", disconnected},
		{"queue error", queueError},
		{"dropped buffers", dropped},
		{"damaged buffers", damaged},
		{"does not start", refusesToStart},
	} {
		b.Test(fault.name, func(t *testing.T) {
			fault.does(t, b, v)
			v.more(10, comesBack, "pictures after it")
			awaitState(t, b, faultTold, "live")
		})
	}
	v.goesOn()
	all := v.pictures()
	if n := len(slices.Compact(slices.Clone(all))); n != len(all) { // vivid writes its counter into each
		t.Errorf("%d of %d pictures are the one before again", len(all)-n, len(all))
	}
	t.Logf("%d pictures in one session", len(all))
}

// unbound takes the device from its driver and gives it back: another node, most often under another number.
func unbound(t *testing.T, b *virt.Board, v *viewer) {
	failures := figure(t, b, "ocellus_camera_failures_total")
	takeVivid(b)
	awaitState(t, b, faultTold, "failed", "stalled")
	if n := figure(t, b, "ocellus_camera_failures_total"); n <= failures {
		t.Errorf("%v failures told, %v before", n, failures)
	}
	v.goesOn()
	giveVivid(b)
}

// disconnected is vivid's own way to play a cable that is pulled: it is back when nobody has it open any more.
func disconnected(t *testing.T, b *virt.Board, v *viewer) { failsOnce(t, b, v, "Disconnect") }

// queueError breaks the streaming of a device that stays.
func queueError(t *testing.T, b *virt.Board, v *viewer) {
	failsOnce(t, b, v, "Inject Fatal Streaming Error")
}

// failsOnce presses a button of vivid after which the camera has to be opened anew.
func failsOnce(t *testing.T, b *virt.Board, v *viewer, button string) {
	t.Helper()
	starts := figure(t, b, "ocellus_camera_starts_total")
	press(t, b, button, "1")
	until(t, faultTold, "the camera is opened anew", func() bool {
		return figure(t, b, "ocellus_camera_starts_total") > starts
	})
	v.goesOn()
}

// dropped makes vivid leave out three buffers of ten: its counter goes on, and the agent tells.
func dropped(t *testing.T, b *virt.Board, v *viewer) {
	before, missed := faultsOf(t, b, "lost"), figure(t, b, ofStream("ocellus_stream_lost_total", "main"))
	press(t, b, "Percentage of Dropped Buffers", "30")
	v.more(20, comesBack, "pictures between those that are dropped")
	press(t, b, "Percentage of Dropped Buffers", "0")
	if n := faultsOf(t, b, "lost") - before; n < 5 {
		t.Errorf("%v lost pictures told of the camera", n)
	}
	if n := figure(t, b, ofStream("ocellus_stream_lost_total", "main")) - missed; n < 1 {
		t.Errorf("%v lost pictures told of the stream", n)
	}
}

// damaged makes vivid mark a buffer as damaged: it is told, and not shown.
func damaged(t *testing.T, b *virt.Board, v *viewer) {
	before := faultsOf(t, b, "corrupt")
	for range 3 {
		press(t, b, "Inject V4L2_BUF_FLAG_ERROR", "1")
	}
	until(t, faultTold, "the damaged buffer is told", func() bool { return faultsOf(t, b, "corrupt") > before })
}

// refusesToStart breaks the streaming, and the next start as well.
func refusesToStart(t *testing.T, b *virt.Board, v *viewer) {
	failures := figure(t, b, "ocellus_camera_failures_total")
	press(t, b, "Inject VIDIOC_STREAMON Error", "1")
	press(t, b, "Inject Fatal Streaming Error", "1")
	until(t, faultTold, "two failures are told", func() bool {
		return figure(t, b, "ocellus_camera_failures_total") >= failures+2
	})
	v.goesOn()
}

// press sets a control of vivid, wherever its node is now.
func press(t *testing.T, b *virt.Board, name, value string) {
	t.Helper()
	b.Hand("v4l2", "set", vividNode(t, b), name, value)
}

func vividNode(t *testing.T, b *virt.Board) string {
	t.Helper()
	name, _, _ := strings.Cut(b.Sh("cd /sys/class/video4linux && grep -l vivid-000-vid-cap */name"), "/")
	if name == "" {
		t.Fatal("vivid has no node")
	}
	return "/dev/" + name
}

// lookBack is how many pictures before the feeder was away are looked at as well.
const lookBack = 25

// codedCamera watches a camera that delivers H.264, whose feeder goes and comes back: soon, while the capture waits; late,
// when the agent has given it up; and one that hangs, whose last picture, an IDR, the driver offers at each new start.
// What is decoded is the clip, picture by picture.
func codedCamera(t *testing.T, b *virt.Board, clip string) {
	r := tool(t, time.Minute, "ffmpeg", append([]string{"-v", "error", "-i", clip}, hashes()...)...)
	inClip := framehashes(r.out)
	v := startViewer(t, b.URL("main"))
	v.more(30, comesBack, "pictures of the clip")
	for _, gone := range []struct {
		name  string
		gone  func()
		state string
		back  func()
	}{
		{"feeder back soon", func() { unfeed(b) }, "stalled", func() { feed(b) }},
		{"feeder back late", func() { unfeed(b) }, "failed", func() { feed(b) }},
		{"feeder hangs", func() { signalFeeder(b, "USR1") }, "starting", func() { signalFeeder(b, "CONT") }},
	} {
		b.Test(gone.name, func(t *testing.T) {
			missed := figure(t, b, ofStream("ocellus_stream_lost_total", "main"))
			v.more(lookBack+viewerLag, comesBack, "pictures before it")
			gone.gone()
			awaitState(t, b, comesBack, gone.state)
			before := len(v.pictures())
			v.goesOn()
			gone.back()
			v.more(40, comesBack, "pictures after the feeder came back")
			awaitState(t, b, faultTold, "live")
			shown := v.pictures()
			lost := figure(t, b, ofStream("ocellus_stream_lost_total", "main")) - missed
			playsOn(t, inClip, shown, before, lost > 0)
		})
	}
}

// playsOn says what of the pictures is not the clip going on, since shortly before the feeder was away: one break is
// allowed there. On a busy machine the loopback loses pictures, which the agent has told then; none may come twice.
func playsOn(t *testing.T, clip, got []string, broke int, lost bool) {
	t.Helper()
	first := max(0, broke-lookBack)
	last, breaks := slices.Index(clip, got[first]), 0
	for i := first + 1; i < len(got); i++ {
		at := slices.Index(clip, got[i])
		switch away := i >= broke && i <= broke+viewerLag; {
		case at >= 0 && at == (last+1)%len(clip):
		case got[i] == got[i-1]:
			t.Errorf("picture %d is shown twice", i)
		case away && at >= 0 && at%clipGOP == 0 && breaks == 0: // an IDR
			breaks++
		case !lost:
			t.Errorf("picture %d is number %d of the clip, after %d; the feeder was away before picture %d", i, at, last, broke)
		}
		last = at
	}
	t.Logf("%d pictures, %d breaks, pictures lost: %v", len(got)-first, breaks, lost)
}
