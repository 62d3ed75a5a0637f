package manifest

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
)

// Version is a release's version: MAJOR.MINOR.PATCH or MAJOR.MINOR.PATCH-PRE, ordered as Semantic Versioning 2.0.0
// (chapter 11) orders it. There is no build metadata, so that each version has one spelling. The zero value is none.
type Version struct {
	Major, Minor, Patch int    // at most 4095, 255, 4095, so that the three fit the boot record's floor
	Pre                 string // of a release before the release: rc.1; orders before the same version without
}

// Bounds of a version.
const (
	maxMajor, maxMinor, maxPatch = 1<<12 - 1, 1<<8 - 1, 1<<12 - 1
	maxPre                       = 32
)

// ParseVersion reads a version.
func ParseVersion(s string) (Version, error) {
	core, pre, hasPre := strings.Cut(s, "-")
	parts := strings.Split(core, ".")
	var n [3]int
	ok := len(parts) == len(n) && hasPre == (pre != "") && goodPre(pre)
	for i, most := range [3]int{maxMajor, maxMinor, maxPatch} {
		if !ok {
			break
		}
		var err error
		n[i], err = strconv.Atoi(parts[i])
		ok = err == nil && n[i] >= 0 && n[i] <= most && strconv.Itoa(n[i]) == parts[i]
	}
	if !ok {
		return Version{}, fmt.Errorf("version %.64q: want MAJOR.MINOR.PATCH or MAJOR.MINOR.PATCH-PRE, at most %d.%d.%d",
			s, maxMajor, maxMinor, maxPatch)
	}
	return Version{n[0], n[1], n[2], pre}, nil
}

// goodPre reports whether the identifiers behind the dash are such: letters, digits, dashes; numbers without a leading
// zero.
func goodPre(pre string) bool {
	if pre == "" {
		return true
	}
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-"
	for id := range strings.SplitSeq(pre, ".") {
		if id == "" || strings.Trim(id, letters) != "" || number(id) && len(id) > 1 && id[0] == '0' {
			return false
		}
	}
	return len(pre) <= maxPre
}

func number(id string) bool { return strings.Trim(id, "0123456789") == "" }

// String writes the version as ParseVersion reads it.
func (v Version) String() string {
	s := fmt.Sprintf("%d.%d.%d", v.Major, v.Minor, v.Patch)
	if v.Pre != "" {
		s += "-" + v.Pre
	}
	return s
}

// IsZero reports whether this is no version.
func (v Version) IsZero() bool { return v == Version{} }

// Compare is below 0 when v is older than o, above 0 when it is newer.
func (v Version) Compare(o Version) int {
	if c := cmp.Or(cmp.Compare(v.Major, o.Major), cmp.Compare(v.Minor, o.Minor), cmp.Compare(v.Patch, o.Patch)); c != 0 {
		return c
	}
	switch {
	case v.Pre == o.Pre:
		return 0
	case v.Pre == "":
		return 1
	case o.Pre == "":
		return -1
	}
	return comparePre(strings.Split(v.Pre, "."), strings.Split(o.Pre, "."))
}

// comparePre compares identifier by identifier: numbers by value and before words, words by their bytes, and what has
// more of them is newer.
func comparePre(a, b []string) int {
	for i := range min(len(a), len(b)) {
		an, bn := number(a[i]), number(b[i])
		c := 0
		switch {
		case an && bn:
			c = cmp.Or(cmp.Compare(len(a[i]), len(b[i])), cmp.Compare(a[i], b[i]))
		case an != bn && an:
			c = -1
		case an != bn:
			c = 1
		default:
			c = cmp.Compare(a[i], b[i])
		}
		if c != 0 {
			return c
		}
	}
	return cmp.Compare(len(a), len(b))
}

// Floor is the number of the version in the boot record (codec/bootstate: st_floor): 12, 8 and 12 bits. What stands
// behind a dash is left out.
func (v Version) Floor() uint32 { return uint32(v.Major)<<20 | uint32(v.Minor)<<12 | uint32(v.Patch) }

// FloorVersion is the version of a number in the boot record. No release that orders before it is installed.
func FloorVersion(n uint32) Version {
	return Version{Major: int(n >> 20), Minor: int(n >> 12 & maxMinor), Patch: int(n & maxPatch)}
}
