package cjson_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"testing"

	reference "github.com/secure-systems-lab/go-securesystemslib/cjson"

	"github.com/ocellus/ocellus/codec/cjson"
)

func ExampleParse() {
	v, err := cjson.Parse([]byte(`{ "version": 3, "name": "a \u0022quoted\u0022 word" }`))
	fmt.Println(string(v.AppendCanonical(nil)), err)
	_, err = cjson.Parse([]byte(`{"version": 3, "version": 4}`))
	fmt.Println(err)
	// Output:
	// {"name":"a \"quoted\" word","version":3} <nil>
	// json syntax: byte 28: two members of one name
}

// FuzzParse: what is accepted is JSON to the standard library, too, has the canonical form that go-tuf's library gives
// it, and the canonical form of its canonical form is the same.
func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"signed":{"_type":"root","version":1,"x":[true,null,-5,"\u00e4\ud83c\udfa5\\"]}}`))
	f.Add([]byte(`[{},[],"",0,{"a":{"b":[1,2,{"c":"d"}]}}]`))
	f.Add([]byte(`{"a":1,"a":2}`))
	f.Add([]byte(`"\ud83c\u0041"`))
	f.Fuzz(func(t *testing.T, data []byte) {
		v, err := cjson.Parse(data)
		if err != nil {
			return
		}
		got := v.AppendCanonical(nil)
		if !json.Valid(data) {
			t.Fatalf("accepted %q", data)
		}
		want, err := reference.EncodeCanonical(json.RawMessage(data))
		if err != nil || !bytes.Equal(got, want) {
			t.Fatalf("%q: got %q, want %q, %v", data, got, want, err)
		}
		again, err := cjson.Parse(got)
		if err != nil && !bytes.ContainsFunc(got, func(r rune) bool { return r < ' ' }) { // not escaped, so no longer JSON
			t.Fatalf("%q: its canonical form %q: %v", data, got, err)
		}
		if err == nil && !bytes.Equal(again.AppendCanonical(nil), got) {
			t.Fatalf("%q: the canonical form of %q is another", data, got)
		}
	})
}
