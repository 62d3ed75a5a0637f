package manifest

import (
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ocellus/ocellus/codec/cjson"
	"github.com/ocellus/ocellus/ota/trust"
)

// ErrNone: the target is no release. It may be a delta, or somebody else's.
var ErrNone = errors.New("no release")

// Parse reads what targets metadata says of a target. ErrNone means that it says nothing of a release; every other
// error wraps Malformed or Unknown.
func Parse(t trust.Target) (Release, error) {
	sum, _ := t.SHA256() // zero, which is no image's, where there is none
	return Read(t.Name, t.Length, sum, t.Custom)
}

// Read is Parse for a publisher, who has no signed target yet: what the custom part says of a file of a name, a length
// and a SHA-256.
func Read(name string, length int64, sum Sum, custom cjson.Value) (Release, error) {
	r, err := parse(name, custom)
	if err == nil && (r.Size != length || r.Sum != sum) {
		err = fmt.Errorf("%w: size or sha256 are not the target's", Malformed)
	}
	if err != nil && !errors.Is(err, ErrNone) {
		err = fmt.Errorf("release %s: %w", name, err)
	}
	return r, err
}

// Releases reads all releases of an update. Those that this camera can't read are told apart, so that one of them does
// not hide the others.
func Releases(u trust.Update) (good []Release, faults []error) {
	for _, t := range u.Targets {
		r, err := Parse(t)
		if err == nil {
			err = findDeltas(u, r)
		}
		switch {
		case err == nil:
			good = append(good, r)
		case !errors.Is(err, ErrNone):
			faults = append(faults, err)
		}
	}
	return good, faults
}

// findDeltas checks that the deltas of a release are targets with as many segments as was said.
func findDeltas(u trust.Update, r Release) error {
	for _, d := range r.Deltas {
		t, err := u.Find(d.Target)
		if err != nil {
			return fmt.Errorf("release %s: %w: %w", r.Target, Malformed, err)
		}
		if segments(t.Length) != int64(len(d.Segments)) {
			return fmt.Errorf("release %s: %w: delta %s has other segments", r.Target, Malformed, d.Target)
		}
	}
	return nil
}

func parse(name string, custom cjson.Value) (Release, error) {
	own, told := custom.Member("ocellus")
	if !told {
		return Release{}, ErrNone
	}
	in := &reader{object: own}
	if format := in.number("format", 1, 1<<30); in.err == nil && format != 1 {
		return Release{}, fmt.Errorf("%w: format %d", Unknown, format)
	}
	if kind := in.word("kind"); in.err == nil && kind != "slot" {
		return Release{}, fmt.Errorf("%w: kind %s", Unknown, kind)
	}
	r := in.release(name)
	return r, in.err
}

// release reads the members of a release.
func (in *reader) release(target string) Release {
	r := Release{
		Target: target, Compatible: in.words("compatible"), Slot: in.word("slot"), Needs: in.words("needs"),
		Version: in.version("version"), MinFloor: in.version("min_floor"), Bootloader: in.version("bootloader"),
		Size: in.number("size", 1, MaxSegments*Segment), Sum: in.sum("sha256"), Segments: in.sums("segments"),
		Notes: in.notes(), Severity: Severity(in.word("severity")),
		Downtime: time.Duration(in.number("downtime_s", 0, int64(maxDowntime/time.Second))) * time.Second,
		Rollout:  Rollout{Share: AllShare},
	}
	in.optional("storage", func(s *reader) {
		r.Storage = Storage{s.words("kinds"), s.number("slot_bytes", 0, 1<<50)}
	})
	in.optional("rollout", func(s *reader) {
		r.Rollout = Rollout{int(s.number("share", 0, AllShare)), s.time("start"), s.flag("halt")}
	})
	in.each("deltas", maxDeltas, func(s *reader) {
		r.Deltas = append(r.Deltas, Delta{s.sum("source"), s.number("source_size", 0, MaxSegments*Segment),
			s.short("target", maxName), s.sums("segments")})
	})
	in.check(r)
	return r
}

// check holds together what is said twice.
func (in *reader) check(r Release) {
	switch {
	case in.err != nil:
	case r.Version.IsZero():
		in.fault("version", "want one")
	case r.MinFloor.Compare(r.Version) > 0 || r.MinFloor.Pre != "":
		in.fault("min_floor", "want a version without a dash, at most the release's")
	case int64(len(r.Segments)) != segments(r.Size):
		in.fault("segments", "want one for each MiB")
	case !slices.Contains([]Severity{Routine, Important, Security}, r.Severity):
		in.fault("severity", "want routine, important or security")
	}
}

