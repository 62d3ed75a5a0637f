package main

import (
	"net/netip"
	"slices"
	"strings"

	"golang.org/x/net/dns/dnsmessage"
)

// Bounds of what is heard.
const (
	maxDNS      = 9000 // bytes of a message, RFC 6762 17
	maxHeard    = 256  // cameras; more on one link are somebody's joke
	maxResource = 64   // records of one message
)

// service is what a camera calls its door.
const service = "_ocellus._tcp.local."

// hearing is what was heard of the cameras of a link.
type hearing struct {
	list []heard // in the order in which they were heard
}

// heard is one camera, as far as it has told.
type heard struct {
	instance dnsmessage.Name // with the service
	host     string          // empty until SRV came
	port     uint16
	text     []string // nil until TXT came
	address  netip.Addr
	from     netip.Addr // who told its door
}

// question asks for cameras, and for what is not known of those that were heard. Several small questions make room for
// several small answers: nobody answers more than a question invites.
func (h *hearing) question() []byte {
	list := []dnsmessage.Question{asking(dnsmessage.MustNewName(service), dnsmessage.TypePTR)}
	for _, c := range h.list {
		if len(list) < 8 && (c.host == "" || c.text == nil) {
			list = append(list, asking(c.instance, dnsmessage.TypeSRV), asking(c.instance, dnsmessage.TypeTXT))
		}
	}
	raw, err := (&dnsmessage.Message{Questions: list}).Pack()
	if err != nil {
		panic(err) // meet takes no name that can't be packed
	}
	return raw
}

func asking(name dnsmessage.Name, kind dnsmessage.Type) dnsmessage.Question {
	return dnsmessage.Question{Name: name, Type: kind, Class: dnsmessage.ClassINET}
}

// read takes a message. news: there is a camera in it that was not heard before.
func (h *hearing) read(raw []byte, from netip.Addr) (news bool) {
	if len(raw) > maxDNS {
		return false
	}
	var p dnsmessage.Parser
	head, err := p.Start(raw)
	if err != nil || !head.Response || p.SkipAllQuestions() != nil {
		return false
	}
	list, err := p.AllAnswers()
	if err != nil {
		return false
	}
	if p.SkipAllAuthorities() == nil {
		more, _ := p.AllAdditionals() // what can't be read is not heard
		list = append(list, more...)
	}
	list = list[:min(len(list), maxResource)]
	before := len(h.list)
	for _, r := range list { // the names first: what is told of them may stand before them
		if ptr, ok := r.Body.(*dnsmessage.PTRResource); ok && strings.EqualFold(r.Header.Name.String(), service) {
			h.meet(ptr.PTR)
		}
	}
	for _, r := range list {
		h.tell(r, from)
	}
	return len(h.list) > before
}

func (h *hearing) meet(instance dnsmessage.Name) {
	known := slices.ContainsFunc(h.list, func(c heard) bool { return sameName(c.instance, instance) })
	if known || len(h.list) >= maxHeard || !strings.HasSuffix(strings.ToLower(instance.String()), "."+service) {
		return
	}
	q := dnsmessage.Message{Questions: []dnsmessage.Question{asking(instance, dnsmessage.TypeSRV)}}
	if _, err := q.Pack(); err == nil {
		h.list = append(h.list, heard{instance: instance})
	}
}

func sameName(a, b dnsmessage.Name) bool { return strings.EqualFold(a.String(), b.String()) }

// tell notes a record of a camera that was met.
func (h *hearing) tell(r dnsmessage.Resource, from netip.Addr) {
	for i := range h.list {
		c := &h.list[i]
		its := sameName(c.instance, r.Header.Name)
		switch body := r.Body.(type) {
		case *dnsmessage.SRVResource:
			if its {
				c.host, c.port, c.from = body.Target.String(), body.Port, from
			}
		case *dnsmessage.TXTResource:
			if its {
				c.text = body.TXT
			}
		case *dnsmessage.AResource:
			if strings.EqualFold(c.host, r.Header.Name.String()) {
				c.address = netip.AddrFrom4(body.A)
			}
		}
	}
}

// cameras lists those that told enough, by name. A camera that told no address is where it answered from.
func (h *hearing) cameras() []neighbour {
	var list []neighbour
	for _, c := range h.list {
		if c.host == "" || c.text == nil {
			continue
		}
		if !c.address.IsValid() {
			c.address = c.from
		}
		name := c.instance.String()
		list = append(list, neighbour{
			Name: printable(name[:len(name)-len("."+service)]), Address: netip.AddrPortFrom(c.address.Unmap(), c.port).String(),
			Claimed: slices.Contains(c.text, "state=claimed"),
		})
	}
	slices.SortFunc(list, func(a, b neighbour) int { return strings.Compare(a.Name+a.Address, b.Name+b.Address) })
	return list
}
