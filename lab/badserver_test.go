package lab

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// images answers requests for images in place of the repository, and notes from which byte on each was asked for.
type images struct {
	answer func(n int, raw []byte, w http.ResponseWriter, r *http.Request) // n counts the requests, from 1 on

	mu   sync.Mutex // guards from
	from []int64
}

// misserve lets the publisher's images be served by somebody else.
func (p *publisher) misserve(answer func(n int, raw []byte, w http.ResponseWriter, r *http.Request)) *images {
	i := &images{answer: answer}
	p.spoil(func(w http.ResponseWriter, r *http.Request) bool {
		raw, err := os.ReadFile(filepath.Join(p.path("repo"), r.URL.Path))
		if err != nil || !strings.HasSuffix(r.URL.Path, ".img") {
			return false
		}
		i.answer(i.note(r), raw, w, r)
		return true
	})
	return i
}

func (i *images) note(r *http.Request) int {
	var from int64
	_, _ = fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-", &from) // none: from the beginning
	i.mu.Lock()
	defer i.mu.Unlock()
	i.from = append(i.from, from)
	return len(i.from)
}

// asked are the bytes from which on images were asked for.
func (i *images) asked() []int64 {
	i.mu.Lock()
	defer i.mu.Unlock()
	return slices.Clone(i.from)
}

func serveBytes(w http.ResponseWriter, r *http.Request, raw []byte) {
	http.ServeContent(w, r, "image", time.Time{}, bytes.NewReader(raw))
}

// faults are those of a CDN that never come right: each is given up and told.
func (c *corpusRig) faults(t *testing.T) {
	c.endless(t)
	c.gone(t)
	c.elsewhere(t)
	c.swappedAfterCheck(t)
	c.busy(t)
	c.slow(t)
}

// mended are those that come right: what is wrong once is fetched once more.
func (c *corpusRig) mended(t *testing.T) {
	c.slotSwapped(t)
	c.rangeIgnored(t)
	c.flipped(t)
}

// endless: metadata of 10 GB, of which no more is read than may be there.
func (c *corpusRig) endless(t *testing.T) {
	c.p.spoil(func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path != "/timestamp.json" {
			return false
		}
		w.Header().Set("Content-Length", fmt.Sprint(int64(10<<30)))
		for space := bytes.Repeat([]byte(" "), 64<<10); ; {
			if _, err := w.Write(space); err != nil {
				return true
			}
		}
	})
	c.fails(t, "10 GB", "too big")
}

// fails wants an install to fail for a reason.
func (c *corpusRig) fails(t *testing.T, what, want string) {
	t.Helper()
	if r := c.ota(t, "install", c.p.url); r.code != 1 || !strings.Contains(r.errs, want) {
		t.Errorf("%s: %d %s%s, want %q", what, r.code, r.out, r.errs, want)
	}
}

func (c *corpusRig) gone(t *testing.T) {
	c.p.misserve(func(_ int, _ []byte, w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "gone", http.StatusNotFound)
	})
	c.fails(t, "404 for ever", "404")
}

func (c *corpusRig) elsewhere(t *testing.T) {
	c.p.misserve(func(_ int, _ []byte, w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://192.0.2.7/evil.img", http.StatusFound)
	})
	c.fails(t, "another host", "redirect to another place")
}

// swappedAfterCheck: the image is another one once the camera has looked and found all well.
func (c *corpusRig) swappedAfterCheck(t *testing.T) {
	c.p.spoil(nil)
	if r := c.ota(t, "check", c.p.url); r.code != 0 {
		t.Errorf("check: %s%s", r.out, r.errs)
	}
	i := c.p.misserve(func(_ int, raw []byte, w http.ResponseWriter, r *http.Request) {
		serveBytes(w, r, static(len(raw)))
	})
	c.fails(t, "swapped after the check", "bad segment")
	if want := []int64{0, 0, 0}; !slices.Equal(i.asked(), want) {
		t.Errorf("asked from %v, want %v", i.asked(), want)
	}
}

// busy: a server that says 503 for ever is asked five times; meanwhile the camera tells what it does, and obeys who
// stops it.
func (c *corpusRig) busy(t *testing.T) {
	i := c.p.misserve(func(_ int, _ []byte, w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "busy", http.StatusServiceUnavailable)
	})
	c.cancelled(t, "503 for ever")
	before := len(i.asked())
	c.fails(t, "503 for ever", "503")
	if n := len(i.asked()) - before; n != 5 {
		t.Errorf("503 for ever: asked %d times, want 5", n)
	}
}

