package improv

// Finder tells packets and text apart in what comes over a line. The zero value is ready. It holds at most Max bytes.
//
// The beginning of a packet is letters, which a person types, too, and wants to see at once. So letters that end a Push
// go on as text; where a packet comes of them after all, Clear stands behind them.
type Finder struct {
	held  []byte // the beginning of a packet; of it
	given int    // so many bytes are text already
}

// Clear empties the line that somebody types, in every line editor: Ctrl-U.
const Clear = 0x15

// Push takes bytes as they came, cut anywhere, and hands on what they hold, in its order: text, or a packet. Both are
// lent until take returns. A packet whose checksum is wrong has the type 0.
func (f *Finder) Push(b []byte, take func(text []byte, p *Packet)) {
	var text []byte
	for _, c := range b {
		f.held = append(f.held, c)
		text = f.step(text, take)
	}
	if n := len(f.held); n < len(prefix) { // letters so far
		text = append(text, f.held[f.given:]...)
		f.given = n
	}
	if len(text) > 0 {
		take(text, nil)
	}
}

// Quiet tells that what is held is no packet: nothing has come for too long.
func (f *Finder) Quiet() { f.drop() }

func (f *Finder) drop() { f.held, f.given = f.held[:0], 0 }

// step looks at what is held after one more byte, and returns what is text.
func (f *Finder) step(text []byte, take func(text []byte, p *Packet)) []byte {
	n := len(f.held)
	if n <= len(prefix) {
		if f.held[n-1] != prefix[n-1] {
			return f.again(text)
		}
		if n == len(prefix) && f.given > 0 {
			text = append(text, Clear)
		}
		return text
	}
	if n < head || n < head+int(f.held[head-1])+1 {
		return text
	}
	if len(text) > 0 {
		take(text, nil)
	}
	p := Packet{Type(f.held[head-2]), f.held[head : n-1]}
	if sum(f.held[:n-1]) != f.held[n-1] {
		p = Packet{}
	}
	take(nil, &p)
	f.drop()
	return text[:0]
}

// again gives what is held back as text, and begins anew with its last byte, which may be the first of a packet.
func (f *Finder) again(text []byte) []byte {
	n := len(f.held)
	last := f.held[n-1]
	if n > 1 && last == prefix[0] {
		text = append(text, f.held[f.given:n-1]...)
		f.held, f.given = append(f.held[:0], last), 0
		return text
	}
	text = append(text, f.held[f.given:]...)
	f.drop()
	return text
}
