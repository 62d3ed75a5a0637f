package trust_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"testing"
	"time"

	"github.com/ocellus/ocellus/ota/trust"
)

// repository is one story that both clients are told: a root that the client was made with, and what it finds each time
// that it looks. The mutation test copies this file beside its mutants.
type repository struct {
	Name, Class string
	Root        []byte
	Steps       []step
	Want        string // the verdict of the last step: accepted, or a class of reasons
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
	if f.Stalls || f.Status != 0 {
		err = errCarrier
	}
	return data, err
}

func (f file) reader() io.Reader {
	if !f.Endless {
		return bytes.NewReader(f.Data)
	}
	return io.MultiReader(bytes.NewReader(f.Data), spaces{})
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
}

// judge tells a story to our client, step by step, and returns each verdict. What is trusted goes from step to step.
func judge(ctx context.Context, r repository, rules trust.Rules) []verdict {
	var t trust.Trusted
	var all []verdict
	if err := t.Adopt(r.Root); err != nil {
		return append(all, verdict{reason: reasonOf(err), class: classOf(err)})
	}
	for _, s := range r.Steps {
		rules.Now = s.Now
		var err error
		var u trust.Update
		t, u, err = refresh(ctx, t, rules, s)
		if err == nil {
			err = download(s, u)
		}
		v := verdict{reason: reasonOf(err), class: classOf(err)}
		if err == nil {
			v.versions = fmt.Sprint(u.Root, u.Timestamp, u.Snapshot, u.Version)
		}
		all = append(all, v)
	}
	return all
}

// refresh goes on until there are no more roots.
func refresh(ctx context.Context, t trust.Trusted, rules trust.Rules, s step) (trust.Trusted, trust.Update, error) {
	fetch := func(_ context.Context, want trust.File) ([]byte, error) {
		f, ok := s.Files[want.Name]
		if !ok {
			return nil, fs.ErrNotExist
		}
		return f.read(int64(want.Most))
	}
	for range 10 {
		var u trust.Update
		var err error
		t, u, err = trust.Refresh(ctx, t, rules, fetch)
		if !errors.Is(err, trust.ErrMore) {
			return t, u, err
		}
	}
	return t, trust.Update{}, trust.ErrMore
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
	if f.Stalls || f.Status != 0 {
		return errCarrier
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

// check is for a test that wants an error of ours to have a reason.
func check(t *testing.T, what string, err error, want trust.Reason) {
	t.Helper()
	if got := trust.ReasonOf(err); got != want {
		t.Errorf("%s: got %q (%v), want %q", what, got, err, want)
	}
}
