package trust_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"testing/iotest"
	"time"

	"github.com/ocellus/ocellus/ota/trust"
)

// repository is one story that both clients are told: a root that the client was made with, and what it finds each time
// that it looks. The mutation test copies this file beside its mutants.
type repository struct {
	Name, Class string
	Root        []byte
	Steps       []step
	Want        string  // the verdict of the last step: accepted, or a class of reasons
	Camera      *camera // nil: strict rules
}

// camera is what our client goes by at the last look, where that is not the standard to the letter.
type camera struct {
	Rules  trust.Rules
	Floor  time.Time
	System []byte // the root in its own system, where that is not the first one
}

// step is one look at a repository.
type step struct {
	Files  map[string]file // by path: metadata at the top, targets under targets/
	Now    time.Time
	Target string // what the client is after
}

// file is what a server answers.
type file struct {
	Data    []byte
	Endless bool // behind Data it never ends
	Stalls  bool // behind Data nothing comes any more
	Status  int  // of HTTP; 0: 200
}

var errCarrier = errors.New("the carrier gave up")

// read reads at most so many bytes and one more, as a carrier does.
func (f file) read(most int64) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(f.reader(), most+1))
	return data, err
}

func (f file) reader() io.Reader {
	switch {
	case f.Stalls, f.Status != 0:
		return io.MultiReader(bytes.NewReader(f.Data), iotest.ErrReader(errCarrier))
	case f.Endless:
		return io.MultiReader(bytes.NewReader(f.Data), spaces{})
	}
	return bytes.NewReader(f.Data)
}

// spaces is white space without an end.
type spaces struct{}

func (spaces) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}

// verdict is what a client says of one step.
type verdict struct {
	reason   string // "": accepted
	class    string // of the reason
	versions string // of root, timestamp, snapshot and targets, where it was accepted
	more     string // everything else that our client came to know
}

// judge tells a story to our client, step by step, and returns each verdict. What is trusted goes from step to step.
func judge(ctx context.Context, r repository) []verdict {
	t := trust.Trusted{Root: r.Root}
	var all []verdict
	for i, s := range r.Steps {
		rules, system := trust.Rules{Now: s.Now, Strict: true}, r.Root
		if r.Camera != nil && i == len(r.Steps)-1 {
			rules = r.Camera.Rules
			t.RaiseFloor(r.Camera.Floor)
			if r.Camera.System != nil {
				system = r.Camera.System
			}
		}
		t.RaiseFloor(time.Time{})
		var u trust.Update
		var sessions int
		var err error
		if t, u, sessions, err = refresh(ctx, t, rules, s); err == nil {
			err = t.Adopt(system) // as at the next boot: neither may lead back
		}
		if err == nil {
			err = download(s, u)
		}
		v := verdict{reason: reasonOf(err), class: classOf(err)}
		v.more = fmt.Sprintf("%q %d %+v %+v", u.Doubt, sessions, t, u)
		if err == nil {
			v.versions = fmt.Sprint(u.Root, u.Timestamp, u.Snapshot, u.Version)
		}
		all = append(all, v)
	}
	return all
}

// refresh goes on until there are no more roots, and returns how many sessions it took.
func refresh(ctx context.Context, t trust.Trusted, rules trust.Rules, s step) (trust.Trusted, trust.Update, int,
	error) {
	fetched := 0
	fetch := func(_ context.Context, want trust.File) ([]byte, error) {
		if fetched++; fetched > 500 {
			panic("asks for ever")
		}
		f, ok := s.Files[want.Name]
		if !ok {
			return nil, fs.ErrNotExist
		}
		return f.read(int64(want.Most))
	}
	for sessions := 1; ; sessions++ {
		var u trust.Update
		var err error
		t, u, err = trust.Refresh(ctx, t, rules, fetch)
		if !errors.Is(err, trust.ErrMore) {
			return t, u, sessions, err
		}
	}
}

func download(s step, u trust.Update) error {
	target, err := u.Find(s.Target)
	if err != nil {
		return err
	}
	f, ok := s.Files["targets/"+target.Path(u.Consistent)]
	if !ok {
		return trust.Missing
	}
	return target.Verify(f.reader())
}

func reasonOf(err error) string {
	if r := trust.ReasonOf(err); r != "" {
		return string(r)
	}
	if err != nil {
		return err.Error()
	}
	return ""
}

// classOf sorts our reasons into the classes that go-tuf's errors can be told apart by.
func classOf(err error) string {
	switch r := trust.ReasonOf(err); r {
	case trust.BadSignature, trust.Threshold:
		return "signatures"
	case trust.WrongVersion, trust.Rollback, trust.Changed:
		return "version"
	case trust.Malformed, trust.WrongRole, trust.SpecVersion:
		return "malformed"
	case trust.TooBig:
		return "size"
	case trust.Mismatch:
		return "hash"
	case "":
		if err != nil {
			return "carrier"
		}
		return "accepted"
	default:
		return strings.ReplaceAll(string(r), " ", "-") // expired, missing, no-such-target
	}
}

func (v verdict) String() string {
	return strings.Join(strings.Fields(fmt.Sprint(v.class, " ", v.versions)), " ")
}

// exact is all that our verdicts say.
func exact(all []verdict) []string {
	var s []string
	for _, v := range all {
		s = append(s, fmt.Sprint(v.reason, "|", v.versions, "|", v.more))
	}
	return s
}
