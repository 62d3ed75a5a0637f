package main

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"time"
)

// tarBlock is the size of a block of a tar, in bytes.
const tarBlock = 512

// packed is files in a folder as a tar (POSIX.1-1988 ustar) in gzip. archive/tar knows every tar of the last forty
// years, and would cost a board 45 kB; these are small texts with short names.
func packed(folder string, files []supported, now time.Time) ([]byte, error) {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	for _, f := range files {
		h, err := tarHeader(folder+"/"+f.Name, len(f.text), now)
		if err != nil {
			return nil, err
		}
		pad := (tarBlock - len(f.text)%tarBlock) % tarBlock
		_, err1 := z.Write(h)
		_, err2 := z.Write(f.text)
		_, err3 := z.Write(make([]byte, pad))
		if err := errors.Join(err1, err2, err3); err != nil {
			return nil, err
		}
	}
	if _, err := z.Write(make([]byte, 2*tarBlock)); err != nil { // the end
		return nil, err
	}
	err := z.Close()
	return b.Bytes(), err
}

// tarHeader is the block before a file. Its sum counts its own eight bytes as spaces.
func tarHeader(name string, size int, now time.Time) ([]byte, error) {
	if len(name) > 99 {
		return nil, fmt.Errorf("tar %s: its name is too long", name)
	}
	h := make([]byte, tarBlock)
	copy(h, name)
	copy(h[100:], "0000600\x000000000\x000000000\x00") // mode, user, group
	copy(h[124:], fmt.Sprintf("%011o\x00%011o\x00        0", size, max(now.Unix(), 0)))
	copy(h[257:], "ustar\x0000")
	sum := 0
	for _, c := range h {
		sum += int(c)
	}
	copy(h[148:], fmt.Sprintf("%06o\x00 ", sum))
	return h, nil
}
