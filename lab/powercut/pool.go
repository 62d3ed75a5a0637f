package powercut

import (
	"runtime"
	"sync"
)

// pool does jobs on all processors. do waits while all are busy, so that few disks are held at a time.
type pool struct {
	jobs chan func() error // no buffer: the sender waits
	done sync.WaitGroup
	mu   sync.Mutex // guards err
	err  error      // the first one
}

func newPool() *pool {
	p := &pool{jobs: make(chan func() error)}
	for range runtime.NumCPU() {
		p.done.Go(func() {
			for job := range p.jobs {
				if err := job(); err != nil {
					p.fail(err)
				}
			}
		})
	}
	return p
}

func (p *pool) do(job func() error) { p.jobs <- job }

func (p *pool) fail(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err == nil {
		p.err = err
	}
}

// failed returns the first error.
func (p *pool) failed() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err
}

// wait ends the pool.
func (p *pool) wait() error {
	close(p.jobs)
	p.done.Wait()
	return p.failed()
}
