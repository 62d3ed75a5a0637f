package trust_test

import (
	"bytes"
	"fmt"
	"strings"
)

// compromises: a thief has some keys, not enough of them.
func compromises() []story {
	const class = "key compromise"
	var all []story
	for _, role := range roleNames[1:] {
		all = append(all,
			story{class, "one of two needed keys of " + role, "signatures", func(w *world) {
				w.teams[role] = team{newKeys(role, 3), 2}
				w.start()
				w.signers[role] = newKeys(role, 1)
				w.next("targets")
				w.look()
			}},
			story{class, "the revoked key of " + role, "signatures", func(w *world) {
				w.start()
				thief := w.teams[role].keys
				w.rotate(func() { w.teams[role] = team{newKeys("new "+role, 1), 1} })
				w.signers[role] = thief
				w.next("targets")
				w.look()
			}})
	}
	root := func(name string, signers func() []key) story {
		return story{class, name, "signatures", func(w *world) {
			w.teams["root"] = team{newKeys("root", 3), 2}
			w.start()
			w.signers["root"] = signers()
			w.rotate(func() { w.teams["root"] = team{newKeys("new root", 3), 2} })
			w.look()
		}}
	}
	return append(all,
		root("one key of root", func() []key { return append(newKeys("new root", 3), newKeys("root", 1)...) }),
		root("a new root without its own keys", func() []key { return newKeys("root", 3) }),
		root("a new root with one of its own keys", func() []key {
			return append(newKeys("new root", 1), newKeys("root",
				3)...)
		}),
		root("a new root without the old keys", func() []key { return newKeys("new root", 3) }),
		story{class, "root of a revoked root key", "signatures", func(w *world) {
			w.publishRoot()
			w.rotate(func() { w.teams["root"] = team{newKeys("new root", 1), 1} })
			w.start()
			w.signers["root"] = append(newKeys("root", 1), newKeys("thief", 1)...)
			w.rotate(func() { w.teams["root"] = team{newKeys("thief", 1), 1} })
			w.look()
		}},
		story{class, "the thief of the timestamp names a snapshot of his own", "signatures", func(w *world) {
			w.start()
			w.signers["snapshot"] = newKeys("timestamp", 1)
			w.next("snapshot")
			w.look()
		}},
		story{class, "in the middle of fifty roots", "signatures", func(w *world) {
			w.publishRoot()
			for i := range 50 {
				if w.signers["root"] = nil; i == 25 {
					w.signers["root"] = newKeys("thief", 2)
				}
				w.rotate(func() { w.teams["root"] = team{newKeys(fmt.Sprint("root", i), 2), 2} })
			}
			w.start()
		}})
}

// wrongSoftware: a file in another one's place.
func wrongSoftware() []story {
	const class = "wrong software"
	bend := func(name, want string, change func(w *world, f *file)) story {
		return story{class, name, want, func(w *world) {
			w.targets["other.img"] = []byte("the image of release 6.6.6")
			w.publish()
			w.serve(w.targetPath(), func(f *file) { change(w, f) })
			w.look()
		}}
	}
	return []story{
		bend("another target of the same length", "hash", func(w *world, f *file) { f.Data = w.targets["other.img"] }),
		bend("one bit flipped", "hash", func(_ *world, f *file) { f.Data[3] ^= 4 }),
		bend("cut short", "hash", func(_ *world, f *file) { f.Data = f.Data[:9] }),
		bend("empty", "hash", func(_ *world, f *file) { f.Data = nil }),
		{class, "one of two hashes of the target is another", "hash", func(w *world) {
			w.files["targets/00."+w.target] = file{Data: w.targets[w.target]} // go-tuf asks by either
			w.edit["targets"] = func(s doc) { s["targets"].(doc)[w.target].(doc)["hashes"].(doc)["sha512"] = "00" }
			w.start()
		}},
		{class, "a target that is longer on paper", "hash", func(w *world) {
			w.edit["targets"] = func(s doc) { s["targets"].(doc)[w.target].(doc)["length"] = 99 }
			w.start()
		}},
		{class, "a hash that is no hexadecimal", "malformed", func(w *world) {
			w.edit["targets"] = func(s doc) { s["targets"].(doc)[w.target].(doc)["hashes"] = doc{"sha256": "zz"} }
			w.start()
		}},
		{class, "a target without hashes", "malformed", func(w *world) {
			w.edit["targets"] = func(s doc) { s["targets"].(doc)[w.target].(doc)["hashes"] = doc{} }
			w.start()
		}},
		{class, "a hash of an unknown kind", "hash", func(w *world) {
			w.edit["targets"] = func(s doc) { s["targets"].(doc)[w.target].(doc)["hashes"] = doc{"crc32": "00"} }
			w.files["targets/00."+w.target] = file{Data: w.targets[w.target]}
			w.consistent = false
			w.start()
		}},
	}
}