// slow: one byte a second. How it is given up is httprepo's test; here somebody stops it.
func (c *corpusRig) slow(t *testing.T) {
	c.p.misserve(func(_ int, raw []byte, w http.ResponseWriter, r *http.Request) {
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for n := range raw {
			if _, err := w.Write(raw[n : n+1]); err != nil || http.NewResponseController(w).Flush() != nil {
				return
			}
			select {
			case <-r.Context().Done():
				return
			case <-tick.C:
			}
		}
	})
	c.cancelled(t, "slow loris")
}

// cancelled begins an install that comes to nothing, and stops it.
func (c *corpusRig) cancelled(t *testing.T, what string) {
	t.Helper()
	done := make(chan ran, 1)
	go func() { done <- c.ota(t, "install", c.p.url) }()
	until(t, time.Minute, what+": the camera says that it writes", func() bool {
		s, ok := c.otaStatus(t)
		return ok && s.State == "writing"
	})
	if r := c.ota(t, "cancel"); r.code != 0 {
		t.Errorf("%s: cancel: %d %s%s", what, r.code, r.out, r.errs)
	}
	if r := <-done; r.code != 1 || !strings.Contains(r.errs, "cancel") {
		t.Errorf("%s: cancelled: %d %s%s", what, r.code, r.out, r.errs)
	}
}

// slotSwapped: the other slot is another one once it was verified and armed. The boot loader finds it out.
func (c *corpusRig) slotSwapped(t *testing.T) {
	c.p.spoil(nil)
	if r := c.ota(t, "install", c.p.url); r.code != 0 { // the restart waits until nobody has watched for a while
		t.Fatalf("install: %s%s", r.out, r.errs)
	}
	c.spoilSlot(t)
	c.becomes(t, "1.0.0", "failed 1.2.0 image does not boot")
}

func (c *corpusRig) otherSlot() string { return filepath.Join(c.state, "sim", "slot-b.img") }

// spoilSlot writes over all of the other slot, so that no segment of it is good.
func (c *corpusRig) spoilSlot(t *testing.T) {
	t.Helper()
	f, err := os.OpenFile(c.otherSlot(), os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt(static(9<<20), 0); err != nil {
		t.Fatal(err)
	}
}

// rangeIgnored: the connection breaks in the middle, and the server sends the whole image again. It costs the way there
// and nothing else.
func (c *corpusRig) rangeIgnored(t *testing.T) {
	i := c.p.misserve(func(n int, raw []byte, w http.ResponseWriter, _ *http.Request) {
		if n == 1 {
			w.Header().Set("Content-Length", fmt.Sprint(len(raw)))
			_, _ = w.Write(raw[:3<<20])
			panic(http.ErrAbortHandler)
		}
		_, _ = w.Write(raw)
	})
	if r := c.ota(t, "install", c.p.url); r.code != 0 {
		t.Fatalf("range ignored: %d %s%s", r.code, r.out, r.errs)
	}
	if from := i.asked(); len(from) != 2 || from[1] < 1<<20 || from[1] > 3<<20 {
		t.Errorf("range ignored: asked from %v", from)
	}
	if r := c.ota(t, "cancel"); r.code != 0 {
		t.Errorf("cancel: %d %s%s", r.code, r.out, r.errs)
	}
	c.spoilSlot(t)
}

// flipped: a byte is wrong once. The camera asks again from the beginning of its MiB on.
func (c *corpusRig) flipped(t *testing.T) {
	const at = 5<<20 + 4711
	i := c.p.misserve(func(n int, raw []byte, w http.ResponseWriter, r *http.Request) {
		if n == 1 {
			raw[at] ^= 1
		}
		serveBytes(w, r, raw)
	})
	if r := c.ota(t, "install", "--now", c.p.url); r.code != 0 {
		t.Fatalf("a byte flipped once: %d %s%s", r.code, r.out, r.errs)
	}
	if want := []int64{0, at >> 20 << 20}; !slices.Equal(i.asked(), want) {
		t.Errorf("a byte flipped once: asked from %v, want %v", i.asked(), want)
	}
	c.becomes(t, "1.2.0", "confirmed 1.2.0")
}
