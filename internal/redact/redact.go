// Package redact takes out of text what nobody may read in a log, a crash record or a support bundle.
//
// It stands at the sink: whatever is about to be kept or sent goes through it, whoever wrote it. Three rules take
// things out, and each alone would be too weak: values that the camera knows of itself (Know), however they are spelled; names
// of fields behind which such a value stands (Secret); and shapes (addresses of network cards, user and password in a
// URL, PEM, long runs of digits and letters), for what nobody knows.
//
// It takes out too much rather than too little: an SSID that is an everyday word makes that word unreadable.
package redact

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/ocellus/ocellus/internal/secret"
)

// MaxValue bounds a value that is known, in bytes; a longer one is known by its beginning.
const MaxValue = 256

// shortValue is below what a value is only looked for as a word by itself, in bytes.
const shortValue = 4

// Redactor knows what this camera has to hide. The zero Redactor knows the names and shapes alone. Its methods may be
// called at once from many goroutines.
type Redactor struct {
	mu       sync.RWMutex // guards the rest
	sources  map[string][]string
	patterns []string         // spellings of the values, the longest first
	words    []*regexp.Regexp // of values that are too short to be looked for in the middle of a word
}

// Know says what a source has to hide from now on; what it said before is forgotten. The values are copied.
func (r *Redactor) Know(source string, values ...secret.Secret) {
	var list []string
	for _, v := range values {
		if text := v.Reveal(); text != "" {
			list = append(list, strings.Clone(text[:min(len(text), MaxValue)]))
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if slices.Equal(r.sources[source], list) {
		return
	}
	if r.sources == nil {
		r.sources = map[string][]string{}
	}
	r.sources[source] = list
	r.rebuild()
}

// rebuild spells every value. The caller holds the lock.
func (r *Redactor) rebuild() {
	seen := map[string]bool{}
	r.patterns, r.words = nil, nil
	for _, values := range r.sources {
		for _, v := range values {
			if len(v) < shortValue {
				r.words = append(r.words, regexp.MustCompile(`(^|[^0-9A-Za-z])`+regexp.QuoteMeta(v)+`($|[^0-9A-Za-z])`))
				continue
			}
			for _, p := range spellings(v) {
				if !seen[p] {
					seen[p] = true
					r.patterns = append(r.patterns, p)
				}
			}
		}
	}
	slices.SortFunc(r.patterns, func(a, b string) int { return len(b) - len(a) })
}

// Text returns text without what has to be hidden.
func (r *Redactor) Text(text string) string {
	r.mu.RLock()
	patterns, words := r.patterns, r.words // replaced as a whole, never changed in place
	r.mu.RUnlock()
	for _, p := range patterns {
		text = strings.ReplaceAll(text, p, secret.Mask)
	}
	for _, w := range words {
		text = w.ReplaceAllString(text, "${1}"+secret.Mask+"${2}")
	}
	return shapeless(text)
}

// JSON is Text of each text in a JSON value, the names of its members too; it stays JSON. Its numbers stay as they are,
// unless the name of their member is that of something to hide.
func (r *Redactor) JSON(raw []byte) ([]byte, error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, fmt.Errorf("redact JSON: %w", err)
	}
	return json.MarshalIndent(r.walk(v), "", "  ")
}

func (r *Redactor) walk(v any) any {
	switch v := v.(type) {
	case string:
		return r.Text(v)
	case []any:
		for i := range v {
			v[i] = r.walk(v[i])
		}
	case map[string]any:
		clean := make(map[string]any, len(v))
		for name, value := range v {
			if r.Secret(name) && value != nil && value != "" {
				value = secret.Mask
			}
			clean[r.Text(name)] = r.walk(value)
		}
		return clean
	}
	return v
}

// Secret reports whether what stands in a field of this name is hidden whatever it is.
func (r *Redactor) Secret(name string) bool { return secretName.MatchString(name) }
