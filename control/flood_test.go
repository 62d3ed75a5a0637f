package control

import (
	"bytes"
	"sync"
	"testing"
	"time"

	"github.com/ocellus/ocellus/access"
)

// TestFlood: somebody who was granted something asks far more than he may, and says junk in the owner's name, as fast as a
// real broker takes it. The owner is served, and nothing of the junk is done.
func TestFlood(t *testing.T) {
	t.Parallel()
	m, c := openMosquitto(t)
	p := newPlace(t, c)
	grant(t, p.people, "bad", access.Member)
	p.connect()
	owner, bad := newPhone(t, p, "owner", m.address, nil), newPhone(t, p, "bad", m.address, nil)
	forged := p.sealed("owner", p.command("owner", "config.set", `{"bitrate":"9M"}`))
	forged.Raw[len(forged.Raw)-1] ^= 1
	stop := make(chan struct{})
	var all sync.WaitGroup
	for range 4 { // each waits for the broker, as it must
		all.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				p.mu.Lock()
				own := p.sealed("bad", p.command("bad", "status", ""))
				p.mu.Unlock()
				bad.client.Publish(string(own.Topic), 1, false, own.Raw)
				bad.client.Publish(string(own.Topic), 0, false, bytes.Repeat([]byte{0x91}, 60_000))
				_ = waitFor(bad.client.Publish(string(forged.Topic), 1, false, forged.Raw))
			}
		})
	}
	defer all.Wait()
	defer close(stop)
	eventually(t, "this is a flood", func() bool {
		refused := p.receiver.Refusals()
		return refused[CodeSignature] > 0 && refused[CodeBadMessage] > 0 && refused[CodeRateLimited] > 0
	})
	for range 10 {
		began := time.Now()
		if r := owner.call("status", ""); r.Code != CodeOK {
			t.Errorf("the owner: %s %s", r.Code, r.Text)
		}
		if took := time.Since(began); took > 20*time.Second {
			t.Errorf("the owner waits %v", took)
		}
	}
	for _, done := range p.table.list() {
		if done == "owner config.set 9M" {
			t.Error("the junk is done")
		}
	}
}
