package logring

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/ocellus/ocellus/internal/secret"
)

// Handler is a slog.Handler that keeps a copy of what goes to another one.
type Handler struct {
	slog.Handler
	ring   *Ring
	part   string
	prefix string  // of groups: "a.b."
	fields []Field // of With
}

// Both returns a handler that keeps a copy of what goes to h.
func (r *Ring) Both(h slog.Handler) *Handler { return &Handler{Handler: h, ring: r} }

// Handle implements slog.Handler.
func (h *Handler) Handle(ctx context.Context, record slog.Record) error {
	l := Line{Time: record.Time.UTC().Truncate(time.Millisecond), Level: record.Level.String(), Part: h.part,
		Message: h.ring.clean(record.Message), Fields: h.fields[:len(h.fields):len(h.fields)]}
	record.Attrs(func(a slog.Attr) bool {
		l.Fields = h.ring.field(l.Fields, h.prefix, a, &l.Part)
		return true
	})
	h.ring.add(l, record.Level >= slog.LevelWarn)
	return h.Handler.Handle(ctx, record)
}

// WithAttrs implements slog.Handler.
func (h *Handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	n := *h
	n.Handler = h.Handler.WithAttrs(attrs)
	n.fields = h.fields[:len(h.fields):len(h.fields)]
	for _, a := range attrs {
		n.fields = n.ring.field(n.fields, n.prefix, a, &n.part)
	}
	return &n
}

// WithGroup implements slog.Handler.
func (h *Handler) WithGroup(name string) slog.Handler {
	n := *h
	n.Handler = h.Handler.WithGroup(name)
	n.prefix += name + "."
	return &n
}

// field adds what an attribute says; that of the part is no field.
func (r *Ring) field(fields []Field, prefix string, a slog.Attr, part *string) []Field {
	v := a.Value.Resolve()
	name := prefix + a.Key
	switch {
	case v.Kind() == slog.KindGroup:
		if a.Key != "" {
			prefix = name + "."
		}
		for _, inner := range v.Group() {
			fields = r.field(fields, prefix, inner, part)
		}
		return fields
	case name == "part" && v.Kind() == slog.KindString:
		*part = v.String()
		return fields
	case a.Equal(slog.Attr{}) || len(fields) >= maxFields:
		return fields
	}
	return append(fields, Field{name, r.value(name, v)})
}

// value is what is kept of a value: a number and a truth as they are, everything else as text.
func (r *Ring) value(name string, v slog.Value) json.RawMessage {
	if r.redactor.Secret(name) {
		return quote(secret.Mask)
	}
	switch v.Kind() {
	case slog.KindBool, slog.KindInt64, slog.KindUint64:
		return json.RawMessage(v.String())
	case slog.KindFloat64:
		if raw, err := json.Marshal(v.Float64()); err == nil { // not so for infinity
			return raw
		}
	case slog.KindTime:
		return quote(v.Time().UTC().Format(time.RFC3339Nano))
	case slog.KindAny:
		if raw, ok := v.Any().([]byte); ok { // nobody knows what it holds
			return quote(fmt.Sprintf("%d bytes", len(raw)))
		}
	}
	return quote(r.clean(v.String()))
}

func quote(text string) json.RawMessage {
	raw, _ := json.Marshal(text) // a string always can
	return raw
}

// clean makes a text fit to be kept: bounded, valid, and without what nobody may read. It is cut behind the redaction,
// so that half a secret does not stay.
func (r *Ring) clean(text string) string {
	text = strings.ToValidUTF8(text[:min(len(text), maxInput)], "�")
	text = r.redactor.Text(text)
	if len(text) <= maxLine {
		return text
	}
	end := maxLine
	for !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + "…"
}
