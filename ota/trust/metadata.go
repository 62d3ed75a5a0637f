package trust

import (
	"encoding/hex"
	"strings"
	"time"

	"github.com/ocellus/ocellus/codec/cjson"
)

// The roles of TUF that every root names.
const (
	rootRole      = "root"
	timestampRole = "timestamp"
	snapshotRole  = "snapshot"
	targetsRole   = "targets"
)

// Bounds of every file, in bytes, and of what is in it. A target has the size that its metadata says.
const (
	MaxRoot       = 64 << 10
	MaxTimestamp  = 16 << 10
	MaxSnapshot   = 64 << 10
	MaxTargets    = 1 << 20
	MaxSignatures = 64  // of one file
	MaxKeys       = 128 // of one root
	MaxRoleKeys   = 64  // of one role
	MaxTargetList = 2048
)

// envelope is what all metadata has in common (TUF 1.0, 4.2 and 4.3).
type envelope struct {
	body       cjson.Value // "signed"
	size       int         // of the whole file, in bytes: the canonical form is no longer
	signatures map[string][]byte
	version    int64
	expires    time.Time
	issued     time.Time // ours, zero where it is not there: when the publisher signed
}

// open reads metadata of a role, whose size was bounded. Nothing in it is trusted yet.
func open(data []byte, role string) (envelope, error) {
	file, err := cjson.Parse(data)
	if err != nil {
		return envelope{}, refuse(Malformed, "%v", err)
	}
	signed, _ := file.Member("signed")
	if kind, _ := text(signed, "_type"); kind != role {
		return envelope{}, refuse(WrongRole, "its type is %.32q", kind)
	}
	if v, _ := text(signed, "spec_version"); !strings.HasPrefix(v, "1.") {
		return envelope{}, refuse(SpecVersion, "its spec_version is %.32q, want 1.x", v)
	}
	e := envelope{body: signed, size: len(data)}
	if e.version, err = positive(signed, "version"); err != nil {
		return envelope{}, err
	}
	if e.expires, err = instant(signed, "expires"); err != nil {
		return envelope{}, err
	}
	if _, told := signed.Member("issued"); told {
		if e.issued, err = instant(signed, "issued"); err != nil {
			return envelope{}, err
		}
	}
	e.signatures, err = signatures(file)
	return e, err
}

// signatures reads the signatures by their key ids. Two of one key id are refused, whatever they are.
func signatures(file cjson.Value) (map[string][]byte, error) {
	list, _ := file.Member("signatures")
	if list.Kind() != cjson.Array {
		return nil, refuse(Malformed, "no list of signatures")
	}
	if n := len(list.Items()); n > MaxSignatures {
		return nil, refuse(Malformed, "%d signatures, at most %d", n, MaxSignatures)
	}
	all := map[string][]byte{}
	for _, s := range list.Items() {
		id, named := text(s, "keyid")
		if !named {
			return nil, refuse(Malformed, "a signature without a key id")
		}
		if _, twice := all[id]; twice {
			return nil, refuse(Malformed, "two signatures of key %.16q", id)
		}
		digits, _ := text(s, "sig")
		sig, err := hex.DecodeString(digits)
		if err != nil {
			return nil, refuse(Malformed, "a signature that is not hexadecimal")
		}
		all[id] = sig
	}
	return all, nil
}

// text returns a member of an object that is a string.
func text(v cjson.Value, name string) (s string, ok bool) {
	m, _ := v.Member(name)
	return m.Text()
}

// positive returns a member of an object that is a whole number above 0.
func positive(v cjson.Value, name string) (int64, error) {
	m, _ := v.Member(name)
	n, _ := m.Int()
	if n < 1 {
		return 0, refuse(Malformed, "%s: want a number above 0", name)
	}
	return n, nil
}

// instant returns a member of an object that is a time as TUF writes it: 2030-12-31T23:59:59Z.
func instant(v cjson.Value, name string) (time.Time, error) {
	s, _ := text(v, name)
	at, _ := time.Parse("2006-01-02T15:04:05Z", s) // takes fractions of a second, too
	if at.Format(time.RFC3339) != s {
		return time.Time{}, refuse(Malformed, "%s is %.32q, want a time such as 2030-12-31T23:59:59Z", name, s)
	}
	return at, nil
}
