package trust_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// story is how a repository comes about.
type story struct {
	class, name string
	want        string // the verdict of the last look
	tell        func(w *world)
}

// validStories are repositories that both clients accept.
func validStories() []story {
	var all []story
	add := func(name string, tell func(w *world)) {
		all = append(all, story{"valid", name, "accepted", tell})
	}
	for _, c := range []struct{ keys, threshold int }{{1, 1}, {2, 1}, {2, 2}, {3, 2}, {5, 3}, {9, 5}, {16, 16}} {
		add(fmt.Sprintf("%d of %d keys", c.threshold, c.keys), func(w *world) {
			w.allTeams(c.keys, c.threshold)
			w.start()
		})
	}
	for _, consistent := range []bool{true, false} {
		for _, lengths := range []bool{true, false} {
			for _, hashes := range [][]string{nil, {"sha256"}, {"sha512"}, {"sha256", "sha512"}} {
				add(fmt.Sprintf("consistent %v lengths %v hashes %v", consistent, lengths, hashes), func(w *world) {
					w.consistent, w.lengths, w.hashes = consistent, lengths, hashes
					w.start()
				})
			}
		}
	}
	for _, n := range []int{1, 2, 3, 10, 50, 63, 64, 65, 150} {
		add(fmt.Sprintf("%d roots missed", n), func(w *world) {
			w.publishRoot()
			for i := range n {
				w.rotate(func() { w.teams["root"] = team{newKeys(fmt.Sprint("root", i), 3), 2} })
			}
			w.start()
		})
	}
	return append(append(all, validKeys()...), validShapes()...)
}

// validKeys are repositories whose keys change, or are unusual.
func validKeys() []story {
	var all []story
	add := func(name string, tell func(w *world)) {
		all = append(all, story{"valid", name, "accepted", tell})
	}
	for _, role := range roleNames {
		add("key of "+role+" replaced", func(w *world) {
			w.start()
			w.rotate(func() { w.teams[role] = team{newKeys("fresh "+role, 1), 1} })
			w.next("targets")
			w.look()
		})
	}
	add("mixed thresholds", func(w *world) {
		w.teams = map[string]team{"root": {newKeys("root", 3), 2}, "targets": {newKeys("targets", 4), 3},
			"snapshot": {newKeys("snapshot", 2), 1}, "timestamp": {newKeys("timestamp", 1), 1}}
		w.start()
	})
	add("threshold raised", func(w *world) {
		w.start()
		w.rotate(func() { w.allTeams(4, 3) })
		w.next("targets")
		w.look()
	})
	add("threshold lowered", func(w *world) {
		w.allTeams(4, 3)
		w.start()
		w.rotate(func() { w.allTeams(4, 1) })
		w.signers["timestamp"] = newKeys("timestamp", 1)
		w.next("targets")
		w.look()
	})
	add("one key for all roles", func(w *world) {
		for _, role := range roleNames {
			w.teams[role] = team{newKeys("one", 1), 1}
		}
		w.start()
	})
	add("signatures of strangers beside enough", func(w *world) {
		w.signers["timestamp"] = append(newKeys("stranger", 3), w.teams["timestamp"].keys...)
		w.start()
	})
	add("a broken signature beside enough", func(w *world) {
		w.allTeams(3, 2)
		w.seal["timestamp"] = func(e doc) { e["signatures"].([]any)[0].(doc)["sig"] = "00" }
		w.start()
	})
	add("only as many signatures as it takes", func(w *world) {
		w.allTeams(5, 2)
		for _, role := range roleNames {
			w.signers[role] = w.teams[role].keys[3:]
		}
		w.start()
	})
	add("key id listed twice, enough others", func(w *world) {
		w.allTeams(2, 2)
		w.edit["root"] = func(s doc) { twice(s, "timestamp") }
		w.start()
	})
	add("key ids that are no hashes", func(w *world) {
		k := newKey("timestamp0")
		k.id = "the online key"
		w.teams["timestamp"] = team{[]key{k}, 1}
		w.start()
	})
	add("keys of timestamp and snapshot replaced after a fast-forward", func(w *world) {
		w.start()
		fastForward(w)
		w.look()
		w.rotate(func() {
			w.teams["timestamp"] = team{newKeys("new timestamp", 1), 1}
			w.teams["snapshot"] = team{newKeys("new snapshot", 1), 1}
		})
		w.version["timestamp"], w.version["snapshot"], w.version["targets"] = 2, 2, 2
		w.publishFrom("targets")
		w.look()
	})
	add("key of snapshot replaced after targets were fast-forwarded", func(w *world) {
		w.start()
		w.version["targets"] = 1 << 40
		w.version["snapshot"]++
		w.version["timestamp"]++
		w.publishFrom("targets")
		w.look()
		w.rotate(func() { w.teams["snapshot"] = team{newKeys("new snapshot", 1), 1} })
		w.version["targets"] = 2
		w.next("snapshot")
		w.writeTargets()
		w.publishFrom("snapshot")
		w.look()
	})
	add("keys that nobody could use, and nobody does", func(w *world) {
		w.edit["root"] = func(s doc) {
			for id, public := range map[string]string{"short": "00", "word": strings.Repeat("z", 64)} {
				s["keys"].(doc)[id] = doc{"keytype": "ed25519", "scheme": "ed25519", "keyval": doc{"public": public}}
			}
		}
		w.start()
	})
	add("a root signed by more than it takes, in capitals", func(w *world) {
		w.publishRoot()
		w.seal["root"] = func(e doc) {
			s := e["signatures"].([]any)[0].(doc)
			s["sig"] = strings.ToUpper(s["sig"].(string))
		}
		w.rotate(func() { w.teams["root"] = team{newKeys("root", 4), 1} })
		w.start()
	})
	return all
}