// reader reads the members of an object. Its first error stays.
type reader struct {
	object cjson.Value
	err    error
}

func (in *reader) fault(name, what string) {
	if in.err == nil {
		in.err = fmt.Errorf("%w: %s: %s", Malformed, name, what)
	}
}

// member returns a member that is of a kind; a missing one is null of that kind's zero value.
func (in *reader) member(name string, kind cjson.Kind) (v cjson.Value, told bool) {
	v, told = in.object.Member(name)
	if told && v.Kind() != kind {
		in.fault(name, "of another type")
	}
	return v, told
}

func (in *reader) number(name string, least, most int64) int64 {
	v, _ := in.member(name, cjson.Int)
	n, _ := v.Int()
	if n < least || n > most {
		in.fault(name, fmt.Sprintf("want %d to %d", least, most))
		return 0
	}
	return n
}

func (in *reader) word(name string) string { return in.short(name, maxWord) }

func (in *reader) short(name string, most int) string {
	v, _ := in.member(name, cjson.String)
	s, _ := v.Text()
	if !plain(s, most) {
		in.fault(name, "want a plain word")
	}
	return s
}

func (in *reader) words(name string) []string {
	v, _ := in.member(name, cjson.Array)
	if len(v.Items()) > maxWords {
		in.fault(name, "too many words")
		return nil
	}
	var all []string
	for _, item := range v.Items() {
		s, _ := item.Text()
		if !plain(s, maxWord) {
			in.fault(name, "want plain words")
		}
		all = append(all, s)
	}
	return all
}

// plain reports whether s is a short word of printable ASCII without a space.
func plain(s string, most int) bool {
	return s != "" && len(s) <= most && !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r >= 0x7f })
}

func (in *reader) version(name string) Version {
	v, told := in.member(name, cjson.String)
	if !told {
		return Version{}
	}
	s, _ := v.Text()
	version, err := ParseVersion(s)
	if err != nil || version.IsZero() {
		in.fault(name, "no version")
	}
	return version
}

func (in *reader) notes() string {
	v, _ := in.member("notes", cjson.String)
	s, _ := v.Text()
	if len(s) > maxNotes || strings.ContainsFunc(s, func(r rune) bool { return r < ' ' && r != '\n' || r == 0x7f }) {
		in.fault("notes", fmt.Sprintf("want at most %d bytes of text", maxNotes))
	}
	return s
}

func (in *reader) time(name string) time.Time {
	v, told := in.member(name, cjson.String)
	if !told {
		return time.Time{}
	}
	s, _ := v.Text()
	at, err := time.Parse(time.RFC3339, s)
	if err != nil || at.UTC().Format(time.RFC3339) != s {
		in.fault(name, "want a time such as 2030-12-31T23:59:59Z")
	}
	return at
}

func (in *reader) flag(name string) bool {
	v, _ := in.member(name, cjson.Bool)
	is, _ := v.Bool()
	return is
}

func (in *reader) sum(name string) Sum {
	v, _ := in.member(name, cjson.String)
	return in.digits(name, v)
}

func (in *reader) sums(name string) []Sum {
	v, _ := in.member(name, cjson.Array)
	if len(v.Items()) > MaxSegments {
		in.fault(name, "too many segments")
		return nil
	}
	var all []Sum
	for _, item := range v.Items() {
		all = append(all, in.digits(name, item))
	}
	return all
}

// digits reads a SHA-256 in lower-case hexadecimal.
func (in *reader) digits(name string, v cjson.Value) Sum {
	s, _ := v.Text()
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != len(Sum{}) || hex.EncodeToString(b) != s {
		in.fault(name, "want a SHA-256 in lower-case hexadecimal")
		return Sum{}
	}
	return Sum(b)
}

// optional reads an object that may be missing.
func (in *reader) optional(name string, read func(*reader)) {
	if v, told := in.member(name, cjson.Object); told {
		in.inside(v, read)
	}
}

// each reads the objects of a list that may be missing.
func (in *reader) each(name string, most int, read func(*reader)) {
	v, _ := in.member(name, cjson.Array)
	if len(v.Items()) > most {
		in.fault(name, "too many")
		return
	}
	for _, item := range v.Items() {
		if item.Kind() != cjson.Object {
			in.fault(name, "of another type")
		}
		in.inside(item, read)
	}
}

func (in *reader) inside(v cjson.Value, read func(*reader)) {
	s := &reader{object: v}
	read(s)
	if s.err != nil && in.err == nil {
		in.err = s.err
	}
}
