package trust_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/ocellus/ocellus/ota/trust"
)

// difference is a repository on which we differ from go-tuf's client, and want to.
type difference struct {
	name   string
	ours   trust.Reason // "": accepted
	theirs string       // go-tuf's verdict: accepted, a class of reasons, panic; "": it is not asked
	tell   func(w *world)
	camera func(w *world) camera // nil: strict rules
	doubt  trust.Doubt
}

func differences() []difference {
	var all []difference
	for _, group := range [][]difference{stricterJSON(), stricterMetadata(), otherKeys(), bounds(), otherFiles(),
		cameras()} {
		all = append(all, group...)
	}
	return all
}

// TestDifferences: the second table of docs/ota-trust.md.
func TestDifferences(t *testing.T) {
	t.Parallel()
	server := newServer(t)
	for i, d := range differences() {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			r := d.repository()
			ours := judge(t.Context(), r)
			last := ours[len(ours)-1]
			if last.reason != string(d.ours) || !strings.HasPrefix(last.more, fmt.Sprintf("%q ", d.doubt)) {
				t.Errorf("ours: got %q (%.20s), want %q, doubt %q", last.reason, last.more, d.ours, d.doubt)
			}
			for n, our := range ours[:len(ours)-1] {
				if our.class != "accepted" {
					t.Errorf("look %d: got %s (%s), want it accepted", n, our.class, our.reason)
				}
			}
			if d.theirs == "" {
				return
			}
			theirs := judgeGoTUF(t, server, fmt.Sprint("d", i), r)
			if last := theirs[len(theirs)-1]; last.class != d.theirs {
				t.Errorf("go-tuf: got %s (%s), want %s", last.class, last.reason, d.theirs)
			}
		})
	}
}

func (d difference) repository() repository {
	w := newWorld()
	d.tell(w)
	r := repository{Name: "difference: " + d.name, Class: "difference", Root: w.root, Steps: w.steps}
	if d.camera != nil {
		c := d.camera(w)
		r.Camera = &c
	}
	return r
}

// rewrite serves the metadata of a role with some bytes replaced after it was signed.
func rewrite(role, from, to string) func(w *world) {
	return func(w *world) {
		w.edit[role] = func(s doc) { s["x-note"] = "note \uFFFD" }
		w.raw[role] = func(b []byte) []byte { return bytes.Replace(b, []byte(from), []byte(to), 1) }
		w.start()
	}
}

// edited publishes the metadata of a role as it was edited before it was signed.
func edited(role string, edit func(s doc)) func(w *world) {
	return func(w *world) {
		w.edit[role] = edit
		w.start()
	}
}

// stricterJSON: text that means different things to different readers. go-tuf signs and verifies what it understood.
func stricterJSON() []difference {
	const m = trust.Malformed
	var all []difference
	for _, role := range roleNames {
		all = append(all,
			difference{"a name twice in what is signed, " + role, m, "accepted", rewrite(role, `"expires"`,
				`"x-note":1,"expires"`), nil, ""},
			difference{"a name twice around it, " + role, m, "accepted", rewrite(role, `"signed"`, `"x":1,"x":2,"signed"`),
				nil, ""},
			difference{"text that is not UTF-8, " + role, m, "accepted", rewrite(role, "\uFFFD", "\xff"), nil, ""},
			difference{"half a surrogate pair, " + role, m, "accepted", rewrite(role, "\uFFFD", `\ud83c`), nil, ""},
			difference{"half a pair and something like the other half, " + role, m, "signatures",
				rewrite(role, "\uFFFD", `\ud83cXudf00`), nil, ""},
			difference{"half a pair and a letter, " + role, m, "signatures", rewrite(role, "\uFFFD", `\ud83c\u0041`), nil, ""},
			difference{"minus zero, " + role, m, "accepted", func(w *world) {
				w.raw[role] = func(b []byte) []byte {
					return bytes.Replace(b, []byte(`{"signatures"`), []byte(`{"x":-0,"signatures"`), 1)
				}
				w.start()
			}, nil, ""},
			difference{"a fraction around what is signed, " + role, m, "accepted",
				rewrite(role, `{"signatures"`, `{"x":0.5,"signatures"`), nil, ""},
			difference{"a number that go-tuf rounds, " + role, "", "signatures",
				edited(role, func(s doc) { s["x-n"] = int64(1<<53 + 1) }), nil, ""},
		)
	}
	deep := strings.Repeat("[", 40) + strings.Repeat("]", 40)
	wide := "[" + strings.Repeat("0,", 1<<16) + "0]"
	return append(all,
		difference{"lists forty deep", m, "accepted", rewrite("targets", `{"signatures"`, `{"x":`+deep+`,"signatures"`),
			nil, ""},
		difference{"too many values", m, "accepted", rewrite("targets", `{"signatures"`, `{"x":`+wide+`,"signatures"`), nil,
			""})
}

