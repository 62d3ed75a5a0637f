package qrcode

// field is GF(256) over x^8+x^4+x^3+x^2+1 with generator 2, as logarithms (ISO/IEC 18004 7.5.2).
type field struct {
	exp [512]byte
	log [256]uint8
}

// gf is computed once and never changes.
var gf = newField()

func newField() *field {
	f := new(field)
	x := 1
	for i := range 255 {
		f.exp[i], f.exp[i+255], f.log[x] = byte(x), byte(x), uint8(i)
		if x <<= 1; x > 255 {
			x ^= 0x11D
		}
	}
	return f
}

func (f *field) mul(a, b byte) byte {
	if a == 0 || b == 0 {
		return 0
	}
	return f.exp[int(f.log[a])+int(f.log[b])]
}

// div wants b != 0.
func (f *field) div(a, b byte) byte {
	if a == 0 {
		return 0
	}
	return f.exp[int(f.log[a])+255-int(f.log[b])]
}

// checkOf returns the n check codewords of a block.
func checkOf(block []byte, n int) []byte {
	generator := make([]byte, n+1) // highest power first
	generator[0] = 1
	for i := range n {
		for j := i + 1; j > 0; j-- {
			generator[j] ^= gf.mul(generator[j-1], gf.exp[i])
		}
	}
	rem := make([]byte, n, n+1)
	for _, b := range block {
		lead := b ^ rem[0]
		rem = append(rem[1:n:n], 0)
		for j := range rem {
			rem[j] ^= gf.mul(generator[j+1], lead)
		}
	}
	return rem
}

// poly is a polynomial of low degree, the constant first.
type poly [64]byte

// correct mends a block in place, whose last n symbols are check symbols; erased are the positions that are not to be
// trusted. It returns how many symbols it changed, and false where errors and erasures are more than n-spare can tell
// (2 an error, 1 an erasure). This is Berlekamp and Massey's algorithm started from the erasure locator, with Chien's
// search and Forney's formula.
func correct(block []byte, n int, erased []int, spare int) (changed int, ok bool) {
	var s poly
	if !syndromes(block, n, &s) {
		return 0, true
	}
	if len(erased) > n-spare {
		return 0, false
	}
	locator, degree := locate(&s, n, len(block), erased)
	if 2*degree-len(erased) > n-spare {
		return 0, false
	}
	return repair(block, n, &s, &locator, degree)
}

// syndromes reports whether any is not zero.
func syndromes(block []byte, n int, s *poly) bool {
	wrong := false
	for i := range n {
		sum := byte(0)
		for _, b := range block {
			sum = gf.mul(sum, gf.exp[i]) ^ b
		}
		s[i] = sum
		wrong = wrong || sum != 0
	}
	return wrong
}

// locate returns the locator of errors and erasures, and its degree.
func locate(s *poly, n, length int, erased []int) (lambda poly, degree int) {
	lambda[0] = 1
	for i, at := range erased {
		x := gf.exp[(length-1-at)%255]
		for j := i + 1; j > 0; j-- {
			lambda[j] ^= gf.mul(lambda[j-1], x)
		}
	}
	e, el := len(erased), len(erased)
	prior := lambda
	for r := e + 1; r <= n; r++ {
		off := byte(0)
		for i := range r {
			off ^= gf.mul(lambda[i], s[r-1-i])
		}
		copy(prior[1:], prior[:len(prior)-1])
		prior[0] = 0
		if off == 0 {
			continue
		}
		next := lambda
		for i := range next {
			next[i] ^= gf.mul(off, prior[i])
		}
		if 2*el <= r+e-1 {
			el = r + e - el
			for i := range prior {
				prior[i] = gf.div(lambda[i], off)
			}
		}
		lambda = next
	}
	for i := range lambda {
		if lambda[i] != 0 {
			degree = i
		}
	}
	return lambda, degree
}

// repair finds the locator's roots and sets the symbols right, all or none.
func repair(block []byte, n int, s, lambda *poly, degree int) (int, bool) {
	if degree == 0 || degree > n {
		return 0, false
	}
	var omega poly
	for i := range n {
		for j := 0; j <= min(i, degree); j++ {
			omega[i] ^= gf.mul(s[i-j], lambda[j])
		}
	}
	type fix struct {
		at  int
		xor byte
	}
	var fixes [64]fix
	found := 0
	for at := range block {
		x := (len(block) - 1 - at) % 255
		inverse := gf.exp[255-x]
		if lambda.at(inverse, degree) != 0 {
			continue
		}
		slope := byte(0)
		for i := 1; i <= degree; i += 2 {
			slope ^= gf.mul(lambda[i], gf.exp[(255-x)*(i-1)%255])
		}
		if slope == 0 || found == len(fixes) {
			return 0, false
		}
		fixes[found] = fix{at, gf.mul(gf.div(omega.at(inverse, n-1), slope), gf.exp[x])}
		found++
	}
	if found != degree {
		return 0, false
	}
	changed := 0
	for _, f := range fixes[:found] {
		block[f.at] ^= f.xor
		if f.xor != 0 {
			changed++
		}
	}
	var after poly
	return changed, !syndromes(block, n, &after)
}

// at evaluates the polynomial up to its degree.
func (p *poly) at(x byte, degree int) byte {
	v := byte(0)
	for i := degree; i >= 0; i-- {
		v = gf.mul(v, x) ^ p[i]
	}
	return v
}

// protect cuts data into blocks, adds their check codewords and interleaves all (ISO/IEC 18004 7.6).
func protect(data []byte, version int, level Level) []byte {
	check, count := blocks(version, level)
	short := len(data) / count
	long := len(data) % count // so many blocks, the last ones, have one codeword more
	cut := make([][]byte, count)
	checks := make([][]byte, count)
	for i := range cut {
		n := short
		if i >= count-long {
			n++
		}
		cut[i], data = data[:n], data[n:]
		checks[i] = checkOf(cut[i], check)
	}
	var out []byte
	for j := range short + 1 {
		for _, b := range cut {
			if j < len(b) {
				out = append(out, b[j])
			}
		}
	}
	for j := range check {
		for _, c := range checks {
			out = append(out, c[j])
		}
	}
	return out
}
