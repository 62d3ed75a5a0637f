package statefile

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
)

// versionKey is the one field that every file has.
const versionKey = "version"

func versionOf(raw []byte) (int, error) {
	var head struct {
		Version *int `json:"version"`
	}
	if err := json.Unmarshal(raw, &head); err != nil {
		return 0, err
	}
	if head.Version == nil || *head.Version < 1 {
		return 0, errors.New("no version")
	}
	return *head.Version, nil
}

func withVersion(raw json.RawMessage, version int) ([]byte, error) {
	fields, ok := object(raw)
	if !ok {
		return nil, errors.New("not a JSON object")
	}
	delete(fields, versionKey)
	body, err := json.Marshal(fields)
	if err != nil {
		return nil, err
	}
	head, err := json.Marshal(map[string]int{versionKey: version})
	if err != nil {
		return nil, err
	}
	if len(fields) > 0 {
		head = append(append(head[:len(head)-1], ','), body[1:]...)
	}
	var out bytes.Buffer
	if err := json.Indent(&out, head, "", "  "); err != nil {
		return nil, err
	}
	out.WriteByte('\n')
	return out.Bytes(), nil
}

// merge returns fresh, the JSON of a value of type t, with every field of old that t has no name for. It follows t: a
// struct keeps what it does not know, a map holds what the fresh one holds and merges member by member, everything
// else is replaced.
func merge(old, fresh json.RawMessage, t reflect.Type) json.RawMessage {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	custom := reflect.TypeFor[json.Marshaler]()
	if t.Implements(custom) || reflect.PointerTo(t).Implements(custom) {
		return fresh
	}
	if t.Kind() != reflect.Struct && t.Kind() != reflect.Map {
		return fresh
	}
	was, ok1 := object(old)
	now, ok2 := object(fresh)
	if !ok1 || !ok2 {
		return fresh
	}
	if t.Kind() == reflect.Map {
		for name, value := range now {
			if before, ok := was[name]; ok {
				now[name] = merge(before, value, t.Elem())
			}
		}
	} else {
		mergeStruct(was, now, known(t))
	}
	merged, err := json.Marshal(now)
	if err != nil {
		return fresh
	}
	return merged
}

func mergeStruct(was, now map[string]json.RawMessage, fields map[string]reflect.Type) {
	for name, before := range was {
		t, mine := fields[name]
		value, present := now[name]
		switch {
		case !mine:
			now[name] = before
		case present:
			now[name] = merge(before, value, t)
		}
	}
}

// known lists the JSON names of a struct's fields.
func known(t reflect.Type) map[string]reflect.Type {
	fields := map[string]reflect.Type{versionKey: reflect.TypeFor[int]()}
	for _, f := range reflect.VisibleFields(t) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "" {
			name = f.Name
		}
		if f.IsExported() && name != "-" {
			fields[name] = f.Type
		}
	}
	return fields
}

func object(raw json.RawMessage) (map[string]json.RawMessage, bool) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(raw, &fields); err != nil || fields == nil {
		return nil, false
	}
	return fields, true
}
