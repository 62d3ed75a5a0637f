package lab

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/ocellus/ocellus/lab/virt"
)

// timeServer tells every client a time that is ahead of ours (RFC 5905, 7.3), and returns its port.
func timeServer(t *testing.T, ahead time.Duration) string {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for b := make([]byte, 512); ; {
			n, from, err := conn.ReadFrom(b)
			if err != nil {
				return
			}
			if n < 48 {
				continue
			}
			p := make([]byte, 48)
			p[0], p[1] = 4<<3|4, 2 // version 4, server, stratum 2
			copy(p[24:32], b[40:48])
			now := time.Now().Add(ahead)
			for _, at := range []int{32, 40} { // received, sent: seconds since 1900, and 2^32 parts of one
				binary.BigEndian.PutUint32(p[at:], uint32(now.Unix()+2208988800)) //nolint:gosec // an era has 32 bits
				binary.BigEndian.PutUint32(p[at+4:], uint32(uint64(now.Nanosecond())<<32/1e9))
			}
			_, _ = conn.WriteTo(p, from)
		}
	}()
	t.Cleanup(func() { _ = conn.Close(); <-ended })
	_, port, _ := net.SplitHostPort(conn.LocalAddr().String())
	return port
}

// boardClock: a board that nobody told the time does not believe its clock, and says so; two servers that agree set it, and
// then it says by how much it may be wrong.
func boardClock(t *testing.T, b *virt.Board) {
	type clock struct {
		Set     bool  `json:"clock_set"`
		ErrorMS int64 `json:"clock_error_ms"`
	}
	says := func() (c clock) {
		raw := b.Camctl("call", "board", "control.status")
		if err := json.Unmarshal([]byte(raw), &c); err != nil {
			t.Fatalf("%v: %s", err, raw)
		}
		return c
	}
	b.Claim() // where it is reached now
	if c := says(); c.Set || c.ErrorMS != 0 {
		t.Errorf("before anybody told it the time: %+v", c)
	}
	const ahead = time.Minute // a command of ours is not too old there
	const host = "10.0.2.2"   // QEMU's user network: this machine's loopback
	config := fmt.Sprintf("schema: 1\ncontrol: {time_servers: \"%s:%s,%s:%s\"}\n", host, timeServer(t, ahead), host,
		timeServer(t, ahead+time.Second/2))
	b.Put("/data/agent/config.yaml", []byte(config), 0o644)
	b.Sh("kill " + agentPID(b))
	b.Expect(`init: .* agent ended`, playLimit)
	b.Expect(`init: .* agent started`, playLimit)
	answers(t, b)
	var c clock
	until(t, playLimit, "the clock is set", func() bool {
		<-time.After(200 * time.Millisecond) // no faster than a camera lets anybody ask
		c = says()
		return c.Set
	})
	if c.ErrorMS < 1500 || c.ErrorMS > 3000 {
		t.Errorf("it may be wrong by %d ms, it says", c.ErrorMS)
	}
	var seconds int64
	_, _ = fmt.Sscan(strings.TrimSpace(b.Sh("date +%s")), &seconds)
	if off := time.Until(time.Unix(seconds, 0).Add(-ahead)).Abs(); off > 10*time.Second {
		t.Errorf("the board's clock is off by %v", off)
	}
}