// duplicates: one key that would count twice.
func duplicates() []story {
	const class = "duplicate key ids"
	var all []story
	for _, role := range roleNames {
		start := func(w *world) {
			w.publish()
			w.look()
		}
		all = append(all,
			story{class, "two signatures under one id in " + role, "malformed", func(w *world) {
				w.teams[role] = team{newKeys(role, 2), 2}
				w.seal[role] = func(e doc) { list := e["signatures"].([]any); e["signatures"] = []any{list[0], list[0]} }
				start(w)
			}},
			story{class, "two signatures under one id beside enough in " + role, "malformed", func(w *world) {
				w.seal[role] = func(e doc) { list := e["signatures"].([]any); e["signatures"] = append(list, list[0]) }
				start(w)
			}},
			story{class, "one id listed twice for " + role, "signatures", func(w *world) {
				w.teams[role] = team{newKeys(role, 1), 2}
				w.edit["root"] = func(s doc) { twice(s, role) }
				start(w)
			}},
			story{class, "one key under two ids for " + role, "signatures", func(w *world) {
				same := newKey(role + "0")
				same.id = "another id"
				w.teams[role] = team{append(newKeys(role, 1), same), 2}
				start(w)
			}})
	}
	return all
}

// thresholds: too few, of roles that ask for different numbers.
func thresholds() []story {
	const class = "mixed thresholds"
	mixed := map[string]team{"root": {newKeys("root", 3), 2}, "targets": {newKeys("targets", 4), 3},
		"snapshot": {newKeys("snapshot", 5), 4}, "timestamp": {newKeys("timestamp", 2), 2}}
	var all []story
	for _, role := range roleNames {
		all = append(all,
			story{class, role + " one short", "signatures", func(w *world) {
				for r, t := range mixed {
					w.teams[r] = t
				}
				w.signers[role] = mixed[role].keys[:mixed[role].threshold-1]
				w.start()
			}},
			story{class, role + " one of them broken", "signatures", func(w *world) {
				for r, t := range mixed {
					w.teams[r] = t
				}
				w.signers[role] = mixed[role].keys[:mixed[role].threshold]
				w.seal[role] = func(e doc) { e["signatures"].([]any)[0].(doc)["sig"] = "abcd" }
				w.start()
			}},
			story{class, role + " asks for more keys than it has", "signatures", func(w *world) {
				w.teams[role] = team{newKeys(role, 2), 3}
				w.start()
			}})
		for name, bend := range map[string]func(r doc, roles doc){
			"a threshold of 0":      func(r, _ doc) { r["threshold"] = 0 },
			"a threshold below 0":   func(r, _ doc) { r["threshold"] = -1 },
			"no keys":               func(r, _ doc) { r["keyids"] = []any{} },
			"keys that are no list": func(r, _ doc) { r["keyids"] = doc{"a": r["keyids"].([]any)[0]} },
			"a key that is not in":  func(r, _ doc) { r["keyids"] = append(r["keyids"].([]any), "nobody") },
			"no entry":              func(_, roles doc) { delete(roles, role) },
		} {
			all = append(all, story{class, role + " has " + name, "malformed", func(w *world) {
				w.edit["root"] = func(s doc) {
					roles := s["roles"].(doc)
					bend(roles[role].(doc), roles)
				}
				w.start()
			}})
		}
	}
	return all
}