// stricterMetadata: fields that the standard describes more narrowly than go-tuf reads them.
func stricterMetadata() []difference {
	const m = trust.Malformed
	var all []difference
	for _, role := range roleNames {
		all = append(all,
			difference{"expires this very second, " + role, trust.Expired, "accepted",
				func(w *world) { w.expires[role] = w.now; w.start() }, nil, ""},
			difference{"spec_version 2, " + role, trust.SpecVersion, "accepted",
				edited(role, func(s doc) { s["spec_version"] = "2.0.0" }), nil, ""},
			difference{"expires with a fraction, " + role, m, "accepted",
				edited(role, func(s doc) { s["expires"] = "2030-01-01T00:00:00.5Z" }), nil, ""},
			difference{"issued is no time, " + role, m, "accepted",
				edited(role, func(s doc) { s["issued"] = "yesterday" }), nil, ""},
			difference{"a signature without a key id, " + role, m, "accepted", func(w *world) {
				w.seal[role] = func(e doc) { e["signatures"] = append(e["signatures"].([]any), doc{"sig": "00"}) }
				w.start()
			}, nil, ""},
			difference{"signatures of null, " + role, m, "signatures", func(w *world) {
				w.seal[role] = func(e doc) { e["signatures"] = nil }
				w.start()
			}, nil, ""},
		)
		if role == "root" {
			continue
		}
		all = append(all, difference{"version 0, " + role, m, "accepted",
			func(w *world) { w.version[role] = 0; w.start() }, nil, ""})
	}
	return append(all,
		difference{"consistent_snapshot missing", m, "signatures", edited("root", func(s doc) {
			delete(s,
				"consistent_snapshot")
		}), nil, ""},
		difference{"a snapshot without a version", m, "signatures", edited("timestamp", func(s doc) {
			delete(s["meta"].(doc)["snapshot.json"].(doc), "version")
		}), nil, ""},
		difference{"a hash in capitals", m, "signatures", edited("timestamp", func(s doc) {
			h := s["meta"].(doc)["snapshot.json"].(doc)["hashes"].(doc)
			h["sha256"] = strings.ToUpper(h["sha256"].(string))
		}), nil, ""},
		difference{"no hashes, but told", m, "signatures", edited("timestamp", func(s doc) {
			s["meta"].(doc)["snapshot.json"].(doc)["hashes"] = doc{}
		}), nil, ""},
		difference{"an empty hash", m, "hash", edited("timestamp", func(s doc) {
			s["meta"].(doc)["snapshot.json"].(doc)["hashes"] = doc{"sha256": ""}
		}), nil, ""},
		difference{"a negative length", m, "size", edited("timestamp", func(s doc) {
			s["meta"].(doc)["snapshot.json"].(doc)["length"] = -1
		}), nil, ""},
		difference{"a timestamp that names no snapshot", m, "panic", edited("timestamp", func(s doc) {
			s["meta"] = doc{}
		}), nil, ""},
		difference{"targets of null", m, "no-such-target", edited("targets", func(s doc) { s["targets"] = nil }), nil, ""},
		difference{"a target without a length", m, "signatures", edited("targets", func(s doc) {
			s["targets"].(doc)["x"] = doc{"hashes": sums(nil, "sha256")}
		}), nil, ""},
		difference{"a target of negative length", m, "accepted", edited("targets", func(s doc) {
			s["targets"].(doc)["x"] = doc{"length": -1, "hashes": sums(nil, "sha256")}
		}), nil, ""},
	)
}

