package main

import (
	"os"
	"testing"

	"filippo.io/age"
)

// TestSlips: what goes wrong on the first day is said in words that lead on, and nothing is left behind.
func TestSlips(t *testing.T) {
	t.Parallel()
	p := newPublisher(t)
	stranger, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	other := p.write("other", []byte(stranger.String()+"\n"))
	image := p.write("image", make([]byte, 5000))
	keys := []string{"--repo", p.path("repo"), "--keys", p.path("keys"), "--identity"}
	p.must("build", "--board", "b", "--slot", image, "--version", "1.4.0", "-o", p.path("new.bundle"))
	for _, c := range []struct {
		words []string
		want  string
	}{
		{[]string{"publish", "--repo", p.path("repo"), "--keys", p.path("keys"), p.path("new.bundle")},
			"the keys are encrypted: --identity or --passphrase-file"},
		{append([]string{"publish", p.path("new.bundle")}, append(keys, other)...),
			"it was encrypted for another passphrase or identity"},
		{append([]string{"publish", image}, append(keys, p.path("identity"))...), "not what camctl ota build writes"},
		{append([]string{"rollout", "b/nothing.img"}, append(keys, p.path("identity"))...), "camctl ota verify lists them"},
		{append([]string{"root", "--replace", "release", "--recipient", stranger.Recipient().String()},
			append(keys, p.path("identity"))...),
			"want targets, snapshot, timestamp, or the name of a root key: root-1"},
		{[]string{"verify", "--repo", p.path("nowhere"), "--root", p.path("repo/1.root.json")}, p.path("nowhere")},
		{[]string{"init", "--repo", p.path("repo"), "--keys", p.path("keys")}, "it is there already"},
		{[]string{"patch", image, p.path("new.bundle"), "-o", p.path("made.img")}, "no delta"},
	} {
		code, said := p.run(c.words...)
		if code == exitOK {
			t.Errorf("%q: it went well", c.words)
		}
		wants(t, said, c.want)
	}
	if _, err := os.Stat(p.path("made.img")); err == nil {
		t.Error("half an image is left")
	}
}
