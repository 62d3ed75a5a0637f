package main

import (
	"bytes"
	"encoding"
	"errors"
	"fmt"
	"io"
	"reflect"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"
)

// maxConfig bounds a configuration file, in bytes.
const maxConfig = 64 << 10

// decoder reads YAML into a struct whose fields hold the defaults, and collects every fault with its line.
//
// Anchors, aliases, merge keys and a second document are refused: the file is a plain tree, as the documentation shows
// it, and its size bounds the work.
type decoder struct {
	faults []fault
	lines  map[string]int // key path -> line, of every key that was read
}

// fault is one thing that is wrong. Key is empty where the file as a whole is.
type fault struct {
	line    int
	key     string
	text    string
	unknown bool // a key that this release has not
}

func (f fault) String() string {
	s := f.text
	if f.key != "" {
		s = f.key + ": " + s
	}
	if f.line > 0 {
		s = fmt.Sprintf("line %d: %s", f.line, s)
	}
	return s
}

// decodeYAML fills target, a pointer to a struct.
func decodeYAML(raw []byte, target any) *decoder {
	d := &decoder{lines: map[string]int{}}
	if len(raw) > maxConfig {
		d.add(0, "", "%d bytes are more than %d", len(raw), maxConfig)
		return d
	}
	var doc, more yaml.Node
	in := yaml.NewDecoder(bytes.NewReader(raw))
	err := in.Decode(&doc)
	if errors.Is(err, io.EOF) {
		return d // nothing but comments: the defaults
	}
	if err != nil {
		d.add(0, "", "%s", strings.TrimPrefix(err.Error(), "yaml: "))
		return d
	}
	if !errors.Is(in.Decode(&more), io.EOF) {
		d.add(0, "", "there is more than one document")
	}
	d.value(doc.Content[0], reflect.ValueOf(target).Elem(), "")
	return d
}

func (d *decoder) add(line int, key, format string, args ...any) {
	d.faults = append(d.faults, fault{line: line, key: key, text: fmt.Sprintf(format, args...)})
}

func (d *decoder) value(n *yaml.Node, v reflect.Value, key string) {
	d.lines[key] = n.Line
	switch {
	case n.Kind == yaml.AliasNode || n.Anchor != "":
		d.add(n.Line, key, "anchors and aliases are not used here")
	case !isSection(v.Type()):
		d.leaf(n, v, key)
	case n.Kind == yaml.ScalarNode && n.Tag == "!!null":
		// "streams:" with nothing below it: the defaults
	case n.Kind != yaml.MappingNode:
		d.add(n.Line, key, "want keys with values below it")
	default:
		d.section(n, v, key)
	}
}

func (d *decoder) section(n *yaml.Node, v reflect.Value, key string) {
	fields := map[string]reflect.Value{}
	var names []string
	for i := range v.NumField() {
		name := keyName(v.Type().Field(i))
		fields[name], names = v.Field(i), append(names, name)
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		name, path := n.Content[i].Value, n.Content[i].Value
		if key != "" {
			path = key + "." + name
		}
		line := n.Content[i].Line
		field, ok := fields[name]
		switch {
		case n.Content[i].Kind != yaml.ScalarNode:
			d.add(line, key, "a key has to be a word")
		case !ok:
			d.faults = append(d.faults, fault{line, clip(path), "unknown key" + meant(name, names), true})
		case seen[name]:
			d.add(line, path, "stands here twice")
		default:
			seen[name] = true
			d.value(n.Content[i+1], field, path)
		}
	}
}

func (d *decoder) leaf(n *yaml.Node, v reflect.Value, key string) {
	if n.Kind == yaml.ScalarNode && n.Tag == "!!null" {
		d.add(n.Line, key, "has no value")
		return
	}
	fresh := reflect.New(v.Type())
	if err := n.Decode(fresh.Interface()); err != nil {
		d.add(n.Line, key, "%s", plain(err))
		return
	}
	v.Set(fresh.Elem())
}

// plain turns the words of the YAML library into ours: without Go's types, and without a second line number.
func plain(err error) string {
	text := err.Error()
	var te *yaml.TypeError
	if errors.As(err, &te) && len(te.Errors) > 0 {
		text = te.Errors[0]
	}
	text = strings.TrimPrefix(text, "yaml: ")
	text = regexp.MustCompile(`^line \d+: `).ReplaceAllString(text, "")
	m := regexp.MustCompile("^cannot (?:unmarshal|construct) !!(\\w+) `?(.*?)`? into (\\S+)$").FindStringSubmatch(text)
	if m == nil {
		return clip(text)
	}
	want := map[string]string{"int": "a whole number", "bool": "true or false", "string": "text",
		"time.Duration": "a time such as 10s", "float64": "a number"}[m[3]]
	if want == "" {
		want = m[3]
	}
	return fmt.Sprintf("%s: want %s", clip(m[2]), want)
}

// clip keeps what a file holds from flooding a terminal.
func clip(s string) string {
	if len(s) > 80 {
		return s[:80] + "..."
	}
	return s
}

// isSection reports whether a type is a struct of keys rather than one value.
func isSection(t reflect.Type) bool {
	text := reflect.TypeFor[encoding.TextUnmarshaler]()
	own := reflect.TypeFor[yaml.Unmarshaler]()
	p := reflect.PointerTo(t)
	return t.Kind() == reflect.Struct && !p.Implements(text) && !p.Implements(own)
}

// keyName is the YAML key of a field; a field without a yaml tag has its lower-case name, as the library has it.
func keyName(f reflect.StructField) string {
	name, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
	if name == "" {
		return strings.ToLower(f.Name)
	}
	return name
}

// meant names the known key that is nearest to an unknown one, if one is near.
func meant(name string, names []string) string {
	best, at := 3, ""
	if len(name) > 40 {
		return ""
	}
	for _, n := range names {
		if d := distance(name, n); d < best {
			best, at = d, n
		}
	}
	if at == "" {
		return ", there are: " + strings.Join(names, ", ")
	}
	return fmt.Sprintf(", perhaps %s?", at)
}

// distance is Levenshtein's.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		corner := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := corner
			if a[i] != b[j] {
				cost = 1 + min(corner, row[j], row[j+1])
			}
			corner, row[j+1] = row[j+1], cost
		}
	}
	return row[len(b)]
}
