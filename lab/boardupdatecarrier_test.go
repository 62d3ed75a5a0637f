package lab

import (
	"os"
	"testing"
	"time"

	"github.com/ocellus/ocellus/lab/virt"
)

// TestBoardUpdateCard: whoever puts in a card with a bundle, in a partition called update, has it installed once.
func TestBoardUpdateCard(t *testing.T) {
	need(t, "sgdisk")
	eachArch(t, func(t *testing.T, arch string) {
		if arch != "arm64" {
			t.Skip("the way of a card differs by nothing from the others but who opens it")
		}
		p := newPublisher(t)
		base := p.pack(arch, "1.0.0")
		card := p.card(p.bundle(p.publish("qemu-virt-"+arch, p.pack(arch, "1.1.0").slot, "1.1.0")))
		b := virt.Boot(t, virt.Options{Arch: arch, Disk: base.disk, Args: []string{
			"-blockdev", "driver=raw,node-name=card,read-only=on,file.driver=file,file.filename=" + card,
			"-device", "virtio-blk-pci,drive=card,serial=card"}})
		s := &updated{slotStory: slotStory{b: b, arch: arch}, p: p, here: "a", other: "b", version: "1.0.0"}
		s.tried()
		b.Await(updateLimit)
		s.confirms(t, "1.1.0")
		b.Expect(`a card with an update.*reason="?(not newer|busy)`, updateLimit)
	})
}

// card is a disk with a GPT whose one partition holds a bundle and nothing before it.
func (p *publisher) card(bundle string) string {
	p.t.Helper()
	raw := readFile(p.t, bundle)
	const begin = 1 << 20
	out := p.path("card.img")
	if err := os.WriteFile(out, append(make([]byte, begin), raw...), 0o600); err != nil {
		p.t.Fatal(err)
	}
	if err := os.Truncate(out, begin+int64(len(raw))/begin*begin+3*begin); err != nil {
		p.t.Fatal(err)
	}
	if r := tool(p.t, time.Minute, "sgdisk", "-n", "1:2048:0", "-c", "1:update", out); r.code != 0 {
		p.t.Fatal(r.errs)
	}
	return out
}

// push sends a bundle as the owner's phone does.
func (s *updated) push(t *testing.T, bundle string) {
	t.Helper()
	s.b.Claim() // and where the door is now
	r := tool(t, updateLimit, program("camctl"), "ota", "push", "--home", s.b.Home(), "--now", "board", bundle)
	if r.code != 0 {
		t.Fatalf("push: %d %s%s", r.code, r.out, r.errs)
	}
}