// nonsense: what no JSON of this kind may be.
func nonsense() []story {
	const class = "malformed metadata"
	var all []story
	for _, role := range roleNames {
		bend := func(name, from, to string) {
			all = append(all, story{class, name + " in " + role, "malformed", func(w *world) {
				w.publish()
				if role == "root" {
					w.rotate(func() {})
				}
				w.hashes, w.lengths = nil, false
				w.raw[role] = func(b []byte) []byte {
					i := bytes.LastIndex(b, []byte(from))
					return append(append(bytes.Clone(b[:i]), to...), b[i+len(from):]...)
				}
				if role == "root" {
					w.publishRoot()
				} else {
					w.publishFrom(role)
				}
				w.look()
			}})
		}
		bend("a fraction", `"version":`, `"x":1.5,"version":`)
		bend("a power", `"version":`, `"x":1e-3,"version":`)
		bend("a number beyond 64 bits", `"version":`, `"version":9`+strings.Repeat("0", 20))
		bend("a bare word", `"version":`, `"x":yes,"version":`)
		bend("a list that does not end", `"version":`, `"x":[1,"version":`)
		bend("a list without a comma", `"version":`, `"x":[1 2],"version":`)
		bend("a name without a quote", `"version":`, `version:`)
		bend("a name without a colon", `"version":`, `"version"`)
		bend("a control character", `"version":`, "\"x\":\"a\x01b\",\"version\":")
		bend("a control character behind an escape", `"version":`, "\"x\":\"\\n\x01b\",\"version\":")
		bend("an unknown escape", `"version":`, `"x":"\q","version":`)
		bend("a short escape", `"version":`, `"x":"\u00g1","version":`)
		bend("a text that does not end", `"expires":"`, `"expires":"\"`)
		bend("no type", `"_type":`, `"type":`)
		bend("an escape in a name that no one knows", `"version":`, `"x\:5,"version":`)
		bend("an escape like that of a character", `"version":`, `"x":"\x0041","version":`)
		bend("a version in digits, but as text", `"version":`, `"version":"1","x":`)
		bend("a version in words", `"version":`, `"version":"one","x":`)
		bend("no time", `"expires":"20`, `"expires":"in 20`)
		bend("an impossible day", `"expires":"20`, `"expires":"2031-02-30T00:00:00Z","x":"`)
		bend("a signature that is no hexadecimal", `"sig":"`, `"sig":"zz`)
		bend("signatures that are no list", `"signatures":[`, `"signatures":{},"x":[`)
		bend("a list that ends with a comma", `"version":`, `"x":[1,],"version":`)
		bend("an object that ends with a comma", `"version":`, `"x":{"a":1,},"version":`)
		bend("two commas", `"version":`, `,"version":`)
		bend("a leading zero", `"version":`, `"version":0`)
	}
	for _, end := range []string{`{"a\`, `{"a\u12`, `{"a\ud83c`, `{"a\n`, `{"a"`, `{"a":`, `{"a":1`, `[`, `"`, `tru`,
		`-`} {
		all = append(all, story{class, "cut short: " + end, "malformed", func(w *world) {
			w.publish()
			w.files["timestamp.json"] = file{Data: []byte(end)}
			w.look()
		}})
	}
	return append(all, story{class, "first root is a page", "malformed", func(w *world) {
		w.start()
		w.root = []byte("<html>")
	}}, story{class, "a snapshot that names no targets", "malformed", func(w *world) {
		w.edit["snapshot"] = func(s doc) { s["meta"] = doc{} }
		w.start()
	}})
}
