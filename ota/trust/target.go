package trust

import (
	"bytes"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"path"
	"slices"
	"strings"

	"github.com/ocellus/ocellus/codec/cjson"
)

// listing is what one piece of metadata says of another (TUF 1.0, 4.4: METAFILES).
type listing struct {
	version int64
	length  int64 // 0: not told
	hashes  hashes
}

// hashes are checksums by the names of their algorithms.
type hashes map[string][]byte

// listed reads what metadata says of a file.
func listed(body cjson.Value, name string) (listing, error) {
	all, _ := body.Member("meta")
	m, _ := all.Member(name)
	var l listing
	var err error
	if l.version, err = positive(m, "version"); err != nil {
		return listing{}, refuse(Malformed, "it names no version of %s", name)
	}
	if _, told := m.Member("length"); told {
		if l.length, err = positive(m, "length"); err != nil {
			return listing{}, err
		}
	}
	if h, told := m.Member("hashes"); told {
		l.hashes, err = readHashes(h)
	}
	return l, err
}

// check compares a file with what was said of it.
func (l listing) check(data []byte) error {
	if l.length > 0 && int64(len(data)) != l.length {
		return refuse(Mismatch, "%d bytes, want %d", len(data), l.length)
	}
	return l.hashes.check(bytes.NewReader(data), int64(len(data)))
}

// readHashes reads checksums, at least one.
func readHashes(v cjson.Value) (hashes, error) {
	if len(v.Names()) == 0 {
		return nil, refuse(Malformed, "no hashes")
	}
	h := hashes{}
	for _, name := range v.Names() {
		digits, _ := text(v, name)
		sum, err := hex.DecodeString(digits)
		if err != nil || digits == "" || strings.ToLower(digits) != digits {
			return nil, refuse(Malformed, "hash %.16q is not hexadecimal in lower case", name)
		}
		h[name] = sum
	}
	return h, nil
}

// check reads exactly size bytes and compares their checksums. One of an unknown algorithm proves nothing and is
// refused.
func (h hashes) check(r io.Reader, size int64) error {
	var all []io.Writer
	sums := map[string]hash.Hash{}
	for name := range h {
		switch name {
		case "sha256":
			sums[name] = sha256.New()
		case "sha512":
			sums[name] = sha512.New()
		default:
			return refuse(Mismatch, "unknown hash %.16q", name)
		}
		all = append(all, sums[name])
	}
	n, err := io.Copy(io.MultiWriter(all...), io.LimitReader(r, size+1))
	if err != nil {
		return err
	}
	switch {
	case n > size:
		return refuse(TooBig, "more than %d bytes", size)
	case n < size:
		return refuse(Mismatch, "%d bytes, want %d", n, size)
	}
	for name, sum := range sums {
		if got := sum.Sum(nil); !bytes.Equal(got, h[name]) {
			return refuse(Mismatch, "%s is %x, want %x", name, got, h[name])
		}
	}
	return nil
}

// Target is a file that targets metadata names.
type Target struct {
	Name   string      // slashes inside, no dots for directories
	Length int64       // bytes
	Custom cjson.Value // what the publisher says of it: package manifest reads it. Null: nothing
	hashes hashes
}

// SHA256 returns the target's SHA-256, not ok where its metadata has none.
func (t Target) SHA256() (sum [sha256.Size]byte, ok bool) {
	told := t.hashes["sha256"]
	copy(sum[:], told)
	return sum, len(told) == len(sum)
}

// Verify reads a whole target and compares it with its metadata. At most one byte more than its length is read.
func (t Target) Verify(r io.Reader) error { return about(t.Name, t.hashes.check(r, t.Length)) }

// Path is where a repository keeps the target, in the directory of the targets.
func (t Target) Path(consistent bool) string {
	if !consistent {
		return t.Name
	}
	sum := t.hashes["sha256"]
	if sum == nil {
		sum = t.hashes["sha512"]
	}
	dir, base := path.Split(t.Name)
	return fmt.Sprintf("%s%x.%s", dir, sum, base)
}

// Find returns the target of a name.
func (u Update) Find(name string) (Target, error) {
	i := slices.IndexFunc(u.Targets, func(t Target) bool { return t.Name == name })
	switch {
	case i >= 0:
		return u.Targets[i], nil
	case u.Delegates:
		return Target{}, &Refusal{Delegated, name, "the top-level targets do not name it"}
	}
	return Target{}, &Refusal{NoTarget, name, "the targets metadata does not name it"}
}

// readTargets reads the targets of targets metadata, sorted by name.
func readTargets(body cjson.Value) ([]Target, error) {
	list, _ := body.Member("targets")
	if list.Kind() != cjson.Object {
		return nil, refuse(Malformed, "no list of targets")
	}
	if n := len(list.Names()); n > MaxTargetList {
		return nil, refuse(Malformed, "%d targets, at most %d", n, MaxTargetList)
	}
	all := make([]Target, 0, len(list.Names()))
	for _, name := range list.Names() {
		v, _ := list.Member(name)
		t, err := readTarget(name, v)
		if err != nil {
			return nil, err
		}
		all = append(all, t)
	}
	return all, nil
}

func readTarget(name string, v cjson.Value) (Target, error) {
	if !plain(name) {
		return Target{}, refuse(Malformed, "target %.32q: want a plain relative path", name)
	}
	length, _ := v.Member("length")
	n, ok := length.Int()
	if !ok || n < 0 {
		return Target{}, refuse(Malformed, "target %.32q has no length", name)
	}
	told, _ := v.Member("hashes")
	sums, err := readHashes(told)
	if err != nil {
		return Target{}, err
	}
	custom, _ := v.Member("custom")
	return Target{Name: name, Length: n, Custom: custom, hashes: sums}, nil
}

// plain reports whether a name is one that can't be taken for anything but a path inside a directory.
func plain(name string) bool {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._+-/"
	return name != "" && len(name) <= 200 && path.Clean("/"+name) == "/"+name &&
		!strings.ContainsFunc(name, func(r rune) bool { return !strings.ContainsRune(letters, r) })
}

// delegates reports whether targets metadata names delegated roles.
func delegates(body cjson.Value) bool {
	d, _ := body.Member("delegations")
	list, _ := d.Member("roles")
	bins, _ := d.Member("succinct_roles")
	return len(list.Items())+len(bins.Names()) > 0
}
