package smartconfig

// ballot holds what was read most often at one place: two values with their votes. A third one first has to wear the
// second down, so that memory stays bounded and old readings yield to new ones.
type ballot struct{ first, second choice }

type choice struct{ value, votes uint8 }

// maxVotes is how many contrary readings an old value survives at most.
const maxVotes = 4

// add counts a reading. Of two values with as many votes the newer one leads.
func (b *ballot) add(value uint8) {
	switch {
	case b.first.votes == 0 || b.first.value == value:
		if b.first.votes == maxVotes && b.second.votes > 0 {
			b.second.votes-- // an old rival is forgotten in the end
		}
		b.first = choice{value, min(b.first.votes+1, maxVotes)}
		return
	case b.second.votes == 0 || b.second.value == value:
		b.second = choice{value, min(b.second.votes+1, maxVotes)}
	default:
		b.second.votes--
		if b.second.votes == 0 {
			b.second = choice{value, 1}
		}
	}
	if b.second.votes >= b.first.votes {
		b.first, b.second = b.second, b.first
	}
}

// contested reports whether another value than the first was read more than once lately.
func (b *ballot) contested() bool { return b.second.votes >= 2 }

// sure returns the value that was read at least twice and twice as often as any other.
func (b *ballot) sure() (uint8, bool) {
	return b.first.value, b.first.votes >= 2 && b.first.votes >= 2*b.second.votes
}
