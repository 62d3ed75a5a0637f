package stream

import (
	"fmt"
	"strconv"
	"strings"
)

// Bitrate is in bits per second. As text it is a number with an optional k (thousand) or M (million): 2M, 1500k,
// 512000. It is read in every form and written in the shortest exact one.
type Bitrate int

// ParseBitrate reads a bit rate: "2M", "1.5M", "1500k", "800000".
func ParseBitrate(s string) (Bitrate, error) {
	number, unit := strings.TrimSpace(s), 1.0
	switch {
	case strings.HasSuffix(number, "M"):
		number, unit = number[:len(number)-1], 1e6
	case strings.HasSuffix(number, "k"), strings.HasSuffix(number, "K"):
		number, unit = number[:len(number)-1], 1e3
	}
	v, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
	if err != nil || !(v >= 0 && v*unit <= 1e9) {
		return 0, fmt.Errorf("bitrate %.20q: want bits per second such as 2M, 1500k or 800000", s)
	}
	return Bitrate(v*unit + 0.5), nil
}

func (b Bitrate) String() string {
	switch {
	case b != 0 && b%1e6 == 0:
		return strconv.Itoa(int(b/1e6)) + "M"
	case b != 0 && b%1e3 == 0:
		return strconv.Itoa(int(b/1e3)) + "k"
	}
	return strconv.Itoa(int(b))
}

// MarshalText writes b as String does.
func (b Bitrate) MarshalText() ([]byte, error) { return []byte(b.String()), nil }

// UnmarshalText reads b as ParseBitrate does.
func (b *Bitrate) UnmarshalText(text []byte) error {
	v, err := ParseBitrate(string(text))
	if err == nil {
		*b = v
	}
	return err
}
