package qrcode

// blocks says how the codewords of a symbol are cut: check codewords of each block, and the number of blocks
// (ISO/IEC 18004 table 9).
func blocks(version int, level Level) (check, count int) {
	return int(checkWords[level][version-1]), int(blockCounts[level][version-1])
}

// checkWords and blockCounts are table 9 of ISO/IEC 18004, by level and version.
var checkWords = [4][MaxVersion]uint8{
	{7, 10, 15, 20, 26, 18, 20, 24, 30, 18, 20, 24, 26, 30, 22, 24, 28, 30, 28, 28,
		28, 28, 30, 30, 26, 28, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30},
	{10, 16, 26, 18, 24, 16, 18, 22, 22, 26, 30, 22, 22, 24, 24, 28, 28, 26, 26, 26,
		26, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28},
	{13, 22, 18, 26, 18, 24, 18, 22, 20, 24, 28, 26, 24, 20, 30, 24, 28, 28, 26, 30,
		28, 30, 30, 30, 30, 28, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30},
	{17, 28, 22, 16, 22, 28, 26, 26, 24, 28, 24, 28, 22, 24, 24, 30, 28, 28, 26, 28,
		30, 24, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30},
}

var blockCounts = [4][MaxVersion]uint8{
	{1, 1, 1, 1, 1, 2, 2, 2, 2, 4, 4, 4, 4, 4, 6, 6, 6, 6, 7, 8,
		8, 9, 9, 10, 12, 12, 12, 13, 14, 15, 16, 17, 18, 19, 19, 20, 21, 22, 24, 25},
	{1, 1, 1, 2, 2, 4, 4, 4, 5, 5, 5, 8, 9, 9, 10, 10, 11, 13, 14, 16,
		17, 17, 18, 20, 21, 23, 25, 26, 28, 29, 31, 33, 35, 37, 38, 40, 43, 45, 47, 49},
	{1, 1, 2, 2, 4, 4, 6, 6, 8, 8, 8, 10, 12, 16, 12, 17, 16, 18, 21, 20,
		23, 23, 25, 27, 29, 34, 34, 35, 38, 40, 43, 45, 48, 51, 53, 56, 59, 62, 65, 68},
	{1, 1, 2, 4, 4, 4, 5, 6, 8, 8, 11, 11, 16, 16, 18, 16, 19, 21, 25, 25,
		25, 34, 30, 32, 35, 37, 40, 42, 45, 48, 51, 54, 57, 60, 63, 66, 70, 74, 77, 81},
}

// rawCodewords returns how many codewords, data and check together, a symbol of this version has room for.
func rawCodewords(version int) int {
	modules := (16*version+128)*version + 64
	if version >= 2 {
		n := version/7 + 2
		modules -= (25*n-10)*n - 55
	}
	if version >= 7 {
		modules -= 36
	}
	return modules / 8
}

func dataCodewords(version int, level Level) int {
	check, count := blocks(version, level)
	return rawCodewords(version) - check*count
}

// alignments returns the coordinates of the alignment patterns' centres (ISO/IEC 18004 annex E).
func alignments(version int) []int {
	if version < 2 {
		return nil
	}
	n := version/7 + 2
	step := (4*version + 2*n + 1) / (2*n - 2) * 2
	if version == 32 {
		step = 26 // the one row of the table that no rule gives
	}
	at := make([]int, n)
	at[0] = 6
	for i := n - 1; i > 0; i-- {
		at[i] = Side(version) - 7 - step*(n-1-i)
	}
	return at
}

// masked reports whether mask pattern m turns the module of column x and row y (ISO/IEC 18004 table 10).
func masked(m, x, y int) bool {
	switch m {
	case 0:
		return (x+y)%2 == 0
	case 1:
		return y%2 == 0
	case 2:
		return x%3 == 0
	case 3:
		return (x+y)%3 == 0
	case 4:
		return (x/3+y/2)%2 == 0
	case 5:
		return x*y%2+x*y%3 == 0
	case 6:
		return (x*y%2+x*y%3)%2 == 0
	}
	return ((x+y)%2+x*y%3)%2 == 0
}

// formatBits returns the 15 bits of level and mask, least significant first (ISO/IEC 18004 7.9).
func formatBits(level Level, mask int) (bits [15]bool) {
	data := [4]int{1, 0, 3, 2}[level]<<3 | mask
	word := (data<<10 | remainder(data, 10, 0x537)) ^ 0x5412
	for i := range bits {
		bits[i] = word>>i&1 == 1
	}
	return bits
}

// versionBits returns the 18 bits of a version from 7 up, least significant first (ISO/IEC 18004 7.10).
func versionBits(version int) (bits [18]bool) {
	word := version<<12 | remainder(version, 12, 0x1F25)
	for i := range bits {
		bits[i] = word>>i&1 == 1
	}
	return bits
}

// remainder of data, shifted by n bits, in the BCH code of this generator.
func remainder(data, n, generator int) int {
	rem := data
	for range n {
		rem = rem<<1 ^ (rem>>(n-1))*generator
	}
	return rem
}