// otherKeys: Ed25519 alone, and what we don't know keeps nobody out.
func otherKeys() []difference {
	public := func(change func(k doc)) func(w *world) {
		return edited("root", func(s doc) {
			id := newKey("timestamp0").id
			k := newKey("timestamp0").public // a key of its own: the one in the world is shared
			change(k)
			s["keys"].(doc)[id] = k
		})
	}
	return []difference{
		{"timestamp signed with ECDSA", trust.Threshold, "accepted", signECDSA, nil, ""},
		{"a key of a scheme that nobody knows", trust.Threshold, "accepted",
			public(func(k doc) { k["scheme"] = "ed25519-later" }), nil, ""},
		{"a key of a kind that nobody knows", trust.Threshold, "malformed",
			public(func(k doc) { k["keytype"] = "later" }), nil, ""},
		{"a key of an unknown kind beside enough others", "", "malformed", func(w *world) {
			later := newKey("later")
			later.public = doc{"keytype": "later", "scheme": "later", "keyval": doc{"public": "00"}}
			w.teams["timestamp"] = team{append(newKeys("timestamp", 1), later), 1}
			w.start()
		}, nil, ""},
		{"a key of the wrong length", trust.Threshold, "panic",
			public(func(k doc) { k["keyval"] = doc{"public": "00"} }), nil, ""},
		{"a key with something behind it", trust.Threshold, "malformed",
			public(func(k doc) { k["keyval"].(doc)["public"] = k["keyval"].(doc)["public"].(string) + "zz" }), nil, ""},
		{"a key that is too short beside enough others", "", "panic", func(w *world) {
			short := newKey("short")
			short.public = doc{"keytype": "ed25519", "scheme": "ed25519", "keyval": doc{"public": "00"}}
			w.teams["timestamp"] = team{append(newKeys("timestamp", 1), short), 1}
			w.start()
		}, nil, ""},
	}
}

// signECDSA gives the timestamp to a key of another kind.
func signECDSA(w *world) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	der, err := x509.MarshalPKIXPublicKey(private.Public())
	if err != nil {
		panic(err)
	}
	text := string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	k := newKey("timestamp0")
	k.public = doc{"keytype": "ecdsa", "scheme": "ecdsa-sha2-nistp256", "keyval": doc{"public": text}}
	w.teams["timestamp"] = team{[]key{k}, 1}
	w.seal["timestamp"] = func(e doc) {
		sum := sha256.Sum256(canonical(e["signed"]))
		sig, err := ecdsa.SignASN1(rand.Reader, private, sum[:])
		if err != nil {
			panic(err)
		}
		e["signatures"] = []any{doc{"keyid": k.id, "sig": hex.EncodeToString(sig)}}
	}
	w.start()
}

// bounds: more of something than a camera takes.
func bounds() []difference {
	const m = trust.Malformed
	return []difference{
		{"65 signatures", m, "accepted", func(w *world) {
			w.signers["timestamp"] = append(newKeys("stranger", 64), newKeys("timestamp", 1)...)
			w.start()
		}, nil, ""},
		{"129 keys", m, "accepted", edited("root", func(s doc) {
			for _, k := range newKeys("spare", 125) {
				s["keys"].(doc)[k.id] = k.public
			}
		}), nil, ""},
		{"65 keys of a role", m, "accepted", func(w *world) {
			w.teams["snapshot"] = team{newKeys("snapshot", 65), 1}
			w.signers["snapshot"] = newKeys("snapshot", 1)
			w.start()
		}, nil, ""},
		{"2049 targets", m, "accepted", func(w *world) {
			for i := range trust.MaxTargetList {
				w.targets[fmt.Sprint("t", i)] = nil
			}
			w.start()
		}, nil, ""},
		{"a snapshot that is as long as told, and too long", trust.TooBig, "accepted", func(w *world) {
			w.raw["snapshot"] = func(b []byte) []byte { return append(b, bytes.Repeat([]byte(" "), trust.MaxSnapshot)...) }
			w.start()
		}, nil, ""},
		{"a first root that is too long", trust.TooBig, "accepted", func(w *world) {
			w.raw["root"] = func(b []byte) []byte { return append(b, bytes.Repeat([]byte(" "), trust.MaxRoot)...) }
			w.start()
		}, nil, ""},
		{"strict rules without a clock", "begin update session: strict rules need a clock", "", (*world).start,
			func(*world) camera { return camera{Rules: trust.Rules{Strict: true}} }, ""},
		{"a system whose own root nobody signed", trust.Threshold, "", (*world).start, func(w *world) camera {
			return camera{trust.Rules{Now: epoch}, epoch, mustJSON(envelope(w.signed("root", doc{"version": 9,
				"consistent_snapshot": true, "keys": doc{"a": newKey("a").public},
				"roles": doc{"root": everybody("a"), "timestamp": everybody("a"), "snapshot": everybody("a"),
					"targets": everybody("a")}})))}
		}, ""},
		{"no first root", trust.NoRoot, "malformed", func(w *world) {
			w.start()
			w.root = nil
		}, nil, ""},
	}
}

