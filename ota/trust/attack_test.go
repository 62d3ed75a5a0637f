package trust_test

import (
	"bytes"
	"maps"
)

// attackStories are repositories that both clients refuse, at least three for each attack that the specification names
// (TUF 1.0, 1.5.2), and for a few that it does not.
func attackStories() []story {
	var all []story
	for _, group := range [][]story{arbitrary(), endless(), extraneous(), fastForwards(), freezes(), mirrors(),
		mixAndMatch(), rollbacks(), slow(), compromises(), wrongSoftware(), duplicates(), thresholds(), nonsense()} {
		all = append(all, group...)
	}
	return all
}

// flip changes one bit in the middle of the JSON's signed part, so that it still is JSON.
func flip(f *file) {
	i := bytes.Index(f.Data, []byte(`"expires":"20`)) + len(`"expires":"20`)
	f.Data[i] ^= 1
}

// arbitrary: software that nobody signed.
func arbitrary() []story {
	const class = "arbitrary software"
	var all []story
	for _, role := range roleNames[1:] {
		all = append(all,
			story{class, role + " signed by a stranger", "signatures", func(w *world) {
				w.signers[role] = newKeys("stranger", 1)
				w.start()
			}},
			story{class, role + " signed by nobody", "signatures", func(w *world) {
				w.signers[role] = []key{}
				w.start()
			}},
			story{class, role + " changed after it was signed", "signatures", func(w *world) {
				w.hashes, w.lengths = nil, false
				w.publish()
				w.serve(w.path(role), flip)
				w.look()
			}},
			story{class, role + " signed by root's key", "signatures", func(w *world) {
				w.signers[role] = w.teams["root"].keys
				w.start()
			}})
	}
	return append(all,
		story{class, "root signed by a stranger in the old one's name", "signatures", func(w *world) {
			w.start()
			w.rotate(func() {
				w.before = newKeys("stranger", 1)
				w.teams["root"] = team{w.before, 1}
			})
			w.look()
		}},
		story{class, "first root unsigned", "signatures", func(w *world) {
			w.signers["root"] = []key{}
			w.start()
		}},
		story{class, "root signed with a stranger's key under a known id", "signatures", func(w *world) {
			w.start()
			w.rotate(func() {
				k := newKey("stranger")
				k.id = w.before[0].id
				w.signers["root"] = []key{k}
			})
			w.look()
		}})
}

// endless: data without an end, or more of it than was promised.
func endless() []story {
	const class = "endless data"
	var all []story
	for _, role := range roleNames {
		all = append(all, story{class, role + " never ends", "size", func(w *world) {
			w.publish()
			if role == "root" {
				w.rotate(func() {})
			}
			w.serve(w.path(role), func(f *file) { f.Endless = true })
			w.look()
		}})
	}
	for _, role := range []string{"snapshot", "targets"} {
		all = append(all, story{class, role + " never ends, its length is not told", "size", func(w *world) {
			w.lengths, w.hashes = false, nil
			w.publish()
			w.serve(w.path(role), func(f *file) { f.Endless = true })
			w.look()
		}}, story{class, role + " one byte longer than told", "size", func(w *world) {
			w.publish()
			w.serve(w.path(role), func(f *file) { f.Data = append(f.Data, '\n') })
			w.look()
		}})
	}
	return append(all,
		story{class, "the target never ends", "size", func(w *world) {
			w.publish()
			w.serve(w.targetPath(), func(f *file) { f.Endless = true })
			w.look()
		}},
		story{class, "the target one byte longer than told", "size", func(w *world) {
			w.publish()
			w.serve(w.targetPath(), func(f *file) { f.Data = append(f.Data, 0) })
			w.look()
		}})
}

