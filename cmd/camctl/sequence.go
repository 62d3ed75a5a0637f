package main

// sequence follows the sequence numbers of one stream in the order in which packets arrived (RFC 3550 A.1), before
// anybody put them in order.
type sequence struct {
	begun   bool
	highest uint16
	seen    [recent]bool // by number modulo recent: the numbers up to highest that came

	packets, duplicates, reordered, gaps, lost int
}

// recent is how far back a late packet is still told from a duplicate. A power of two, so that it divides 65536.
const recent = 1024

// add counts one packet.
func (s *sequence) add(number uint16) {
	s.packets++
	if !s.begun {
		s.begun, s.highest = true, number
		s.seen[number%recent] = true
		return
	}
	ahead := int(int16(number - s.highest))
	switch {
	case ahead > 0:
		s.advance(number, ahead)
	case ahead <= -recent: // the sender began anew
		s.highest, s.seen = number, [recent]bool{}
		s.seen[number%recent] = true
	case s.seen[number%recent]:
		s.duplicates++
	default: // late: it was counted as lost when the number above it came
		s.seen[number%recent] = true
		s.reordered++
		s.lost--
	}
}

func (s *sequence) advance(number uint16, ahead int) {
	for n := s.highest + 1; n != number && ahead < recent; n++ {
		s.seen[n%recent] = false
	}
	s.seen[number%recent] = true
	s.highest = number
	if ahead > 1 {
		s.gaps++
		s.lost += ahead - 1
	}
}
