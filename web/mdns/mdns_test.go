package mdns

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

func advert() Advert {
	return Advert{
		Instance: "Ocellus 7K3M", Host: "ocellus-7k3m",
		Services: []Service{
			{"_ocellus._tcp", 8443, []string{"v=1", "state=claimed"}}, {"_rtsp._tcp", 8554, nil},
		},
	}
}

func all(t *testing.T) []record {
	t.Helper()
	list, err := advert().records([]netip.Addr{netip.MustParseAddr("192.0.2.7"), netip.MustParseAddr("2001:db8::7")})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func ask(name string, kind dnsmessage.Type, class dnsmessage.Class, known ...dnsmessage.Resource) []byte {
	n := dnsmessage.MustNewName(name)
	m := dnsmessage.Message{
		Header: dnsmessage.Header{ID: 7}, Questions: []dnsmessage.Question{{Name: n, Type: kind, Class: class}},
		Answers: known,
	}
	raw, err := m.Pack()
	if err != nil {
		panic(err)
	}
	return raw
}

// words spells records: "PTR _rtsp._tcp.local.".
func words(list []dnsmessage.Resource) string {
	var out []string
	for _, r := range list {
		out = append(out, strings.TrimPrefix(r.Header.Type.String(), "Type")+" "+r.Header.Name.String())
	}
	return strings.Join(out, ", ")
}

func reply(t *testing.T, raw []byte, port uint16) (dnsmessage.Message, bool) {
	t.Helper()
	q, err := parse(raw, port)
	if err != nil {
		return dnsmessage.Message{}, false
	}
	answers, further := q.answers(all(t))
	if len(answers) == 0 {
		return dnsmessage.Message{}, false
	}
	out, err := q.message(answers, further)
	if err != nil {
		return dnsmessage.Message{}, false
	}
	var m dnsmessage.Message
	if err := m.Unpack(out); err != nil {
		t.Fatal(err)
	}
	return m, true
}

func TestAnswers(t *testing.T) {
	t.Parallel()
	const (
		in       = dnsmessage.ClassINET
		instance = "Ocellus 7K3M._ocellus._tcp.local."
		host     = "ocellus-7k3m.local."
		led      = "SRV " + instance + ", TXT " + instance + ", A " + host + ", AAAA " + host
	)
	tests := []struct {
		name, asked    string
		kind           dnsmessage.Type
		class          dnsmessage.Class
		answers, extra string
	}{
		{"which cameras", "_ocellus._tcp.local.", dnsmessage.TypePTR, in, "PTR _ocellus._tcp.local.", led},
		{"in another case", "_OCELLUS._tcp.local.", dnsmessage.TypePTR, in, "PTR _ocellus._tcp.local.", led},
		{"which services", "_services._dns-sd._udp.local.", dnsmessage.TypePTR, in,
			"PTR _services._dns-sd._udp.local., PTR _services._dns-sd._udp.local.", ""},
		{"where", instance, dnsmessage.TypeSRV, in, "SRV " + instance, "A " + host + ", AAAA " + host},
		{"everything of it", instance, dnsmessage.TypeALL, in, "SRV " + instance + ", TXT " + instance,
			"A " + host + ", AAAA " + host},
		{"its address", host, dnsmessage.TypeA, dnsmessage.ClassANY, "A " + host, ""},
		{"another service", "_ipp._tcp.local.", dnsmessage.TypePTR, in, "", ""},
		{"another kind", host, dnsmessage.TypeMX, in, "", ""},
		{"another class", host, dnsmessage.TypeA, dnsmessage.ClassCHAOS, "", ""},
	}
	for _, tt := range tests {
		m, ok := reply(t, ask(tt.asked, tt.kind, tt.class), Port)
		if ok != (tt.answers != "") || words(m.Answers) != tt.answers || words(m.Additionals) != tt.extra {
			t.Errorf("%s: got %q and %q, want %q and %q", tt.name, words(m.Answers), words(m.Additionals), tt.answers, tt.extra)
		}
		if ok && (!m.Response || !m.Authoritative || m.ID != 0 || len(m.Questions) > 0) {
			t.Errorf("%s: header %+v", tt.name, m.Header)
		}
	}
}

func TestKnownAnswers(t *testing.T) {
	t.Parallel()
	name := dnsmessage.MustNewName("_rtsp._tcp.local.")
	known := dnsmessage.Resource{
		Header: dnsmessage.ResourceHeader{Name: name, Type: dnsmessage.TypePTR, TTL: ttlOther},
		Body:   &dnsmessage.PTRResource{PTR: dnsmessage.MustNewName("Ocellus 7K3M._rtsp._tcp.local.")},
	}
	question := func(k dnsmessage.Resource) []byte {
		return ask("_rtsp._tcp.local.", dnsmessage.TypePTR, dnsmessage.ClassINET, k)
	}
	if m, ok := reply(t, question(known), Port); ok {
		t.Errorf("what is known is answered: %s", words(m.Answers))
	}
	known.Header.TTL = ttlOther/2 - 1
	if _, ok := reply(t, question(known), Port); !ok {
		t.Error("what is known for a short time only is not answered")
	}
	known.Header.TTL = ttlOther
	known.Body = &dnsmessage.PTRResource{PTR: dnsmessage.MustNewName("Other._rtsp._tcp.local.")}
	if _, ok := reply(t, question(known), Port); !ok {
		t.Error("another's answer silences the camera")
	}
}

// TestLegacy: a plain resolver gets its id and question back and short times, and no cache-flush bit.
func TestLegacy(t *testing.T) {
	t.Parallel()
	m, ok := reply(t, ask("ocellus-7k3m.local.", dnsmessage.TypeA, dnsmessage.ClassINET), 40000)
	if !ok || m.ID != 7 || len(m.Questions) != 1 || m.Answers[0].Header.TTL > 10 ||
		m.Answers[0].Header.Class != dnsmessage.ClassINET {
		t.Errorf("got %+v", m)
	}
}

// TestNoAmplifier: an answer to one host is never much larger than its question.
func TestNoAmplifier(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"_ocellus._tcp.local.", "_services._dns-sd._udp.local.", "ocellus-7k3m.local."} {
		for _, port := range []uint16{Port, 40000} {
			raw := ask(name, dnsmessage.TypeALL, dnsmessage.ClassINET|wantsUnicast)
			q, err := parse(raw, port)
			if err != nil || !q.unicast {
				t.Fatal(err)
			}
			out, err := q.message(q.answers(all(t)))
			if err == nil && len(out) > maxUnicast*len(raw) {
				t.Errorf("%s, port %d: %d bytes for %d", name, port, len(out), len(raw))
			}
		}
	}
}

