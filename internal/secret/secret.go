// Package secret holds the type of values that must never be shown: passwords, keys, tokens.
//
// A Secret prints as *** through fmt (every verb), encoding/json, YAML and slog. Whoever really needs the text writes
// Reveal, which is easy to find when the code is read for leaks.
package secret

import (
	"fmt"
	"io"
	"log/slog"
)

// Mask is what a Secret shows of itself, whatever its length.
const Mask = "***"

// Secret is text that prints as Mask. The zero Secret is empty, and prints the same.
type Secret string

// Reveal returns the text itself. Its only use is at the border: a digest, a line that a person asked for.
func (s Secret) Reveal() string { return string(s) }

// Format prints Mask for every verb and flag (fmt.Formatter).
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, Mask) }

// String returns Mask.
func (s Secret) String() string { return Mask }

// MarshalText returns Mask: encoding/json and YAML print it.
func (s Secret) MarshalText() ([]byte, error) { return []byte(Mask), nil }

// UnmarshalText takes the text as it is, so that a Secret can be read from a file that a person wrote.
func (s *Secret) UnmarshalText(text []byte) error {
	*s = Secret(text)
	return nil
}

// LogValue shows Mask to slog.
func (s Secret) LogValue() slog.Value { return slog.StringValue(Mask) }