// extraneous: more software than the publisher wanted to go along.
func extraneous() []story {
	const class = "extraneous dependencies"
	add := func(w *world) { w.targets["more.img"] = []byte("more") }
	return []story{
		{class, "a target that nobody named", "no-such-target", func(w *world) {
			w.publish()
			w.files["targets/more.img"] = file{Data: []byte("more")}
			w.target = "more.img"
			w.look()
		}},
		{class, "a target added by the mirror", "signatures", func(w *world) {
			w.hashes, w.lengths = nil, false
			w.publish()
			add(w)
			w.target = "more.img"
			w.signers["targets"] = newKeys("mirror", 1)
			w.writeTargets()
			w.look()
		}},
		{class, "a dependency put into a signed target", "signatures", func(w *world) {
			w.hashes, w.lengths = nil, false
			w.custom[w.target] = doc{"needs": "aaaa"}
			w.publish()
			w.serve(w.path("targets"), func(f *file) { f.Data = bytes.Replace(f.Data, []byte("aaaa"), []byte("more"), 1) })
			w.look()
		}},
		{class, "targets of a thief of the online keys", "signatures", func(w *world) {
			w.start()
			add(w)
			w.target = "more.img"
			w.signers["targets"] = append(newKeys("timestamp", 1), newKeys("snapshot", 1)...)
			w.next("targets")
			w.look()
		}},
	}
}

// fastForwards: versions so high that the publisher can't follow. Without new keys it stays that way.
func fastForwards() []story {
	const class = "fast-forward"
	back := func(w *world, role string) {
		w.version[role] = 2
		w.publishFrom(role)
		w.look()
	}
	return []story{
		{class, "timestamp", "version", func(w *world) {
			w.start()
			w.version["timestamp"] = 1<<63 - 1
			w.publishFrom("timestamp")
			w.look()
			back(w, "timestamp")
		}},
		{class, "snapshot", "version", func(w *world) {
			w.start()
			fastForward(w)
			w.look()
			w.version["timestamp"] = 1<<40 + 1
			back(w, "snapshot")
		}},
		{class, "targets", "version", func(w *world) {
			w.start()
			w.version["targets"] = 1 << 40
			w.version["snapshot"]++
			w.version["timestamp"]++
			w.publishFrom("targets")
			w.look()
			w.version["snapshot"]++
			w.version["timestamp"]++
			w.version["targets"] = 2
			w.publishFrom("targets")
			w.look()
		}},
		{class, "only the timestamp's keys replaced", "version", func(w *world) {
			w.start()
			w.version["targets"], w.version["snapshot"] = 1<<40, 1<<40
			w.version["timestamp"]++
			w.publishFrom("targets")
			w.look()
			w.rotate(func() { w.teams["timestamp"] = team{newKeys("new timestamp", 1), 1} })
			w.version["targets"], w.version["snapshot"] = 2, 1<<40+1
			w.version["timestamp"]++
			w.publishFrom("targets")
			w.look()
		}},
		{class, "root that skips versions", "version", func(w *world) {
			w.start()
			w.rotate(func() { w.version["root"] = 1 << 40 })
			w.files["2.root.json"] = w.files[w.path("root")]
			w.look()
		}},
	}
}

// freezes: the camera is shown the same for ever.
func freezes() []story {
	const class = "indefinite freeze"
	var all []story
	for _, role := range roleNames {
		all = append(all,
			story{class, role + " expired a second ago", "expired", func(w *world) {
				w.expires[role] = w.now.Add(-1e9)
				w.start()
			}},
			story{class, role + " expired while the camera slept", "expired", func(w *world) {
				w.start()
				for _, other := range roleNames {
					w.expires[other] = w.now.AddDate(5, 0, 0)
				}
				w.expires[role] = w.now.AddDate(0, 6, 0)
				w.rotate(func() {})
				w.next("targets")
				w.now = w.now.AddDate(1, 0, 0)
				w.look()
			}})
	}
	return append(all, story{class, "the mirror stands still", "expired", func(w *world) {
		w.start()
		w.now = w.now.AddDate(0, 0, 6)
		w.look()
		w.now = w.now.AddDate(0, 0, 6)
		w.look()
	}}, story{class, "the last of many roots expired", "expired", func(w *world) {
		w.publishRoot()
		for range 49 {
			w.rotate(func() {})
		}
		w.rotate(func() { w.expires["root"] = w.now.AddDate(0, 0, -1) })
		w.start()
	}})
}

