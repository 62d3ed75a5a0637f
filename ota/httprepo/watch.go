package httprepo

import (
	"context"
	"sync"
	"time"
)

// watch ends a request on whose line less than a trickle comes.
type watch struct {
	ctx    context.Context
	cancel context.CancelFunc
	limits Limits

	mu    sync.Mutex // guards all below
	bytes int64      // in this window
	slow  bool
	ended bool
	timer *time.Timer
}

func newWatch(ctx context.Context, l Limits) *watch {
	w := &watch{limits: l}
	w.ctx, w.cancel = context.WithCancel(ctx)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.timer = time.AfterFunc(l.Window, w.look)
	return w
}

// look ends a window.
func (w *watch) look() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ended {
		return
	}
	if w.bytes < w.limits.Trickle {
		w.slow = true
		w.cancel()
		return
	}
	w.bytes = 0
	w.timer.Reset(w.limits.Window)
}

// came counts bytes.
func (w *watch) came(n int) {
	w.mu.Lock()
	w.bytes += int64(n)
	w.mu.Unlock()
}

func (w *watch) gaveUp() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.slow
}

func (w *watch) stop() {
	w.mu.Lock()
	w.ended = true
	w.timer.Stop()
	w.mu.Unlock()
	w.cancel()
}
