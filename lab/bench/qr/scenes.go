//go:build zbar

package main

import (
	"fmt"
	"time"

	"github.com/ocellus/ocellus/provision/qr"
	"github.com/ocellus/ocellus/provision/qr/scene"
)

// blank is a screen without a code.
type blank struct{}

func (blank) Size() int          { return 29 }
func (blank) Dark(int, int) bool { return false }

// rooms counts what is read and seen where there is no code.
func (r *rig) rooms() {
	camera, rng := scene.NewCamera(r.w, r.h), r.rng(2)
	var zbar, ours score
	seen := 0
	for i := range r.empty {
		classes := scene.Classes()
		p := scene.Draw(classes[i%len(classes)], 0.3, r.w, r.h, rng)
		texts, zbarSpent, result, oursSpent := r.both(camera.Take(blank{}, p))
		zbar.add(texts, "", zbarSpent)
		ours.add(result.Texts, "", oursSpent)
		if result.Seen {
			seen++
		}
	}
	fmt.Printf("rooms without a code: %d; read: zbar %d, ours %d; seen by ours %d; zbar %.2f ms, ours %.2f ms\n", r.empty,
		zbar.wrong, ours.wrong, seen, zbar.cost(), ours.cost())
}

// holding is how one reader fares while somebody holds a phone.
type holding struct {
	name           string
	read           func(luma []byte) []string
	scenes, shots  int
	picturesNeeded int
	spent          time.Duration
}

// watch shows a reader the pictures of one scene until it has the text.
func (h *holding) watch(pictures [][]byte, want string) {
	for i, luma := range pictures {
		h.shots++
		start := cpu()
		texts := h.read(luma)
		h.spent += cpu() - start
		for _, t := range texts {
			if t == want {
				h.scenes++
				h.picturesNeeded += i + 1
				return
			}
		}
	}
}

// scenes are three seconds of somebody who holds our own code before the camera, at a quarter of the picture's height,
// at five pictures a second: what a slow board can read.
func (r *rig) scenes() {
	const pictures, side = 15, 0.25
	slow := new(qr.Reader)
	left := 0
	slow.More = func() bool { left--; return left > 0 }
	readers := []*holding{
		{name: "zbar", read: func(b []byte) []string { return r.zbar.read(b, r.w, r.h) }},
		{name: "ours", read: func(b []byte) []string { return r.ours.Read(b, r.w, r.h, r.w).Texts }},
		{name: "ours, two looks a picture", read: func(b []byte) []string {
			left = 2
			return slow.Read(b, r.w, r.h, r.w).Texts
		}},
	}
	camera, rng := scene.NewCamera(r.w, r.h), r.rng(3)
	for i := range r.holds {
		p := r.payloads[2+i%2] // ours, an everyday network and one with a long name
		var shots [][]byte
		for _, params := range scene.Hold(side, r.w, r.h, pictures, rng) {
			shots = append(shots, append([]byte(nil), camera.Take(p.code, params)...))
		}
		for _, h := range readers {
			h.watch(shots, p.text)
		}
	}
	for _, h := range readers {
		fmt.Printf("held for 3 s, %d scenes: %-26s read %5.1f %%, after %.1f pictures, %.2f ms a picture\n", r.holds, h.name,
			100*float64(h.scenes)/float64(max(r.holds, 1)), float64(h.picturesNeeded)/float64(max(h.scenes, 1)),
			h.spent.Seconds()*1e3/float64(max(h.shots, 1)))
	}
}