// mirrors: servers that answer with whatever they like.
func mirrors() []story {
	const class = "malicious mirrors"
	page := func(f *file) { f.Data = []byte("<html>502 Bad Gateway</html>") }
	var all []story
	for _, role := range roleNames {
		all = append(all,
			story{class, role + " is a page", "malformed", func(w *world) { serveBent(w, role, page) }},
			story{class, role + " is empty", "malformed", func(w *world) { serveBent(w, role, func(f *file) { f.Data = nil }) }},
			story{class, role + " is cut short", "malformed", func(w *world) {
				serveBent(w, role, func(f *file) { f.Data = f.Data[:len(f.Data)/2] })
			}},
			story{class, role + " has two values", "malformed", func(w *world) {
				serveBent(w, role, func(f *file) { f.Data = append(f.Data, "{}"...) })
			}},
			story{class, role + " answers 503", "carrier", func(w *world) {
				serveBent(w, role, func(f *file) { f.Status = 503 })
			}})
		if role != "root" {
			all = append(all, story{class, role + " is not there", "missing", func(w *world) {
				w.publish()
				delete(w.files, w.path(role))
				w.look()
			}})
		}
		other := map[string]string{"root": "timestamp", "timestamp": "snapshot", "snapshot": "targets",
			"targets": "root"}[role]
		all = append(all, story{class, other + " in place of " + role, "malformed", func(w *world) {
			serveBent(w, role, func(f *file) { f.Data = w.files[w.path(other)].Data })
		}})
	}
	return append(all, story{class, "the target is not there", "missing", func(w *world) {
		w.publish()
		delete(w.files, w.targetPath())
		w.look()
	}})
}

// serveBent bends the file of a role. For root that is the second one. Nobody tells how the file ought to be.
func serveBent(w *world, role string, bend func(*file)) {
	w.hashes, w.lengths = nil, false
	w.publish()
	if role == "root" {
		w.rotate(func() {})
	}
	w.serve(w.path(role), bend)
	w.look()
}

// mixAndMatch: metadata of different moments put together.
func mixAndMatch() []story {
	const class = "mix and match"
	mix := func(role string, hashes bool, want string) story {
		name := role + " of another moment"
		if hashes {
			name += ", hashes told"
		}
		return story{class, name, want, func(w *world) {
			if !hashes {
				w.hashes, w.lengths = nil, false
			}
			w.publish()
			old := w.files[w.path(role)]
			w.custom[w.target] = doc{"news": "a longer text, so that the old file is shorter"}
			w.expires["snapshot"] = w.expires["snapshot"].AddDate(0, 0, 1)
			w.next("targets")
			w.files[w.path(role)] = old
			w.look()
		}}
	}
	return []story{
		mix("snapshot", false, "version"), mix("snapshot", true, "hash"),
		mix("targets", false, "version"), mix("targets", true, "hash"),
		{class, "snapshot of a later moment", "version", func(w *world) {
			w.hashes, w.lengths = nil, false
			w.publish()
			first := w.files["timestamp.json"]
			name := w.path("snapshot")
			w.next("targets")
			w.files[name], w.files["timestamp.json"] = w.files[w.path("snapshot")], first
			w.look()
		}},
		{class, "targets of the right length, another hash", "hash", func(w *world) {
			w.custom[w.target] = doc{"moment": "old"}
			w.publish()
			w.custom[w.target] = doc{"moment": "new"}
			w.writeTargets()
			w.look()
		}},
		{class, "targets that are shorter than told", "hash", func(w *world) {
			w.hashes = nil
			w.custom[w.target] = doc{"moment": "old"}
			w.publish()
			w.custom[w.target] = doc{"moment": ""}
			w.writeTargets()
			w.look()
		}},
		{class, "a hash of an unknown kind", "hash", func(w *world) {
			w.hashes = []string{"sha256", "crc32"}
			w.start()
		}},
		{class, "one of two hashes is another", "hash", func(w *world) {
			w.edit["timestamp"] = func(s doc) {
				s["meta"].(doc)["snapshot.json"].(doc)["hashes"].(doc)["sha512"] = "00"
			}
			w.start()
		}},
	}
}

