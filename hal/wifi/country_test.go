package wifi

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ocellus/ocellus/hal"
)

// lawless is a wpa_supplicant that tells changes alone, as 2.10 does, and the kernel behind it.
type lawless struct {
	told    string // wpa_supplicant's last word
	state   string // wpa_supplicant's
	follows string // the domains that the kernel knows

	mu     sync.Mutex // guards the rest
	kernel string     // in force
	next   string     // in force after some more looks
	looks  int
}

func (l *lawless) answer(request string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case request == "GET country" && l.told == "":
		return "FAIL\n"
	case request == "GET country":
		return l.told // no line end
	case request == "STATUS":
		return "wpa_state=" + l.state + "\n"
	}
	code, ok := strings.CutPrefix(request, "SET country ")
	if ok && code != l.told {
		l.told = code
		if strings.Contains(l.follows, code) {
			l.next, l.looks = code, 3
		}
	}
	return ""
}

// domain is what the kernel tells; it takes its time.
func (l *lawless) domain() (string, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.looks--; l.looks < 0 && l.next != "" {
		l.kernel, l.next = l.next, ""
	}
	return l.kernel, nil
}

func TestCountry(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name     string
		world    *lawless
		code     string
		want     error
		requests string // the countries that wpa_supplicant is told
	}{
		{"first", &lawless{kernel: "00", follows: "00 DE"}, "DE", nil, "DE"},
		{"again", &lawless{told: "DE", kernel: "DE", follows: "00 DE"}, "DE", nil, "DE"},
		{"another", &lawless{told: "DE", kernel: "DE", follows: "00 DE US"}, "US", nil, "US"},
		{"changed by somebody else", &lawless{told: "DE", kernel: "US", follows: "00 DE US"}, "DE", nil, "00 DE"},
		{"the world's", &lawless{told: "00", kernel: "DE", follows: "00 DE US"}, "00", nil, "US 00"},
		// Not a second time: the kernel asks user space for each of them.
		{"unknown", &lawless{kernel: "00", follows: "00 DE"}, "ZZ", hal.ErrCountry, "ZZ"},
		{"unknown again", &lawless{told: "ZZ", kernel: "00", follows: "00 DE"}, "ZZ", hal.ErrCountry, "00 ZZ"},
		{"unknown while joined", &lawless{kernel: "DE", follows: "00 DE", state: "COMPLETED"}, "ZZ", hal.ErrCountry,
			"ZZ 00 ZZ"},
		{"the network's stays", &lawless{kernel: "US", state: "COMPLETED"}, "DE", nil, "DE 00 DE"},
		{"joined, and changed", &lawless{told: "DE", kernel: "US", state: "COMPLETED"}, "DE", nil, "00 DE"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f := &fakeSupplicant{answers: c.world.answer}
			r := startFake(t, f)
			s, err := connect(r.control)
			if err != nil {
				t.Fatal(err)
			}
			defer s.close()
			inner, err := r.begin(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer inner.end()
			if err := s.attach(); err != nil {
				t.Fatal(err)
			}
			err = lawmaker{s, c.world.domain, time.Second}.set(inner, c.code)
			told := strings.ReplaceAll(strings.Join(f.heard("SET country "), " "), "SET country ", "")
			if !errors.Is(err, c.want) || told != c.requests {
				t.Errorf("got %v after %q, want %v after %q", err, told, c.want, c.requests)
			}
		})
	}
}
