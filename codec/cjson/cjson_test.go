package cjson

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

func TestCanonical(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, in, want string }{
		{"white space", " {\t\"a\" :\r\n[ 1 , true , null ] }\n", `{"a":[1,true,null]}`},
		{"order by bytes", `{"b":1,"a":2,"B":3,"":4,"ä":5,"aa":6}`, `{"":4,"B":3,"a":2,"aa":6,"b":1,"ä":5}`},
		{"escapes", `"\"\\\/\b\f\n\r\t\u0001\u00e4\u2028\ud83c\udfa5"`, "\"\\\"\\\\/\b\f\n\r\t\x01ä\u2028🎥\""},
		{"numbers", `[0,-1,9223372036854775807,-9223372036854775808]`, `[0,-1,9223372036854775807,-9223372036854775808]`},
		{"empty", `{"a":{},"b":[],"c":""}`, `{"a":{},"b":[],"c":""}`},
		{"deep", strings.Repeat("[", MaxDepth+1) + strings.Repeat("]", MaxDepth+1), strings.Repeat("[",
			MaxDepth+1) + strings.Repeat("]", MaxDepth+1)},
		{"false", `false`, `false`},
	} {
		v, err := Parse([]byte(c.in))
		if got := string(v.AppendCanonical(nil)); err != nil || got != c.want {
			t.Errorf("%s: got %q, %v, want %q", c.name, got, err, c.want)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	for _, in := range []string{"", " ", "{", "[", `"`, `{"a"`, `{"a":`, `{"a":1`, `{"a":1,`, `{"a":1,}`, `{a:1}`,
		`{"a" 1}`, "[1", "[1,", "[1,]",
		"[1 2]", "01", "-0", "-", "+1", "1.0", "1e1", "9223372036854775808", "NaN", "nul", "tru", "True", "1 1", "{}{}",
		"\ufeff{}",
		`{"a":1,"a":1}`, `{"a":1,"\u0061":1}`, "\"\x00\"", "\"\n\"", "\"\\\n\"", "\"\xff\"", `"\x"`, `"\u12"`, `"\u12g4"`,
		`"\ud83c"`,
		`"\udfa5"`, `"\ud83c\ud83c"`, `"\ud83c\n"`, `"\ud83cXudfa5"`, `"\`, `"\u`, `"\ud83c\`, "'a'", "// a\n1",
		strings.Repeat("[", MaxDepth+2) + strings.Repeat("]", MaxDepth+2), "[" + strings.Repeat("0,", MaxValues) + "0]"} {
		if v, err := Parse([]byte(in)); !errors.Is(err, ErrSyntax) {
			t.Errorf("%.40q: got %v, %v, want ErrSyntax", in, v, err)
		}
	}
}

func TestValue(t *testing.T) {
	t.Parallel()
	v, err := Parse([]byte(`{"list":["a",7,true],"none":null}`))
	if err != nil {
		t.Fatal(err)
	}
	if names := v.Names(); !slices.Equal(names, []string{"list", "none"}) {
		t.Errorf("names: got %q", names)
	}
	list, _ := v.Member("list")
	text, isText := list.Items()[0].Text()
	n, isInt := list.Items()[1].Int()
	yes, isBool := list.Items()[2].Bool()
	if text != "a" || !isText || n != 7 || !isInt || !yes || !isBool {
		t.Errorf("got %q %v %d %v %v %v", text, isText, n, isInt, yes, isBool)
	}
	none, told := v.Member("none")
	if _, more := v.Member("more"); !told || more || none.Kind() != Null {
		t.Errorf("members: got %v %v %v", told, more, none.Kind())
	}
	for _, other := range []Value{v, list, none, list.Items()[2]} {
		_, isText := other.Text()
		if _, isInt := other.Int(); isText || isInt {
			t.Errorf("%v: taken for text or a number", other)
		}
	}
}