// twice lists the first key of a role a second time.
func twice(signed doc, role string) {
	r := signed["roles"].(doc)[role].(doc)
	ids := r["keyids"].([]any)
	r["keyids"] = append(ids, ids[0])
}

// fastForward is what a thief of the online keys can do at most.
func fastForward(w *world) {
	w.version["timestamp"], w.version["snapshot"], w.version["targets"] = 1<<40, 1<<40, w.version["targets"]
	w.publishFrom("snapshot")
}

// validShapes are repositories whose files look different, or that are looked at more than once.
func validShapes() []story {
	var all []story
	add := func(name string, tell func(w *world)) {
		all = append(all, story{"valid", name, "accepted", tell})
	}
	add("several targets in folders", func(w *world) {
		for i := range 20 {
			w.targets[fmt.Sprintf("boards/b%d/cam-1.%d.0.img", i%3, i)] = []byte(fmt.Sprint("image ", i))
		}
		w.target = "boards/b1/cam-1.4.0.img"
		w.start()
	})
	add("an empty target", func(w *world) {
		w.targets[w.target] = nil
		w.start()
	})
	add("a target with SHA-512 alone", func(w *world) {
		data := w.targets[w.target]
		w.edit["targets"] = func(s doc) { s["targets"].(doc)[w.target].(doc)["hashes"] = sums(data, "sha512") }
		w.files["targets/"+sums(data, "sha512")["sha512"].(string)+"."+w.target] = file{Data: data}
		w.start()
	})
	add("custom data of every kind", func(w *world) {
		w.custom[w.target] = doc{"n": -5, "list": []any{1, "two", nil, true, false, doc{}, []any{}},
			"text": "quote \" backslash \\ newline \n tab \t bell \x07 ümläut 漢字 🎥 <&>", "": "no name"}
		w.start()
	})
	for _, role := range roleNames {
		add("unknown fields in "+role, func(w *world) {
			w.edit[role] = func(s doc) { s["x-more"] = doc{"a": 1, "b": []any{"c"}} }
			w.seal[role] = func(e doc) {
				e["x-more"] = true
				e["signatures"].([]any)[0].(doc)["x-more"] = "yes"
			}
			w.start()
		})
	}
	add("unknown fields in keys, roles, listings and targets", func(w *world) {
		w.edit["root"] = func(s doc) {
			for _, k := range s["keys"].(doc) {
				k.(doc)["x-owner"] = "Ada"
			}
			s["roles"].(doc)["root"].(doc)["x-note"] = "in the safe"
			s["roles"].(doc)["mirrors"] = doc{"keyids": []any{}, "threshold": 1}
		}
		w.edit["timestamp"] = func(s doc) { s["meta"].(doc)["snapshot.json"].(doc)["x-n"] = 7 }
		w.edit["targets"] = func(s doc) { s["targets"].(doc)[w.target].(doc)["x-n"] = 7 }
		w.start()
	})
	add("indented", func(w *world) {
		for _, role := range roleNames {
			w.raw[role] = func(b []byte) []byte {
				var out bytes.Buffer
				if err := json.Indent(&out, b, "", "\t"); err != nil {
					panic(err)
				}
				return append(out.Bytes(), " \r\n"...)
			}
		}
		w.start()
	})
	add("other files in the snapshot, delegations beside the target", func(w *world) {
		w.edit["snapshot"] = func(s doc) { s["meta"].(doc)["beta.json"] = doc{"version": 3} }
		w.edit["targets"] = func(s doc) { s["delegations"] = delegation() }
		w.start()
	})
	return append(all, validTimes()...)
}

