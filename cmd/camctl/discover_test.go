package main

import (
	"crypto/ed25519"
	"net/netip"
	"slices"
	"testing"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/ocellus/ocellus/codec/label"
)

// told is what a camera answers, as RFC 6763 has it.
func told(instance, host string, records ...string) []byte {
	name := dnsmessage.MustNewName(instance + "." + service)
	at := func(n dnsmessage.Name) dnsmessage.ResourceHeader {
		return dnsmessage.ResourceHeader{Name: n, Class: dnsmessage.ClassINET, TTL: 10}
	}
	all := map[string]dnsmessage.Resource{
		"PTR": {Header: at(dnsmessage.MustNewName(service)), Body: &dnsmessage.PTRResource{PTR: name}},
		"SRV": {Header: at(name), Body: &dnsmessage.SRVResource{Port: 8443, Target: dnsmessage.MustNewName(host)}},
		"TXT": {Header: at(name), Body: &dnsmessage.TXTResource{TXT: []string{"v=1", "state=claimed"}}},
		"new": {Header: at(name), Body: &dnsmessage.TXTResource{TXT: []string{"v=1", "state=unclaimed"}}},
		"A":   {Header: at(dnsmessage.MustNewName(host)), Body: &dnsmessage.AResource{A: [4]byte{192, 0, 2, 7}}},
	}
	m := dnsmessage.Message{Header: dnsmessage.Header{Response: true, Authoritative: true}}
	for _, r := range records {
		m.Answers = append(m.Answers, all[r])
	}
	raw, err := m.Pack()
	if err != nil {
		panic(err)
	}
	return raw
}

func TestHearing(t *testing.T) {
	t.Parallel()
	from := netip.MustParseAddr("192.0.2.9")
	for name, tt := range map[string]struct {
		messages [][]byte
		want     []neighbour
	}{
		"nothing": {nil, nil},
		"junk":    {[][]byte{nil, []byte("junk"), make([]byte, maxDNS+1)}, nil},
		"whole": {[][]byte{told("Ocellus A", "a.local.", "PTR", "SRV", "TXT", "A")},
			[]neighbour{{"Ocellus A", true, "192.0.2.7:8443", ""}}},
		"no address": {[][]byte{told("Ocellus A", "a.local.", "PTR", "SRV", "new")},
			[]neighbour{{"Ocellus A", false, "192.0.2.9:8443", ""}}},
		"in another order": {[][]byte{told("Ocellus A", "a.local.", "TXT", "SRV", "PTR")},
			[]neighbour{{"Ocellus A", true, "192.0.2.9:8443", ""}}},
		"one by one": {[][]byte{told("B", "b.local.", "PTR"), told("B", "b.local.", "SRV"), told("B", "b.local.", "TXT")},
			[]neighbour{{"B", true, "192.0.2.9:8443", ""}}},
		"not whole":  {[][]byte{told("B", "b.local.", "PTR"), told("B", "b.local.", "SRV")}, nil},
		"nobody met": {[][]byte{told("B", "b.local.", "SRV", "TXT", "A")}, nil},
		"for a terminal": {[][]byte{told("B\x1b[2J", "b.local.", "PTR", "SRV", "TXT")},
			[]neighbour{{"B?[2J", true, "192.0.2.9:8443", ""}}},
		"two, and one again": {[][]byte{told("B", "b.local.", "PTR", "SRV", "TXT"), told("b", "b.local.", "PTR"),
			told("A", "a.local.", "PTR", "SRV", "TXT")},
			[]neighbour{{"A", true, "192.0.2.9:8443", ""}, {"B", true, "192.0.2.9:8443", ""}}},
	} {
		h := &hearing{}
		for _, m := range tt.messages {
			h.read(m, from)
		}
		if got := h.cameras(); !slices.Equal(got, tt.want) {
			t.Errorf("%s: got %+v, want %+v", name, got, tt.want)
		}
	}
}

// TestQuestion: what is known is not asked again.
func TestQuestion(t *testing.T) {
	t.Parallel()
	h := &hearing{}
	asked := func() (n int) {
		var m dnsmessage.Message
		if err := m.Unpack(h.question()); err != nil {
			t.Fatal(err)
		}
		return len(m.Questions)
	}
	if n := asked(); n != 1 {
		t.Errorf("%d questions at first", n)
	}
	if !h.read(told("A", "a.local.", "PTR"), netip.Addr{}) || h.read(told("A", "a.local.", "PTR"), netip.Addr{}) {
		t.Error("a camera is news once")
	}
	if n := asked(); n != 3 {
		t.Errorf("%d questions, want its door and its state, too", n)
	}
	h.read(told("A", "a.local.", "SRV", "TXT"), netip.Addr{})
	if n := asked(); n != 1 {
		t.Errorf("%d questions in the end", n)
	}
}

func TestYours(t *testing.T) {
	t.Parallel()
	key := make([]byte, ed25519.PublicKeySize)
	name := "Ocellus " + label.FingerprintOf(key).String()[:6]
	h := home{Cameras: map[string]pairedCamera{"door": {Operational: key}}}
	for n, want := range map[neighbour]string{
		{Name: name, Claimed: true}: "door", {Name: name}: "", {Name: "Ocellus ZZZZZZ", Claimed: true}: "",
		{Name: "Ocellus ", Claimed: true}: "", {Claimed: true}: "",
	} {
		if got := h.called(n); got != want {
			t.Errorf("%+v: %q, want %q", n, got, want)
		}
	}
}

func FuzzHearing(f *testing.F) {
	f.Add(told("Ocellus A", "a.local.", "PTR", "SRV", "TXT", "A"))
	f.Add([]byte("junk"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		h := &hearing{}
		h.read(raw, netip.AddrFrom4([4]byte{192, 0, 2, 1}))
		h.read(raw, netip.AddrFrom4([4]byte{192, 0, 2, 1}))
		if len(h.list) > maxResource || len(h.question()) > 4096 {
			t.Error("one message made too much of itself")
		}
		_ = h.cameras()
	})
}
