package ota

import (
	"bytes"
	"math/rand/v2"
	"slices"
)

// replay is a recorded run, on its way: what is on the disk for sure, and what may be.
type replay struct {
	durable world
	pending []op
	now     map[string]string  // what is promised of each place
	soon    map[string]*string // what it is about to be
	kept    map[string]bool    // the promise was made in this run
	late    *string            // what the boot loader wrote to the record, until somebody flushes it
}

// settle makes what a flush is about durable, in order.
func (r *replay) settle(about func(op) bool) {
	var rest []op
	for _, o := range r.pending {
		if about(o) {
			r.durable.apply(o)
		} else {
			rest = append(rest, o)
		}
	}
	r.pending = rest
}

// step goes one operation further.
func (r *replay) step(o op) {
	switch o.kind {
	case opSync:
		r.settle(func(p op) bool { return p.kind == opWrite && p.medium == o.medium })
		r.flushed(o.medium == envDisk)
	case opFsync:
		r.settle(func(p op) bool { return p.kind == opFill && p.inode == o.inode })
	case opDir:
		r.settle(func(p op) bool { return p.kind == opCreate || p.kind == opRename || p.kind == opRemove })
	case opBoot:
		r.settle(func(op) bool { return true })
		r.flushed(true)
	case opNone:
	case opMark:
		r.promised(o.promise)
	default:
		r.pending = append(r.pending, o)
	}
}

// flushed makes what the boot loader wrote a promise.
func (r *replay) flushed(env bool) {
	if env && r.late != nil {
		r.now["env"], r.late = *r.late, nil
	}
}

func (r *replay) promised(p promise) {
	if p.late {
		r.late = p.value
		return
	}
	if p.begin {
		r.soon[p.place] = p.value
		return
	}
	r.now[p.place], r.kept[p.place] = *p.value, true
	delete(r.soon, p.place)
}

// allowed reports whether a place may hold a value.
func (r *replay) allowed(place, value string) bool {
	soon := r.soon[place]
	return r.now[place] == value || soon != nil && *soon == value ||
		place == "env" && r.late != nil && *r.late == value
}

// exhaustive is up to how many unflushed writes all subsets are looked at.
const exhaustive = 12

// survivors calls yield with every world that a power cut may leave: any subset of what was not flushed, one write torn
// in many ways with any of the others there or not, and two writes torn at once. every asks for each byte at which a
// boot record can be torn.
func (r *replay) survivors(every bool, yield func(world) error) error {
	for _, mask := range subsets(len(r.pending)) {
		if err := yield(r.with(mask, nil)); err != nil {
			return err
		}
	}
	all := subsets(len(r.pending))
	if len(r.pending) > tornExhaustive {
		all = []uint64{0, 1<<len(r.pending) - 1}
	}
	for i, o := range r.pending {
		for _, data := range r.tears(o, every && i == len(r.pending)-1) {
			for _, mask := range all {
				if mask>>i&1 == 1 {
					if err := yield(r.with(mask, map[int][]byte{i: data})); err != nil {
						return err
					}
				}
			}
		}
	}
	return r.twice(yield)
}

// tornExhaustive is up to how many unflushed writes each torn one is looked at with all subsets of the others.
const tornExhaustive = 4

// twice yields the worlds in which two writes are torn, and all others arrived or none.
func (r *replay) twice(yield func(world) error) error {
	for i := range r.pending {
		for j := range i {
			for _, a := range few(r.tears(r.pending[i], false)) {
				for _, b := range few(r.tears(r.pending[j], false)) {
					for _, mask := range []uint64{1<<i | 1<<j, 1<<len(r.pending) - 1} {
						if err := yield(r.with(mask, map[int][]byte{i: a, j: b})); err != nil {
							return err
						}
					}
				}
			}
		}
	}
	return nil
}

// few are some of the ways in which an operation arrives in part: those that spoil most.
func few(all [][]byte) [][]byte {
	if len(all) < 8 {
		return all
	}
	return [][]byte{all[0], all[len(all)/2], all[len(all)-3], all[len(all)-1]}
}

// with returns the world in which the unflushed operations of a mask arrived, some of them in part.
func (r *replay) with(mask uint64, torn map[int][]byte) world {
	w := r.durable.clone()
	for i, o := range r.pending {
		if mask>>i&1 == 0 {
			continue
		}
		if data, ok := torn[i]; ok {
			o.data = data
		}
		w.apply(o)
	}
	return w
}

// tears are the ways in which an unflushed operation arrives in part; a rename has none.
func (r *replay) tears(o op, every bool) [][]byte {
	switch o.kind {
	case opFill:
		return tears(o, nil, every)
	case opWrite:
		old := make([]byte, len(o.data))
		r.durable.media[o.medium].read(old, o.off)
		return tears(o, old, every)
	}
	return nil
}

// tears are the ways in which a write arrives in part: some sectors at its head or its tail, and a sector of which some
// bytes are new and the others old, zeros, or ff as in erased flash.
func tears(o op, old []byte, every bool) [][]byte {
	data := o.data
	if o.kind == opFill {
		n := len(data)
		return [][]byte{nil, data[:n/2], data[:max(n-1, 0)], slices.Concat(data[:n/2], make([]byte, n-n/2)),
			slices.Concat(data[:n/2], bytes.Repeat([]byte{0xff}, n-n/2))}
	}
	var all [][]byte
	n := len(data) / sectorSize
	for _, k := range []int{1, 2, n / 2, n - 1} {
		if k = k * sectorSize; k > 0 && k < len(data) {
			all = append(all, slices.Concat(data[:k], old[k:]), slices.Concat(old[:len(data)-k], data[len(data)-k:]))
		}
	}
	points := []int{1, 4, 256, 511, 40, 80, 120, 8}
	if every && o.medium == envDisk {
		points = points[:0]
		for i := 1; i < sectorSize; i++ {
			points = append(points, i)
		}
	}
	for _, k := range points {
		for _, rest := range [][]byte{old[k:sectorSize], make([]byte, sectorSize-k),
			bytes.Repeat([]byte{0xff}, sectorSize-k)} {
			head := slices.Concat(data[:k], rest)
			all = append(all, slices.Concat(head, old[sectorSize:]), slices.Concat(head, data[sectorSize:]))
		}
		all = append(all, slices.Concat(old[:k], data[k:])) // only its tail arrived
	}
	return all
}

// subsets returns bit masks of n operations: all of them, or the telling ones and some by chance.
func subsets(n int) []uint64 {
	var masks []uint64
	if n <= exhaustive {
		for m := range uint64(1) << n {
			masks = append(masks, m)
		}
		return masks
	}
	n = min(n, 63)
	all := uint64(1)<<n - 1
	for i := range n {
		masks = append(masks, 1<<i, all&^(1<<i), 1<<i-1, all&^(1<<i-1))
	}
	random := rand.New(rand.NewPCG(1, uint64(n)))
	for range 64 {
		masks = append(masks, random.Uint64()&all)
	}
	return append(masks, all)
}