// delegation hands targets to a role that is called beta.
func delegation() doc {
	k := newKey("beta")
	return doc{"keys": doc{k.id: k.public}, "roles": []any{doc{"name": "beta", "keyids": []any{k.id}, "threshold": 1,
		"terminating": false, "paths": []any{"*"}}}}
}

// validTimes are repositories that are looked at more than once, or at a narrow moment.
func validTimes() []story {
	var all []story
	add := func(name string, tell func(w *world)) {
		all = append(all, story{"valid", name, "accepted", tell})
	}
	for _, role := range roleNames {
		add(role+" expires in a second", func(w *world) {
			w.expires[role] = w.now.Add(time.Second)
			w.start()
		})
		if role == "root" {
			continue
		}
		add("looked at again, newer from "+role+" on", func(w *world) {
			w.start()
			w.now = w.now.AddDate(0, 0, 1)
			w.next(role)
			w.look()
		})
	}
	add("looked at again, nothing new", func(w *world) {
		w.start()
		w.look()
		w.look()
	})
	add("a year asleep, everything renewed", func(w *world) {
		w.start()
		w.now = w.now.AddDate(1, 1, 0)
		for _, role := range roleNames {
			w.expires[role] = w.now.AddDate(0, 1, 0)
		}
		w.rotate(func() {})
		w.next("targets")
		w.look()
	})
	add("an expired root on the way", func(w *world) {
		w.expires["root"] = w.now.AddDate(-2, 0, 0)
		w.publishRoot()
		w.rotate(func() { w.expires["root"] = w.now.AddDate(-1, 0, 0) })
		w.rotate(func() { w.expires["root"] = w.now.AddDate(1, 0, 0) })
		w.start()
	})
	for _, to := range []bool{true, false} {
		add(fmt.Sprintf("consistent snapshots from %v to %v", !to, to), func(w *world) {
			w.consistent = !to
			w.start()
			w.rotate(func() { w.consistent = to })
			w.next("targets")
			w.look()
		})
	}
	add("a release follows another, the old file is gone", func(w *world) {
		w.start()
		delete(w.files, w.targetPath())
		delete(w.targets, w.target)
		w.target = "cam-1.1.0.img"
		w.targets[w.target] = []byte("the image of release 1.1.0")
		w.next("targets")
		w.look()
	})
	return all
}
