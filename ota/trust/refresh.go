package trust

import (
	"context"
	"errors"
	"io/fs"
)

// Fetch brings a file of a repository's metadata. What is not there is an fs.ErrNotExist. Nobody reads more than
// File.Most bytes and one more, which is enough to be told from a file that fits.
type Fetch func(ctx context.Context, f File) ([]byte, error)

// Refresh walks through a session with a carrier. What it returns first is to be kept, whatever the verdict is: a power
// cut before that costs nothing but the way. An error of the carrier is returned as it is, one of the metadata is a
// *Refusal; ErrMore asks for another call with what was returned.
func Refresh(ctx context.Context, t Trusted, rules Rules, fetch Fetch) (Trusted, Update, error) {
	s, err := Begin(t, rules)
	if err != nil {
		return t, Update{}, err
	}
	for f, more := s.Want(); more; f, more = s.Want() {
		data, err := fetch(ctx, f)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			err = s.Absent()
		case err == nil:
			err = s.Take(data)
		}
		if err != nil {
			return s.Trusted(), Update{}, err
		}
	}
	u, err := s.Result()
	return s.Trusted(), u, err
}
