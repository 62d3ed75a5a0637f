package qrcode

// kind says what a module is for.
type kind uint8

const (
	data kind = iota
	fixedLight
	fixedDark
	reserved // format or version information
)

// Layout is where a version's modules lie: function patterns, format, version, and the order of the data bits. It is
// read only once made, and may be shared.
type Layout struct {
	version, size int
	kind          []kind
	data          []int // index of each data bit's module, most significant bit of the first codeword first
	align         []int
}

// NewLayout returns the layout of a version, 1 to 40.
func NewLayout(version int) *Layout { return newLayout(min(max(version, 1), MaxVersion)) }

func newLayout(version int) *Layout {
	size := Side(version)
	l := &Layout{version: version, size: size, kind: make([]kind, size*size), align: alignments(version)}
	for i := range size {
		l.fix(i, 6, i%2 == 0)
		l.fix(6, i, i%2 == 0)
	}
	for _, at := range [][2]int{{3, 3}, {size - 4, 3}, {3, size - 4}} {
		l.finder(at[0], at[1])
	}
	last := len(l.align) - 1
	for i, x := range l.align {
		for j, y := range l.align {
			if !(i == 0 && j == 0 || i == 0 && j == last || i == last && j == 0) {
				l.alignment(x, y)
			}
		}
	}
	l.reserve()
	l.zigzag()
	return l
}

// Size returns the side in modules.
func (l *Layout) Size() int { return l.size }

// Version returns the version.
func (l *Layout) Version() int { return l.version }

// Fixed says of the module at column x and row y whether every symbol of the version has the same there, and whether
// that is dark. Outside of the symbol lies the quiet zone, which is light.
func (l *Layout) Fixed(x, y int) (fixed, dark bool) {
	if x < 0 || y < 0 || x >= l.size || y >= l.size {
		return true, false
	}
	k := l.kind[y*l.size+x]
	return k == fixedLight || k == fixedDark, k == fixedDark
}

// Alignments returns the coordinates which the centres of alignment patterns have in both directions. Where they would
// lie on a finder pattern there is none.
func (l *Layout) Alignments() []int { return l.align }

func (l *Layout) fix(x, y int, dark bool) {
	if x < 0 || y < 0 || x >= l.size || y >= l.size {
		return
	}
	l.kind[y*l.size+x] = fixedLight
	if dark {
		l.kind[y*l.size+x] = fixedDark
	}
}

// finder draws a finder pattern with its separator around (cx, cy).
func (l *Layout) finder(cx, cy int) {
	for dy := -4; dy <= 4; dy++ {
		for dx := -4; dx <= 4; dx++ {
			ring := max(dx, -dx, dy, -dy)
			l.fix(cx+dx, cy+dy, ring != 2 && ring != 4)
		}
	}
}

func (l *Layout) alignment(cx, cy int) {
	for dy := -2; dy <= 2; dy++ {
		for dx := -2; dx <= 2; dx++ {
			l.fix(cx+dx, cy+dy, max(dx, -dx, dy, -dy) != 1)
		}
	}
}

// reserve keeps the modules of format and version information, and sets the one that is always dark.
func (l *Layout) reserve() {
	for i := range 15 {
		first, second := formatPlaces(l.size, i)
		l.kind[first], l.kind[second] = reserved, reserved
	}
	l.fix(8, l.size-8, true)
	if l.version < 7 {
		return
	}
	for i := range 18 {
		first, second := versionPlaces(l.size, i)
		l.kind[first], l.kind[second] = reserved, reserved
	}
}

// zigzag lists the data modules in the order of ISO/IEC 18004 7.7.3: columns of two from the right, up and down.
func (l *Layout) zigzag() {
	l.data = make([]int, 0, 8*rawCodewords(l.version)+7)
	for right, up := l.size-1, true; right > 0; right, up = right-2, !up {
		if right == 6 {
			right = 5 // the timing pattern has a column of its own
		}
		for i := range l.size {
			y := i
			if up {
				y = l.size - 1 - i
			}
			for _, x := range [2]int{right, right - 1} {
				if l.kind[y*l.size+x] == data {
					l.data = append(l.data, y*l.size+x)
				}
			}
		}
	}
}

// formatPlaces returns where bit i of the format information lies, twice (ISO/IEC 18004 figure 25).
func formatPlaces(size, i int) (first, second int) {
	at := func(x, y int) int { return y*size + x }
	switch {
	case i < 6:
		first = at(8, i)
	case i < 8:
		first = at(8, i+1)
	case i == 8:
		first = at(7, 8)
	default:
		first = at(14-i, 8)
	}
	if i < 8 {
		return first, at(size-1-i, 8)
	}
	return first, at(8, size-15+i)
}

// versionPlaces returns where bit i of the version information lies, twice.
func versionPlaces(size, i int) (first, second int) {
	a, b := size-11+i%3, i/3
	return b*size + a, a*size + b
}
