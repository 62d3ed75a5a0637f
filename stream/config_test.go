package stream

import (
	"encoding/json"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/ocellus/ocellus/hal"
)

func TestBitrateText(t *testing.T) {
	t.Parallel()
	tests := []struct {
		in   string
		want Bitrate
		out  string
	}{
		{"2M", 2_000_000, "2M"},
		{"1.5M", 1_500_000, "1500k"},
		{"1500k", 1_500_000, "1500k"},
		{" 512 K ", 512_000, "512k"},
		{"800001", 800_001, "800001"},
		{"0", 0, "0"},
		{"4e5", 400_000, "400k"},
	}
	for _, tt := range tests {
		got, err := ParseBitrate(tt.in)
		if err != nil || got != tt.want || got.String() != tt.out {
			t.Errorf("%q: got %d %q, %v; want %d %q", tt.in, got, got, err, tt.want, tt.out)
		}
	}
	for _, in := range []string{"", "M", "-1", "2G", "NaN", "Inf", "1e12", "fast", "2 M b"} {
		if got, err := ParseBitrate(in); err == nil {
			t.Errorf("%q: got %d", in, got)
		}
	}
}

func TestConfigYAML(t *testing.T) {
	t.Parallel()
	c := DefaultConfig()
	text := "main: {bitrate: 1500k, fps: 30}\nsub: {bitrate: 300000, enabled: false}"
	if err := yaml.Unmarshal([]byte(text), &c); err != nil {
		t.Fatal(err)
	}
	want := DefaultConfig()
	want.Main.Bitrate, want.Main.FPS, want.Sub.Bitrate, want.Sub.Enabled = 1_500_000, 30, 300_000, false
	if c != want {
		t.Errorf("got %+v, want %+v", c, want)
	}
	out, err := yaml.Marshal(c)
	if err != nil || !strings.Contains(string(out), "bitrate: 1500k") {
		t.Errorf("written as %s, %v", out, err)
	}
	if j, err := json.Marshal(c.Main.Bitrate); err != nil || string(j) != `"1500k"` {
		t.Errorf("JSON %s, %v", j, err)
	}
}

func TestConfigValidate(t *testing.T) {
	t.Parallel()
	if err := DefaultConfig().Validate(); err != nil {
		t.Errorf("defaults: %v", err)
	}
	err := Config{Main: Output{Width: 641, Height: 10, FPS: 0, Bitrate: 1, GOPSeconds: 0, CaptureSEI: "yes"},
		Sub: DefaultConfig().Sub}.Validate()
	if err == nil {
		t.Fatal("a broken one passed")
	}
	for _, key := range []string{
		"width: 641", "height: 10", "fps: 0", "bitrate: 1:", "gop_seconds: 0", `capture_sei: "yes"`,
	} {
		if !strings.Contains(err.Error(), "main."+key) {
			t.Errorf("%q is missing in:\n%v", key, err)
		}
	}
	if strings.Contains(err.Error(), "sub.") {
		t.Errorf("sub is good: %v", err)
	}
}

func TestOutputGOP(t *testing.T) {
	t.Parallel()
	o := DefaultConfig().Sub
	for rate, want := range map[hal.Rate]int{hal.FPS(15): 30, {Num: 30000, Den: 1001}: 60, {}: 1} {
		if got := o.GOP(rate); got != want {
			t.Errorf("%v: got %d, want %d", rate, got, want)
		}
	}
}
