package qrtext

import (
	"fmt"
	"strings"
)

// alphabet45 is that of RFC 9285, which is that of QR's alphanumeric mode.
const alphabet45 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:"

// encode45 writes two bytes as three characters, least significant first (RFC 9285 4.2).
func encode45(b []byte) string {
	out := make([]byte, 0, len(b)*3/2+2)
	for ; len(b) > 1; b = b[2:] {
		n := int(b[0])<<8 | int(b[1])
		out = append(out, alphabet45[n%45], alphabet45[n/45%45], alphabet45[n/45/45])
	}
	if len(b) == 1 {
		out = append(out, alphabet45[b[0]%45], alphabet45[b[0]/45])
	}
	return string(out)
}

func decode45(s string) ([]byte, error) {
	bad := fmt.Errorf("%w: not base 45", ErrDamaged)
	out := make([]byte, 0, len(s)*2/3+1)
	for s != "" {
		k := min(len(s), 3)
		n := 0
		for i := k - 1; i >= 0; i-- {
			d := strings.IndexByte(alphabet45, s[i])
			if d < 0 {
				return nil, bad
			}
			n = 45*n + d
		}
		switch {
		case k == 3 && n < 1<<16:
			out = append(out, byte(n>>8), byte(n))
		case k == 2 && n < 1<<8:
			out = append(out, byte(n))
		default:
			return nil, bad
		}
		s = s[k:]
	}
	return out, nil
}
