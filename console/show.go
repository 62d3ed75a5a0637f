package console

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
)

// shown is a value in JSON as a person reads it: a line for each key, in the order of the answer, what is inside
// something indented, an object of a list in one line.
func shown(raw json.RawMessage) string {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var b strings.Builder
	p := printer{d: d, to: &b}
	if err := p.value("", 0); err != nil {
		return string(raw) // an answer that is no JSON; none of ours
	}
	if b.Len() == 0 {
		return "done\n"
	}
	return b.String()
}

// printer walks through JSON.
type printer struct {
	d  *json.Decoder
	to *strings.Builder
}

// maxDepth bounds what is inside something inside something.
const maxDepth = 8

func (p printer) value(key string, depth int) error {
	t, err := p.d.Token()
	if err != nil {
		return err
	}
	if depth > maxDepth {
		return fmt.Errorf("more than %d levels", maxDepth)
	}
	indent := strings.Repeat("  ", max(depth-1, 0))
	if key != "" {
		p.to.WriteString(indent + key + ":")
	}
	switch t {
	case json.Delim('{'):
		if key != "" {
			p.to.WriteByte('\n')
		}
		return p.object(depth)
	case json.Delim('['):
		return p.list(key, depth)
	}
	if key != "" {
		p.to.WriteByte(' ')
	}
	p.to.WriteString(scalar(t) + "\n")
	return nil
}

func (p printer) object(depth int) error {
	for p.d.More() {
		key, err := p.d.Token()
		if err != nil {
			return err
		}
		name, _ := key.(string)
		if err := p.value(name, depth+1); err != nil {
			return err
		}
	}
	_, err := p.d.Token()
	return err
}

func (p printer) list(key string, depth int) error {
	indent, first := strings.Repeat("  ", depth), true
	for p.d.More() {
		if first && key != "" {
			p.to.WriteByte('\n')
		}
		first = false
		var item any
		if err := p.d.Decode(&item); err != nil {
			return err
		}
		p.to.WriteString(indent + inLine(item) + "\n")
	}
	if first {
		p.to.WriteString(map[bool]string{true: "none\n", false: " none\n"}[key == ""])
	}
	_, err := p.d.Token()
	return err
}

// inLine is a value in one line.
func inLine(v any) string {
	object, ok := v.(map[string]any)
	if !ok {
		if list, ok := v.([]any); ok {
			words := make([]string, len(list))
			for i, item := range list {
				words[i] = inLine(item)
			}
			return strings.Join(words, ", ")
		}
		return scalar(v)
	}
	var words []string
	for _, key := range sorted(object) {
		words = append(words, key+" "+inLine(object[key]))
	}
	return strings.Join(words, "; ")
}

// scalar is a value that has nothing inside.
func scalar(v any) string {
	switch v := v.(type) {
	case nil:
		return "-"
	case string:
		if v == "" {
			return "-"
		}
		return v
	case bool:
		return map[bool]string{true: "yes", false: "no"}[v]
	}
	return fmt.Sprint(v)
}
