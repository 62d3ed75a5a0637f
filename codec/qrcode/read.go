package qrcode

import (
	"fmt"
	"slices"
)

// Symbol is what Read found.
type Symbol struct {
	Version int
	Level   Level
	Mask    int
	Text    []byte // as bytes, whatever character set an ECI segment named
	Mended  int    // codewords that were wrong or unsure
}

// Read gets the text of the symbol whose modules somebody measured: one number a module, row by row, above 0 for dark,
// and the larger the surer. Where error correction alone does not do, the codewords with the least sure modules are
// given up as erasures, which mends up to twice as many (generalized minimum distance, Forney 1966); two check
// codewords always stay to tell a wrong text from a right one, and the padding must be right.
func Read(l *Layout, soft []float32) (Symbol, error) {
	if len(soft) != l.size*l.size {
		return Symbol{}, fmt.Errorf("%w: %d modules, want %d", ErrDamaged, len(soft), l.size*l.size)
	}
	var first error
	for _, f := range l.formats(soft) {
		s, err := l.read(soft, f)
		if err == nil {
			return s, nil
		}
		if first == nil {
			first = err
		}
	}
	return Symbol{}, first
}

// format is one of the 32 formats, and how well the measured modules agree with it.
type format struct {
	level Level
	mask  int
	fit   float32
}

// formats returns the two likeliest formats.
func (l *Layout) formats(soft []float32) []format {
	var best [2]format
	for level := L; level <= H; level++ {
		for mask := range 8 {
			f := format{level: level, mask: mask}
			for i, dark := range formatBits(level, mask) {
				first, second := formatPlaces(l.size, i)
				v := soft[first] + soft[second]
				if !dark {
					v = -v
				}
				f.fit += v
			}
			switch {
			case f.fit > best[0].fit:
				best[0], best[1] = f, best[0]
			case f.fit > best[1].fit:
				best[1] = f
			}
		}
	}
	return slices.DeleteFunc(best[:], func(f format) bool { return f.fit <= 0 })
}

func (l *Layout) read(soft []float32, f format) (Symbol, error) {
	words, sure := l.codewords(soft, f.mask)
	text, mended, err := l.mend(words, sure, f.level)
	if err != nil {
		return Symbol{}, err
	}
	return Symbol{Version: l.version, Level: f.level, Mask: f.mask, Text: text, Mended: mended}, nil
}

// codewords takes the mask off and packs the bits; sure is that of the least sure module of each.
func (l *Layout) codewords(soft []float32, mask int) (words []byte, sure []float32) {
	n := rawCodewords(l.version)
	words, sure = make([]byte, n), make([]float32, n)
	for i, at := range l.data[:8*n] {
		v := soft[at]
		if dark := v > 0; dark != masked(mask, at%l.size, at/l.size) {
			words[i/8] |= 1 << (7 - i%8)
		}
		if v = max(v, -v); i%8 == 0 || v < sure[i/8] {
			sure[i/8] = v
		}
	}
	return words, sure
}

// mend corrects block by block and reads the segments.
func (l *Layout) mend(words []byte, sure []float32, level Level) ([]byte, int, error) {
	check, count := blocks(l.version, level)
	short := len(words)/count - check
	longFrom := count - len(words)%count
	dataWords := len(words) - check*count
	out := make([]byte, 0, dataWords)
	block, trust := make([]byte, 0, short+1+check), make([]float32, 0, short+1+check)
	mended, guessed := 0, false
	for b := range count {
		block, trust = block[:0], trust[:0]
		take := func(i int) { block, trust = append(block, words[i]), append(trust, sure[i]) }
		for j := range short {
			take(j*count + b)
		}
		if b >= longFrom {
			take(short*count + b - longFrom)
		}
		for j := range check {
			take(dataWords + j*count + b)
		}
		n, erased, ok := mendBlock(block, trust, check)
		if !ok {
			return nil, 0, fmt.Errorf("%w: block %d of %d", ErrDamaged, b+1, count)
		}
		mended, guessed = mended+n, guessed || erased
		out = append(out, block[:len(block)-check]...)
	}
	text, padded, err := unsegment(out, l.version)
	if err == nil && guessed && !padded {
		err = fmt.Errorf("%w: padding", ErrDamaged)
	}
	return text, mended, err
}

// mendBlock tries error correction alone, then with ever more of the least sure codewords erased.
func mendBlock(block []byte, trust []float32, check int) (changed int, erased, ok bool) {
	const spare = 2
	if changed, ok = correct(block, check, nil, min(spare-1, check%2)); ok {
		return changed, false, true
	}
	order := make([]int, len(block))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int {
		switch {
		case trust[a] < trust[b]:
			return -1
		case trust[a] > trust[b]:
			return 1
		}
		return a - b
	})
	tried := make([]byte, len(block))
	most := min(check-spare, len(order))
	for e := 2 - most%2; e <= most; e += 2 {
		copy(tried, block)
		if changed, ok = correct(tried, check, order[:e], spare); ok {
			copy(block, tried)
			return changed, true, true
		}
	}
	return 0, false, false
}
