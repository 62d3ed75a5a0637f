package trust_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
)

// tell turns a story into what the clients find.
func tell(s story) repository {
	w := newWorld()
	s.tell(w)
	return repository{Name: s.class + ": " + s.name, Class: s.class, Root: w.root, Steps: w.steps, Want: s.want}
}

// agreed are the stories on which both clients have to agree.
func agreed() []story { return append(validStories(), attackStories()...) }

// TestAgreement is the proof that our client is a TUF client: with a set clock and the standard's own rules it comes to
// the verdict of go-tuf's client, for the same class of reason, on every repository, at every look at it.
func TestAgreement(t *testing.T) {
	t.Parallel()
	server := newServer(t)
	for i, s := range agreed() {
		t.Run(s.class+"/"+s.name, func(t *testing.T) {
			t.Parallel()
			r := tell(s)
			ours := judge(t.Context(), r)
			theirs := judgeGoTUF(t, server, fmt.Sprint("s", i), r)
			if last := ours[len(ours)-1]; last.class != s.want {
				t.Errorf("got %s (%s), want %s", last.class, last.reason, s.want)
			}
			for n, our := range ours[:len(ours)-1] {
				if our.class != "accepted" {
					t.Errorf("look %d: got %s (%s), want it accepted", n, our.class, our.reason)
				}
			}
			for n, their := range theirs {
				our := ours[min(n, len(ours)-1)] // a first root that is refused ends it
				if our.String() != their.String() {
					t.Errorf("look %d: ours says %s (%s), go-tuf says %s (%s)", n, our, our.reason, their, their.reason)
				}
			}
		})
	}
}

// TestCorpus counts: what the agreement is worth depends on how many repositories there are, and of which kinds.
func TestCorpus(t *testing.T) {
	t.Parallel()
	count := map[string]int{}
	names := map[string]bool{}
	for _, s := range agreed() {
		count[s.class]++
		if name := s.class + s.name; names[name] {
			t.Errorf("%s: %s is there twice", s.class, s.name)
		} else {
			names[name] = true
		}
	}
	for class, least := range map[string]int{
		"valid": 40, "arbitrary software": 3, "endless data": 3, "extraneous dependencies": 3, "fast-forward": 3,
		"indefinite freeze": 3, "malicious mirrors": 3, "mix and match": 3, "rollback": 3, "slow retrieval": 3,
		"key compromise": 3, "wrong software": 3, "duplicate key ids": 3, "mixed thresholds": 3,
	} {
		if count[class] < least {
			t.Errorf("%s: %d repositories, want %d", class, count[class], least)
		}
	}
	if len(names) < 150 {
		t.Errorf("%d repositories, want 150", len(names))
	}
	var table strings.Builder
	for _, class := range slices.Sorted(maps.Keys(count)) {
		fmt.Fprintf(&table, "\n%4d  %s", count[class], class)
	}
	t.Logf("%d repositories:%s", len(names), table.String())
}
