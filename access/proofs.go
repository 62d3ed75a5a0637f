package access

import (
	"math/bits"
	"sync"
	"time"

	"github.com/ocellus/ocellus/internal/statefile"
)

// Wrong proofs are answered more and more slowly, and a power cut does not make anybody forget them.
const (
	freeProofs  = 3 // a mistyped label costs nothing
	firstWait   = 500 * time.Millisecond
	longestWait = 30 * time.Second
)

// proofs counts wrong proofs since the last right one. So that nobody wears the flash out by guessing, the count is
// stored only when it reaches a power of two: who guesses on after a power cut stands where he stood, or at half of it.
type proofs struct {
	file *statefile.File[lasting]

	mu    sync.Mutex // guards count
	count uint32
}

func newProofs(file *statefile.File[lasting], stored uint32) *proofs {
	return &proofs{file: file, count: stored}
}

func (p *proofs) wrong() {
	p.mu.Lock()
	p.count = min(p.count+1, 1<<31)
	count := p.count
	p.mu.Unlock()
	if bits.OnesCount32(count) == 1 {
		_ = p.file.Update(func(v *lasting) error { // a count that is not stored is no reason to answer at once
			v.Failures = count
			return nil
		})
	}
}

func (p *proofs) right() error {
	p.mu.Lock()
	count := p.count
	p.count = 0
	p.mu.Unlock()
	if count == 0 {
		return nil
	}
	return p.file.Update(func(v *lasting) error {
		v.Failures = 0
		return nil
	})
}

func (p *proofs) penalty() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.count <= freeProofs {
		return 0
	}
	return min(longestWait, firstWait<<min(p.count-freeProofs-1, 10))
}
