//go:build zbar

package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/ocellus/ocellus/provision/qr"
	"github.com/ocellus/ocellus/provision/qr/scene"
)

// score adds up one reader's results.
type score struct {
	shots, read, wrong int
	spent              time.Duration
}

// add counts what a reader found where want was to be found ("" for nothing).
func (s *score) add(texts []string, want string, spent time.Duration) bool {
	s.shots++
	s.spent += spent
	hit := false
	for _, t := range texts {
		if t == want {
			hit = true
		} else {
			s.wrong++
		}
	}
	if hit {
		s.read++
	}
	return hit
}

func (s *score) rate() float64 { return 100 * float64(s.read) / float64(max(s.shots, 1)) }
func (s *score) cost() float64 { return s.spent.Seconds() * 1e3 / float64(max(s.shots, 1)) }

// pair is a row of a table: zbar's score and ours.
type pair struct{ zbar, ours score }

// table is the pairs by name.
type table struct {
	names []string
	rows  map[string]*pair
}

func (t *table) row(name string) *pair {
	if t.rows == nil {
		t.rows = map[string]*pair{}
	}
	if t.rows[name] == nil {
		t.names = append(t.names, name)
		t.rows[name] = new(pair)
	}
	return t.rows[name]
}

func (t *table) print(title string) {
	fmt.Printf("\n%-16s %7s | %8s %8s | %8s %8s\n", title, "shots", "zbar %", "ms", "ours %", "ms")
	for _, n := range t.names {
		p := t.rows[n]
		fmt.Printf("%-16s %7d | %8.1f %8.2f | %8.1f %8.2f\n", n, p.zbar.shots, p.zbar.rate(), p.zbar.cost(),
			p.ours.rate(), p.ours.cost())
	}
}

// shot is one picture to read.
type shot struct {
	class   scene.Class
	payload payload
	side    float64
	params  scene.Params
	luma    []byte
}

// shots makes the pictures of all classes, a few ahead of whoever measures.
func (r *rig) shots() <-chan *shot {
	out := make(chan *shot, 4)
	go func() {
		defer close(out)
		camera, rng := scene.NewCamera(r.w, r.h), r.rng(1)
		twins := []bool{false, true}
		if r.normal {
			twins = twins[:1]
		}
		for range r.n {
			for _, class := range scene.Classes() {
				for _, payload := range r.payloads {
					for _, side := range scene.Sides() {
						p := scene.Draw(class, side, r.w, r.h, rng)
						if !strings.Contains(string(class), r.only) {
							continue
						}
						for _, p.Invert = range twins {
							luma := append([]byte(nil), camera.Take(payload.code, p)...)
							out <- &shot{class, payload, side, p, luma}
						}
					}
				}
			}
		}
	}()
	return out
}

// both lets zbar and us read one picture.
func (r *rig) both(luma []byte) (zbar []string, zbarSpent time.Duration, ours qr.Result, oursSpent time.Duration) {
	start := cpu()
	zbar = r.zbar.read(luma, r.w, r.h)
	zbarSpent = cpu() - start
	start = cpu()
	ours = r.ours.Read(luma, r.w, r.h, r.w)
	return zbar, zbarSpent, ours, cpu() - start
}

func (r *rig) classes() {
	var classes, sides, payloads, all table
	var inverted pair
	var twice score
	twins := 0
	hints := map[qr.Hint]int{}
	for s := range r.shots() {
		zbar, zbarSpent, ours, oursSpent := r.both(s.luma)
		if s.params.Invert {
			inverted.zbar.add(zbar, s.payload.text, zbarSpent)
			inverted.ours.add(ours.Texts, s.payload.text, oursSpent)
			start := cpu()
			texts := r.twice.read(s.luma, r.w, r.h)
			twice.add(texts, s.payload.text, cpu()-start)
			continue
		}
		hit := false
		for _, row := range []*pair{classes.row(string(s.class)), sides.row(fmt.Sprintf("side %2.0f %%", 100*s.side)),
			payloads.row(s.payload.name()), all.row("all")} {
			row.zbar.add(zbar, s.payload.text, zbarSpent)
			hit = row.ours.add(ours.Texts, s.payload.text, oursSpent)
		}
		if hit {
			twins++
		} else {
			hints[ours.Hint]++
		}
	}
	classes.print("class")
	sides.print("side")
	payloads.print("payload")
	all.print("")
	a := all.row("all")
	fmt.Printf("wrong texts: zbar %d, ours %d\n", a.zbar.wrong, a.ours.wrong)
	fmt.Printf("not read: closer %d, darker %d, still %d, not seen %d\n",
		hints[qr.Closer], hints[qr.Darker], hints[qr.Still], hints[qr.None])
	if r.normal {
		return
	}
	fmt.Printf("inverted: ours %d, which is %.1f %% of their normal twins, %.2f ms, wrong %d; zbar %d; "+
		"zbar told to look twice %d, %.2f ms\n", inverted.ours.read, 100*float64(inverted.ours.read)/float64(max(twins, 1)),
		inverted.ours.cost(), inverted.ours.wrong, inverted.zbar.read, twice.read, twice.cost())
}