func everybody(id string) doc { return doc{"keyids": []any{id}, "threshold": 1} }

// otherFiles: names, delegated roles, and the same version twice.
func otherFiles() []difference {
	var all []difference
	for _, name := range []string{"../../etc/passwd", "/etc/passwd", "a//b", "a/./b", "a/", ".", "two words", "tab\t", "ä",
		"back\\slash", strings.Repeat("long", 51), ""} {
		all = append(all, difference{fmt.Sprintf("a target that is called %.20q", name), trust.Malformed, "accepted",
			edited("targets", func(s doc) {
				s["targets"].(doc)[name] = doc{"length": 1, "hashes": sums([]byte("x"), "sha256")}
			}), nil, ""})
	}
	return append(all,
		difference{"a target of a delegated role", trust.Delegated, "accepted", delegated, nil, ""},
		difference{"a target of hash bins", trust.Delegated, "malformed", func(w *world) {
			k := newKey("beta")
			w.edit["targets"] = func(s doc) {
				s["delegations"] = doc{"keys": doc{k.id: k.public}, "succinct_roles": doc{"keyids": []any{k.id},
					"threshold": 1, "bit_length": 1, "name_prefix": "bin"}}
			}
			w.target = "beta.img"
			w.start()
		}, nil, ""},
		difference{"a snapshot that drops another role", "", "malformed", otherRole(func(meta doc) {}), nil, ""},
		difference{"a snapshot that names an older version of another role", "", "version",
			otherRole(func(meta doc) { meta["beta.json"] = doc{"version": 1} }), nil, ""},
		difference{"another timestamp of the same version", trust.Changed, "accepted", func(w *world) {
			w.start()
			w.expires["timestamp"] = w.expires["timestamp"].AddDate(0, 0, 1)
			w.publishFrom("timestamp")
			w.look()
		}, nil, ""},
	)
}

// delegated serves a target that only the role beta names.
func delegated(w *world) {
	w.target = "beta.img"
	data := []byte("a beta image")
	signed := w.signed("targets", doc{"targets": doc{w.target: doc{"length": len(data), "hashes": sums(data, "sha256")}}})
	w.edit["snapshot"] = func(s doc) { s["meta"].(doc)["beta.json"] = doc{"version": 1} }
	w.edit["targets"] = func(s doc) { s["delegations"] = delegation() }
	w.publish()
	w.files["1.beta.json"] = file{Data: mustJSON(envelope(signed, newKey("beta")))}
	w.files["targets/"+sums(data, "sha256")["sha256"].(string)+"."+w.target] = file{Data: data}
	w.look()
}

func otherRole(second func(meta doc)) func(w *world) {
	return func(w *world) {
		w.edit["snapshot"] = func(s doc) { s["meta"].(doc)["beta.json"] = doc{"version": 3} }
		w.start()
		w.edit["snapshot"] = func(s doc) { second(s["meta"].(doc)) }
		w.next("snapshot")
		w.look()
	}
}

