package trust_test

import "fmt"

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
		root("a new root with one of its own keys", func() []key { return append(newKeys("new root", 1), newKeys("root", 3)...) }),
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
			w.edit["targets"] = func(s doc) { s["targets"].(doc)[w.target].(doc)["hashes"].(doc)["sha512"] = "00" }
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
	}
	return all
}
