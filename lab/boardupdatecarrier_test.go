package lab

import (
	"os"
	"testing"
	"time"

	"github.com/ocellus/ocellus/lab/virt"
)

// cardSize is that of the lab's cards, in bytes.
const cardSize = 64 << 20

// cardSlot is a slot for cards of a board that is not on yet, with an empty card in it.
func (p *publisher) cardSlot(o *virt.Options) {
	p.t.Helper()
	card := p.path("inserted")
	if err := os.WriteFile(card, nil, 0o600); err != nil {
		p.t.Fatal(err)
	}
	if err := os.Truncate(card, cardSize); err != nil {
		p.t.Fatal(err)
	}
	o.Args = append(o.Args,
		"-blockdev", "driver=raw,node-name=card,read-only=on,file.driver=file,file.filename="+card,
		"-device", "virtio-blk-pci,drive=card,serial=card")
}

// insert gives the card another content, and has the board's kernel look at it as at one that was put in.
func (s *updated) insert(t *testing.T, content []byte) {
	t.Helper()
	f, err := os.OpenFile(s.p.path("inserted"), os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt(content, 0); err != nil {
		t.Fatal(err)
	}
	s.b.Sh("d=$(grep -lx card /sys/block/*/serial) && d=${d%/serial} && blockdev --rereadpt /dev/${d##*/}")
}

// card is the content of a card: a GPT whose one partition, called update, holds a bundle and nothing before it.
func (p *publisher) card(bundle string) []byte {
	p.t.Helper()
	raw := readFile(p.t, bundle)
	const begin = 1 << 20
	out := p.path("card.img")
	if err := os.WriteFile(out, append(make([]byte, begin), raw...), 0o600); err != nil {
		p.t.Fatal(err)
	}
	if err := os.Truncate(out, cardSize); err != nil {
		p.t.Fatal(err)
	}
	if r := tool(p.t, time.Minute, "sgdisk", "-n", "1:2048:0", "-c", "1:update", out); r.code != 0 {
		p.t.Fatal(r.errs)
	}
	return readFile(p.t, out)
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
