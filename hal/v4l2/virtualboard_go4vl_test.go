//go:build cgo

package v4l2

import "testing"

// TestBoardGo4vlStack shows why go4vl.go makes a stack of its own: called at many depths, on stacks that are just about
// to grow, a bare wrapper loses the kernel's answer without an error, and the steady one never does.
func TestBoardGo4vlStack(t *testing.T) {
	load(t, "vivid", "n_devs=1", "node_types=0x1")
	n := found(t, "vivid", capturing)
	k, err := openNode(n.Path)
	if err != nil {
		t.Fatal(err)
	}
	defer k.close()
	fd := uintptr(k.(*node).fd)
	const depths = 150
	wrong := func(ask func(p *pixFormat) error) (n int) {
		for depth := range depths {
			done := make(chan struct{})
			go func() {
				defer close(done)
				dive(depth, func() {
					var p pixFormat
					if err := ask(&p); err != nil || p.width == 0 {
						n++
					}
				})
			}()
			<-done
		}
		return n
	}
	bare := wrong(func(p *pixFormat) error { return go4vlReadFormat(fd, p) })
	steady := wrong(func(p *pixFormat) (err error) {
		done := make(chan struct{})
		go func() {
			defer close(done)
			withSteadyStack(func() { err = go4vlReadFormat(fd, p) })
		}()
		<-done
		return err
	})
	t.Logf("answers lost at %d depths: %d bare, %d on a steady stack", depths, bare, steady)
	if steady != 0 {
		t.Errorf("%d answers were lost", steady)
	}
}

// dive calls f with the stack about n*100 bytes deeper.
func dive(n int, f func()) {
	var pad [64]byte
	if n == 0 {
		f()
		return
	}
	dive(n-1, f)
	touch(pad[:])
}