// rollbacks: what was good once.
func rollbacks() []story {
	const class = "rollback"
	old := func(name string, roles ...string) story {
		return story{class, name, "version", func(w *world) {
			w.hashes, w.lengths = nil, false
			w.start()
			before := maps.Clone(w.files)
			was := w.path("targets")
			w.next("targets")
			w.look()
			if len(roles) == 0 {
				w.files = before
				w.look()
				return
			}
			for _, role := range roles {
				w.version[role]++
			}
			w.version["targets"] = 1
			w.files[was] = before[was]
			w.publishFrom("snapshot")
			w.look()
		}}
	}
	return []story{
		old("the whole repository of yesterday"),
		old("old targets under a newer snapshot", "snapshot", "timestamp"),
		{class, "an older snapshot under a newer timestamp", "version", func(w *world) {
			w.start()
			first := w.files[w.path("snapshot")]
			w.next("targets")
			w.look()
			w.version["timestamp"]++
			w.version["snapshot"] = 1
			w.files[w.path("snapshot")] = first
			w.publishFrom("timestamp")
			w.look()
		}},
		{class, "a timestamp one version older", "version", func(w *world) {
			w.start()
			first := w.files["timestamp.json"]
			w.next("timestamp")
			w.look()
			w.files["timestamp.json"] = first
			w.look()
		}},
		{class, "the same root again as the next one", "version", func(w *world) {
			w.start()
			w.files["2.root.json"] = w.files["1.root.json"]
			w.look()
		}},
		{class, "an older root as the next one", "version", func(w *world) {
			w.publishRoot()
			w.rotate(func() {})
			w.start()
			w.files["3.root.json"] = w.files["1.root.json"]
			w.look()
		}},
		{class, "old targets, and the snapshot's keys replaced by more of them", "version", func(w *world) {
			w.start()
			w.next("targets")
			w.look()
			w.rotate(func() { w.teams["snapshot"] = team{newKeys("snapshot", 2), 1} })
			w.version["targets"] = 1
			w.next("snapshot")
			w.look()
		}},
		{class, "the root of the camera's own older system, and a mirror that hides the newer one", "signatures",
			func(w *world) {
				w.start()
				thief := w.teams["timestamp"].keys
				w.rotate(func() { w.teams["timestamp"] = team{newKeys("new timestamp", 1), 1} })
				w.next("timestamp")
				w.look()
				delete(w.files, "2.root.json")
				w.signers["timestamp"] = thief
				w.next("timestamp")
				w.look()
			}},
		{class, "an older timestamp, and one of its two keys replaced", "version", func(w *world) {
			w.teams["timestamp"] = team{newKeys("timestamp", 2), 1}
			w.start()
			first := w.files["timestamp.json"]
			w.next("timestamp")
			w.look()
			w.rotate(func() { w.teams["timestamp"] = team{newKeys("timestamp", 1), 1} })
			w.files["timestamp.json"] = first
			w.look()
		}},
	}
}

// slow: a server that begins and does not go on. Time limits are the carrier's: both clients are told by theirs.
func slow() []story {
	var all []story
	for _, role := range roleNames {
		all = append(all, story{"slow retrieval", role + " stalls", "carrier", func(w *world) {
			w.publish()
			if role == "root" {
				w.rotate(func() {})
			}
			w.serve(w.path(role), func(f *file) { f.Data, f.Stalls = f.Data[:20], true })
			w.look()
		}})
	}
	return append(all, story{"slow retrieval", "the target stalls", "carrier", func(w *world) {
		w.publish()
		w.serve(w.targetPath(), func(f *file) { f.Stalls = true })
		w.look()
	}})
}
