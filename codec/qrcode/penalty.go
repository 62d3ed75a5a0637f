package qrcode

// penalty scores what makes a symbol hard to read; the mask with the lowest wins (ISO/IEC 18004 7.8.3).
func (c *Code) penalty() int {
	score, dark := 0, 0
	for i := range c.size {
		score += c.linePenalty(i*c.size, 1) + c.linePenalty(i, c.size)
		for j := range c.size {
			d := c.Dark(j, i)
			if d {
				dark++
			}
			if i > 0 && j > 0 && d == c.Dark(j-1, i) && d == c.Dark(j, i-1) && d == c.Dark(j-1, i-1) {
				score += 3
			}
		}
	}
	total := c.size * c.size
	off := 20*dark - 10*total
	return score + max(off, -off)/total*10
}

// linePenalty scores runs of five and more, and what looks like a finder pattern, in one row or column: from module at
// on, step to the next.
func (c *Code) linePenalty(at, step int) int {
	score, run, window := 0, 0, 0
	last := false
	for i := range c.size + QuietZone {
		d := i < c.size && c.dark[at+i*step]
		if i > 0 && d == last {
			run++
		} else {
			run = 1
		}
		if i < c.size {
			switch {
			case run == 5:
				score += 3
			case run > 5:
				score++
			}
		}
		last = d
		window = window << 1 & 0x7FF
		if d {
			window |= 1
		}
		// 1:1:3:1:1 with four light modules before or behind it; before the symbol the window holds light.
		if window == 0x5D || window == 0x5D0 {
			score += 40
		}
	}
	return score
}
