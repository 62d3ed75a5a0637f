// Package bundle is a repository of updates in one file, for a carrier that is no web server: the owner's phone, a
// card. It carries the same signed files under the same names, so that a camera decides by the same rules (ota/trust).
//
// A bundle is a tape archive that every tar reads (POSIX.1-2017, pax, "ustar Interchange Format"), in an order that
// lets a camera verify and install it while it comes in, with no copy of it anywhere:
//
//	1.root.json 2.root.json ... timestamp.json V.snapshot.json V.targets.json targets/BOARD/SHA256.NAME ...
//
// Nothing is left to choose: a header is accepted only if it is, byte for byte, the one that Writer makes for a file of
// that name and size. So there are no links, no directories, no times, no extensions, and no size above 8 GiB - 1.
package bundle

import (
	"bytes"
	"errors"
	"fmt"
	"path"
	"strconv"
	"strings"
)

// MaxEntries is how many files a bundle holds at most.
const MaxEntries = 512

// MaxMetadata is how large a file outside of "targets/" may be, in bytes.
const MaxMetadata = 1 << 20

// TargetsDir is where targets are, as in a repository.
const TargetsDir = "targets/"

// ErrFormat: this is no bundle, or its order is not a bundle's.
var ErrFormat = errors.New("no bundle")

// blockSize is the unit of a tape archive.
const blockSize = 512

// maxSize is what eleven octal digits hold.
const maxSize = 1<<33 - 1

// Where the fields of a ustar header are.
const (
	nameAt, nameSize     = 0, 100
	sizeAt, sizeDigits   = 124, 11
	sumAt, sumSize       = 148, 8
	prefixAt, prefixSize = 345, 155
)

// entry is one file of a bundle.
type entry struct {
	name string
	size int64
}

// format writes the header of a file.
func (e entry) format() ([]byte, error) {
	prefix, name, err := split(e.name)
	if err != nil {
		return nil, err
	}
	if e.size < 0 || e.size > maxSize {
		return nil, fmt.Errorf("%w: %s: %d bytes", ErrFormat, e.name, e.size)
	}
	b := make([]byte, blockSize)
	copy(b[nameAt:], name)
	copy(b[prefixAt:], prefix)
	for _, f := range []struct {
		at   int
		text string
	}{{100, "0000644\x00"}, {108, "0000000\x00"}, {116, "0000000\x00"}, {sizeAt, fmt.Sprintf("%011o\x00", e.size)},
		{136, "00000000000\x00"}, {156, "0"}, {257, "ustar\x0000"}, {329, "0000000\x00"}, {337, "0000000\x00"}} {
		copy(b[f.at:], f.text)
	}
	copy(b[sumAt:], "        ")
	sum := 0
	for _, c := range b {
		sum += int(c)
	}
	copy(b[sumAt:sumAt+sumSize], fmt.Sprintf("%06o\x00 ", sum))
	return b, nil
}

// parse reads a header. Zeros, not ok, are the end of the bundle.
func parse(b []byte) (e entry, ok bool, err error) {
	if len(bytes.Trim(b, "\x00")) == 0 {
		return entry{}, false, nil
	}
	e.name = field(b, nameAt, nameSize)
	if prefix := field(b, prefixAt, prefixSize); prefix != "" {
		e.name = prefix + "/" + e.name
	}
	if e.size, err = strconv.ParseInt(string(b[sizeAt:sizeAt+sizeDigits]), 8, 64); err != nil {
		return entry{}, false, fmt.Errorf("%w: no size", ErrFormat)
	}
	want, err := e.format()
	if err == nil && !bytes.Equal(want, b) {
		err = fmt.Errorf("%w: the header of %.200q is another tape archive's", ErrFormat, e.name)
	}
	return e, err == nil, err
}

func field(b []byte, at, size int) string {
	text, _, _ := bytes.Cut(b[at:at+size], []byte{0})
	return string(text)
}

// split divides a name for the two fields of a header, and refuses one that could mean anything but a file below here.
func split(name string) (prefix, rest string, err error) {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._+-/"
	strange := strings.ContainsFunc(name, func(r rune) bool { return !strings.ContainsRune(letters, r) })
	if name == "" || strange || path.Clean("/"+name) != "/"+name {
		return "", "", fmt.Errorf("%w: file name %.200q: want a plain relative path", ErrFormat, name)
	}
	if len(name) <= nameSize {
		return "", name, nil
	}
	for at := len(name) - nameSize - 1; at <= prefixSize && at < len(name)-1; at++ {
		if name[at] == '/' {
			return name[:at], name[at+1:], nil
		}
	}
	return "", "", fmt.Errorf("%w: file name %.200q is too long", ErrFormat, name)
}

// padding is how many zeros follow so many bytes.
func padding(size int64) int64 { return -size & (blockSize - 1) }

// isTarget reports whether a file is a target, not metadata.
func isTarget(name string) bool { return strings.HasPrefix(name, TargetsDir) }
