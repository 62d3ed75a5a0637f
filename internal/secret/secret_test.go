package secret

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

const text = "correct-horse"

type holder struct {
	Password Secret            `json:"password" yaml:"password"`
	Byname   map[string]Secret `json:"byname" yaml:"byname"`
}

func TestNeverShown(t *testing.T) {
	t.Parallel()
	s := Secret(text)
	h := holder{Password: s, Byname: map[string]Secret{"a": s}}
	shown := map[string]string{}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%10s"} {
		shown["fmt "+verb] = fmt.Sprintf(verb, s)
		shown["fmt pointer "+verb] = fmt.Sprintf(verb, &s)
		shown["fmt struct "+verb] = fmt.Sprintf(verb, h)
	}
	j, err := json.Marshal(h)
	if err != nil {
		t.Fatal(err)
	}
	y, err := yaml.Marshal(h)
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("m", "s", s, "h", h)
	slog.New(slog.NewTextHandler(&log, nil)).Info("m", "s", s, "h", h)
	shown["json"], shown["yaml"], shown["slog"] = string(j), string(y), log.String()
	hexed := fmt.Sprintf("%x", text)
	for name, out := range shown {
		if strings.Contains(out, text) || strings.Contains(strings.ToLower(out), hexed) {
			t.Errorf("%s: got %q, which shows the secret", name, out)
		}
		if !strings.Contains(out, Mask) {
			t.Errorf("%s: got %q, want it to hold %q", name, out, Mask)
		}
	}
}

func TestReadAndReveal(t *testing.T) {
	t.Parallel()
	var j, y holder
	if err := json.Unmarshal([]byte(`{"password":"`+text+`"}`), &j); err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal([]byte("password: "+text), &y); err != nil {
		t.Fatal(err)
	}
	for name, h := range map[string]holder{"json": j, "yaml": y} {
		if got := h.Password.Reveal(); got != text {
			t.Errorf("%s: got %q, want %q", name, got, text)
		}
	}
}
