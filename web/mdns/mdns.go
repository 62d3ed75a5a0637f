// Package mdns makes the camera known to its own link: multicast DNS (RFC 6762) with DNS-based service discovery (RFC
// 6763) for _ocellus._tcp and _rtsp._tcp. It says what a phone needs to find the camera and nothing else: the instance
// and the host have names that come from no serial number and no MAC address.
//
// It says what it has twice when that is new, a second apart (RFC 6762 8.3), and takes it back once (10.1).
//
// It answers what is asked and never more: no record that the question does not name or lead to, nothing that the asker
// lists as known (RFC 6762 7.1), nothing to a host of another link (11), and a multicast answer of the same question
// once a second at most (6). An answer to a single host is no larger than maxUnicast times its question, so that nobody
// can use a camera against a third.
package mdns

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"golang.org/x/net/dns/dnsmessage"
)

// Port is where multicast DNS lives.
const Port = 5353

// Group is where its questions and answers go.
func Group() netip.Addr { return netip.AddrFrom4([4]byte{224, 0, 0, 251}) }

// Times to live in seconds (RFC 6762 10).
const (
	ttlHost  = 120  // of what has the host's name in it
	ttlOther = 4500 // of everything else
)

const (
	maxQuestion  = 1500 // bytes; what does not fit a frame is not for us
	maxQuestions = 16   // of one message
	maxUnicast   = 4    // an answer to one host is at most so many times its question
	cacheFlush   = 1 << 15
	wantsUnicast = 1 << 15
)

// Service is something that the camera offers.
type Service struct {
	Type string // "_ocellus._tcp"
	Port uint16
	Text []string // KEY=VALUE, RFC 6763 6
}

// Advert is what the camera says of itself.
type Advert struct {
	Instance string // "Ocellus 7K3M", up to 63 bytes
	Host     string // "ocellus-7k3m", without .local
	Services []Service
}

// record is one that the camera has.
type record struct {
	name   dnsmessage.Name
	kind   dnsmessage.Type
	body   dnsmessage.ResourceBody
	ttl    uint32
	unique bool              // nobody else has a record of this name: the cache-flush bit
	leads  []dnsmessage.Name // whose records an asker wants next (RFC 6763 12)
}

// records lists all that there is to say on a link where the camera has these addresses.
func (a Advert) records(addresses []netip.Addr) ([]record, error) {
	b := &book{}
	host, all := b.name(a.Host+".local."), b.name("_services._dns-sd._udp.local.")
	for _, s := range a.Services {
		kind := b.name(s.Type + ".local.")
		instance := b.name(escape(a.Instance) + "." + s.Type + ".local.")
		text := s.Text
		if len(text) == 0 {
			text = []string{""}
		}
		b.list = append(b.list,
			record{all, dnsmessage.TypePTR, &dnsmessage.PTRResource{PTR: kind}, ttlOther, false, nil},
			record{kind, dnsmessage.TypePTR, &dnsmessage.PTRResource{PTR: instance}, ttlOther, false,
				[]dnsmessage.Name{instance, host}},
			record{instance, dnsmessage.TypeSRV, &dnsmessage.SRVResource{Port: s.Port, Target: host}, ttlHost, true,
				[]dnsmessage.Name{host}},
			record{instance, dnsmessage.TypeTXT, &dnsmessage.TXTResource{TXT: text}, ttlOther, true, nil})
	}
	for _, address := range addresses {
		r := record{host, dnsmessage.TypeAAAA, &dnsmessage.AAAAResource{AAAA: address.As16()}, ttlHost, true, nil}
		if address.Is4() {
			r.kind, r.body = dnsmessage.TypeA, &dnsmessage.AResource{A: address.As4()}
		}
		b.list = append(b.list, r)
	}
	return b.list, b.err
}

// book collects records and the first name that is none.
type book struct {
	list []record
	err  error
}

func (b *book) name(s string) dnsmessage.Name {
	n, err := dnsmessage.NewName(s)
	if err != nil && b.err == nil {
		b.err = fmt.Errorf("name %q: %w", s, err)
	}
	return n
}

// escape keeps an instance's name one label: dnsmessage splits at dots and knows no escape.
func escape(s string) string { return strings.ReplaceAll(s, ".", " ") }

// question is what somebody asked.
type question struct {
	id      uint16
	list    []dnsmessage.Question
	known   []dnsmessage.Resource
	size    int
	unicast bool // wants the answer for himself: all questions say so, or it did not come from Port (legacy)
	legacy  bool
}