// cameras: what a camera without a good clock makes of it, and what its owner may bring.
func cameras() []difference {
	by := func(rules trust.Rules, floor time.Time) func(*world) camera {
		return func(*world) camera { return camera{Rules: rules, Floor: floor} }
	}
	late := epoch.AddDate(0, 0, 30) // the timestamp has expired, nothing else
	plain := func(w *world) { w.now = late; w.publish(); w.look() }
	asleep := func(w *world) {
		w.publishRoot()
		for i := range 50 {
			w.rotate(func() { w.teams["root"] = team{newKeys(fmt.Sprint("root", i), 3), 2} })
		}
		plain(w)
	}
	ended := func(role string) func(w *world) {
		return func(w *world) { w.expires[role] = epoch.AddDate(0, 0, 10); plain(w) }
	}
	year := func(y int) time.Time { return time.Date(y, 1, 1, 0, 0, 0, 0, time.UTC) }
	return []difference{
		{"no clock", "", "expired", plain, by(trust.Rules{}, epoch), trust.NoClock},
		{"no clock, no floor", "", "expired", plain, by(trust.Rules{}, time.Time{}), trust.NoClock},
		{"no clock, the floor is behind the timestamp's end", trust.Expired, "expired", plain, by(trust.Rules{}, late), ""},
		{"no clock, the floor is behind the root's end", trust.Expired, "expired", plain, by(trust.Rules{}, year(2040)), ""},
		{"a clock of 1970", "", "expired", plain, by(trust.Rules{Now: year(1970)}, epoch), trust.ClockBehind},
		{"a clock of 2100", "", "expired", plain, by(trust.Rules{Now: year(2100)}, epoch), trust.ClockAhead},
		{"a clock of 2100, the floor is behind the root's end", trust.Expired, "expired", plain,
			by(trust.Rules{Now: year(2100)}, year(2040)), ""},
		{"a clock of 2100, an old timestamp", trust.Rollback, "", func(w *world) {
			w.start()
			first := w.files["timestamp.json"]
			w.next("timestamp")
			w.look()
			w.files["timestamp.json"] = first
			w.look()
		}, by(trust.Rules{Now: year(2100)}, epoch), ""},
		{"fifty roots and a clock of 1970", "", "expired", asleep, by(trust.Rules{Now: year(1970)}, epoch),
			trust.ClockBehind},
		{"fifty roots and a clock of 2100", "", "expired", asleep, by(trust.Rules{Now: year(2100)}, epoch), trust.ClockAhead},
		{"a good clock", trust.Expired, "expired", plain, by(trust.Rules{Now: late}, epoch), ""},
		{"a good clock, before the timestamp's end", "", "expired", plain, by(trust.Rules{Now: epoch}, epoch), ""},
		{"brought by the owner after the timestamp's end", "", "expired", plain,
			by(trust.Rules{Now: late, Local: true}, epoch), trust.Waived},
		{"brought by the owner, no clock, the floor is behind the timestamp's end", "", "expired", plain,
			by(trust.Rules{Local: true}, late), trust.Waived},
		{"brought by the owner, no clock", "", "expired", plain, by(trust.Rules{Local: true}, epoch), trust.NoClock},
		{"brought by the owner, the snapshot has expired", trust.Expired, "expired", ended("snapshot"),
			by(trust.Rules{Now: late, Local: true}, epoch), ""},
		{"brought by the owner, the targets have expired", trust.Expired, "expired", ended("targets"),
			by(trust.Rules{Now: late, Local: true}, epoch), ""},
		{"brought by the owner, the root has expired", trust.Expired, "expired", ended("root"),
			by(trust.Rules{Local: true}, late), ""},
		{"brought by the owner, made before the camera last looked", "", "version", madeBefore(false),
			by(trust.Rules{Now: epoch, Local: true}, epoch), ""},
		{"brought by the owner, newer", "", "accepted", func(w *world) {
			w.start()
			w.next("timestamp")
			w.look()
		}, by(trust.Rules{Now: epoch, Local: true}, epoch), ""},
		{"brought by a mirror, made before the camera last looked", trust.Rollback, "version", madeBefore(false),
			by(trust.Rules{Now: epoch}, epoch), ""},
		{"brought by the owner, of an older release", trust.Rollback, "version", madeBefore(true),
			by(trust.Rules{Now: epoch, Local: true}, epoch), ""},
		{"brought by the owner, signed by a stranger", trust.Threshold, "signatures", func(w *world) {
			w.signers["timestamp"] = newKeys("stranger", 1)
			w.start()
		}, by(trust.Rules{Local: true}, epoch), ""},
	}
}

// madeBefore serves a timestamp that is older than the one before, of the same snapshot or of an older one.
func madeBefore(release bool) func(w *world) {
	return func(w *world) {
		w.start()
		first := w.files["timestamp.json"]
		w.next("timestamp")
		if release {
			w.next("targets")
		}
		w.look()
		w.files["timestamp.json"] = first
		w.look()
	}
}
