package lab

import (
	"bytes"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// page is an Improv page: bytes go out, and bytes come back.
type page struct {
	t    *testing.T
	port *os.File

	mu  sync.Mutex // guards got
	got bytes.Buffer
}

func openPage(t *testing.T, port string) *page {
	t.Helper()
	f, err := os.OpenFile(port, os.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	p := &page{t: t, port: f}
	ended := make(chan struct{})
	t.Cleanup(func() {
		_ = f.Close()
		<-ended
	})
	go func() {
		defer close(ended)
		b := make([]byte, 4096)
		for {
			n, err := f.Read(b)
			p.mu.Lock()
			p.got.Write(b[:n])
			p.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	return p
}

func (p *page) says(packet string) {
	p.t.Helper()
	raw, err := hex.DecodeString(packet)
	if err == nil {
		_, err = p.port.Write(append(raw, '\n'))
	}
	if err != nil {
		p.t.Fatal(err)
	}
}

func (p *page) heard(packet string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	raw, err := hex.DecodeString(packet)
	return err == nil && bytes.Contains(p.got.Bytes(), raw)
}

// What a page asks first, and what a camera says that waits for a network.
const (
	askState = "494d50524f560103020200e5"
	ready    = "0a494d50524f5601010102e20a"
)

// TestImprov: a page brings a camera without an owner into a network, by the published bytes; one that has an owner
// answers no page.
func TestImprov(t *testing.T) {
	t.Parallel()
	const (
		// The network of the published example is the one around the simulated board: HomeNet, p@ssw0rd!.
		settings = "494d50524f56010314011207486f6d654e657409704073737730726421fc"
		wrong    = "494d50524f56010314011207486f6d654e657409704073737730726422fd"
		trying   = "0a494d50524f5601010103e30a"
		joined   = "0a494d50524f5601010104e40a"
		noURL    = "0a494d50524f560104020100e50a"
		unable   = "0a494d50524f5601020103e40a"
	)
	c := newCable(t)
	a := startAgent(t, agentOptions{alone: true, hold: filepath.Join(t.TempDir(), "none.png"),
		args: []string{"--serial", c.camera}})
	p := openPage(t, c.port)
	until(t, 10*time.Second, "the camera is ready", func() bool { // which hears nothing before it has its port open
		p.says(askState)
		return p.heard(ready)
	})
	p.says(wrong)
	until(t, time.Minute, "the camera can't join", func() bool { return p.heard(trying) && p.heard(unable) })
	p.says(settings)
	until(t, time.Minute, "the camera is in the network", func() bool { return p.heard(joined) && p.heard(noURL) })
	a.pair(t)
	before, typed := p.packets(), p.length()
	p.says(askState)
	until(t, 10*time.Second, "the console takes it for text", func() bool { return p.length() > typed })
	if after := p.packets(); after != before {
		t.Errorf("a camera with an owner answers a page %d times", after-before)
	}
	_ = p.port.Close()
	for verb, want := range map[string]string{"status": `provisioned, network "HomeNet", address`, "scan": `"HomeNet"`} {
		r := tool(t, time.Minute, program("camctl"), "network", verb, "--home", a.home, c.port)
		if r.code != 0 || !strings.Contains(r.out, want) {
			t.Errorf("network %s over the line: %d %s%s", verb, r.code, r.out, r.errs)
		}
	}
}

// packets counts those of the camera's.
func (p *page) packets() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return bytes.Count(p.got.Bytes(), []byte("\nIMPROV\x01"))
}

func (p *page) length() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.got.Len()
}