func TestNotForUs(t *testing.T) {
	t.Parallel()
	answer := ask("_ocellus._tcp.local.", dnsmessage.TypePTR, dnsmessage.ClassINET)
	answer[2] |= 0x80
	for name, raw := range map[string][]byte{
		"nothing": nil, "junk": []byte("junk"), "an answer": answer, "too long": make([]byte, maxQuestion+1),
	} {
		if _, err := parse(raw, Port); err == nil {
			t.Errorf("%s is a question", name)
		}
	}
}

func TestOtherLink(t *testing.T) {
	t.Parallel()
	l := &link{addresses: []netip.Prefix{netip.MustParsePrefix("192.0.2.7/24")}}
	for address, local := range map[string]bool{"192.0.2.200": true, "::ffff:192.0.2.9": true, "198.51.100.1": false} {
		if got := l.local(netip.MustParseAddr(address)); got != local {
			t.Errorf("%s: %v", address, got)
		}
	}
}

// TestQuiet: the same question has one multicast answer a second, and the memory for it is bounded.
func TestQuiet(t *testing.T) {
	t.Parallel()
	l, now := &link{recent: map[string]time.Time{}}, time.Now()
	for i, want := range []bool{true, false, false} {
		if got := l.due("a", now.Add(time.Duration(i)*quiet/3)); got != want {
			t.Errorf("question %d: due %v", i, got)
		}
	}
	if !l.due("a", now.Add(quiet)) || !l.due("b", now.Add(quiet)) {
		t.Error("not due after its time, or another question")
	}
	for i := range 10 * maxRecent {
		l.due(fmt.Sprint(i), now.Add(quiet))
	}
	if len(l.recent) > maxRecent {
		t.Errorf("%d questions remembered", len(l.recent))
	}
}

// TestSaidTwice: an announcement is repeated after a second, once; the newest one counts, and no other link's.
func TestSaidTwice(t *testing.T) {
	t.Parallel()
	begin := time.Now()
	after := func(d time.Duration) time.Time { return begin.Add(d) }
	still, l := &link{}, &link{repeat: after(again)}
	links := map[int]*link{1: still, 2: l}
	if got := wake(after(lookEvery), links); !got.Equal(after(again)) {
		t.Errorf("it wakes after %v, want %v", got.Sub(begin), again)
	}
	if got := wake(after(again/2), links); !got.Equal(after(again / 2)) {
		t.Errorf("it wakes after %v, want at the next look", got.Sub(begin))
	}
	said := 0
	for at := begin; at.Before(after(10 * again)); at = at.Add(again / 4) {
		if at.Equal(after(again / 2)) {
			l.repeat = at.Add(again) // announced anew before the first one was repeated
		}
		if still.repeats(at) || l.repeats(at) {
			said++
			if !at.Equal(after(3 * again / 2)) {
				t.Errorf("repeated after %v", at.Sub(begin))
			}
		}
	}
	if got := wake(after(lookEvery), links); said != 1 || !got.Equal(after(lookEvery)) {
		t.Errorf("repeated %d times, then it wakes after %v", said, got.Sub(begin))
	}
}

func TestSameAdvert(t *testing.T) {
	t.Parallel()
	other := advert()
	other.Services = slices.Clone(other.Services)
	other.Services[0].Text = []string{"v=1", "state=unclaimed"}
	if !sameAdvert(advert(), advert()) || sameAdvert(advert(), other) {
		t.Error("adverts are compared wrongly")
	}
	if _, err := (Advert{Instance: strings.Repeat("x", 300), Services: advert().Services}).records(nil); err == nil {
		t.Error("a name that is none")
	}
}

func FuzzQuestion(f *testing.F) {
	f.Add(ask("_ocellus._tcp.local.", dnsmessage.TypePTR, dnsmessage.ClassINET), uint16(Port))
	f.Add(ask("ocellus-7k3m.local.", dnsmessage.TypeALL, dnsmessage.ClassANY|wantsUnicast), uint16(1))
	f.Fuzz(func(t *testing.T, raw []byte, port uint16) {
		q, err := parse(raw, port)
		if err != nil {
			return
		}
		list, err := advert().records([]netip.Addr{netip.MustParseAddr("192.0.2.7")})
		if err != nil {
			t.Fatal(err)
		}
		out, err := q.message(q.answers(list))
		if err == nil && q.unicast && len(out) > maxUnicast*len(raw) {
			t.Errorf("%d bytes for %d", len(out), len(raw))
		}
		if err == nil && len(out) > 4096 {
			t.Errorf("%d bytes", len(out))
		}
	})
}