var errNotForUs = errors.New("no question for us")

// parse reads a message that came from a port. Whatever is no question is errNotForUs.
func parse(raw []byte, fromPort uint16) (question, error) {
	q := question{size: len(raw), legacy: fromPort != Port}
	if len(raw) > maxQuestion {
		return q, errNotForUs
	}
	var p dnsmessage.Parser
	h, err := p.Start(raw)
	if err != nil || h.Response || h.OpCode != 0 {
		return q, errNotForUs
	}
	q.id = h.ID
	for len(q.list) < maxQuestions {
		one, err := p.Question()
		if errors.Is(err, dnsmessage.ErrSectionDone) {
			break
		}
		if err != nil {
			return q, errNotForUs
		}
		q.list = append(q.list, one)
	}
	q.unicast = q.legacy || len(q.list) > 0 && !slices.ContainsFunc(q.list, func(one dnsmessage.Question) bool {
		return one.Class&wantsUnicast == 0
	})
	if p.SkipAllQuestions() == nil {
		q.known, _ = p.AllAnswers() // what can't be read is not known
	}
	return q, nil
}

// answers picks the records that a question asks for, and what they lead to.
func (q question) answers(all []record) (answers, further []record) {
	for _, one := range q.list {
		class := one.Class &^ wantsUnicast
		if class != dnsmessage.ClassINET && class != dnsmessage.ClassANY {
			continue
		}
		for _, r := range all {
			asked := sameName(r.name, one.Name) && (one.Type == r.kind || one.Type == dnsmessage.TypeALL)
			if asked && !q.knows(r) && !has(answers, r) {
				answers = append(answers, r)
			}
		}
	}
	for i := 0; i < len(answers); i++ {
		for _, name := range answers[i].leads {
			for _, r := range all {
				if r.name == name && !has(answers, r) && !has(further, r) && !q.knows(r) {
					further = append(further, r)
				}
			}
		}
	}
	return answers, further
}

func has(list []record, r record) bool {
	return slices.ContainsFunc(list, func(o record) bool { return o.name == r.name && o.body == r.body })
}

func sameName(a, b dnsmessage.Name) bool { return strings.EqualFold(a.String(), b.String()) }

// knows reports whether the asker has this record already, with half of its time left at least.
func (q question) knows(r record) bool {
	return slices.ContainsFunc(q.known, func(k dnsmessage.Resource) bool {
		return sameName(k.Header.Name, r.name) && k.Header.Type == r.kind && k.Header.TTL >= r.ttl/2 &&
			sameBody(k.Body, r.body)
	})
}

func sameBody(a, b dnsmessage.ResourceBody) bool {
	pack := func(body dnsmessage.ResourceBody) []byte {
		root, _ := dnsmessage.NewName(".")
		m := dnsmessage.Message{Answers: []dnsmessage.Resource{{Header: dnsmessage.ResourceHeader{Name: root}, Body: body}}}
		raw, _ := m.Pack()
		return raw
	}
	return bytes.Equal(pack(a), pack(b))
}

// message writes answers as q wants them. Where it is for one host, what goes beyond maxUnicast times the question is
// left out: first what nobody asked for, then the answer as a whole.
func (q question) message(answers, further []record) ([]byte, error) {
	raw, err := q.pack(answers, further)
	if err == nil && q.unicast && len(raw) > maxUnicast*q.size {
		raw, err = q.pack(answers, nil)
	}
	if err == nil && q.unicast && len(raw) > maxUnicast*q.size {
		return nil, errNotForUs
	}
	return raw, err
}

func (q question) pack(answers, further []record) ([]byte, error) {
	m := dnsmessage.Message{Header: dnsmessage.Header{Response: true, Authoritative: true}}
	if q.legacy { // RFC 6762 6.7: as a server of plain DNS would
		m.ID, m.Questions = q.id, q.list
	}
	for _, r := range answers {
		m.Answers = append(m.Answers, q.resource(r))
	}
	for _, r := range further {
		m.Additionals = append(m.Additionals, q.resource(r))
	}
	return m.Pack()
}

func (q question) resource(r record) dnsmessage.Resource {
	h := dnsmessage.ResourceHeader{Name: r.name, Class: dnsmessage.ClassINET, TTL: r.ttl}
	switch {
	case q.legacy:
		h.TTL = min(h.TTL, 10)
	case r.unique:
		h.Class |= cacheFlush
	}
	return dnsmessage.Resource{Header: h, Body: r.body}
}
