package frame

import "bytes"

// Splitter tells frames and text apart in what comes over a line. The zero value is ready. It holds at most Max bytes.
//
// What is left of a damaged frame is never text: it may be anything, also a command that a person could have typed. So
// from a damaged frame on everything is dropped, until a whole frame comes or the line was quiet. A frame whose
// beginning was damaged is not seen as one; who holds a conversation by frames must not let text through meanwhile.
type Splitter struct {
	held []byte // the beginning of a frame; empty or begins with sync0
	lost bool   // a frame was damaged, and none came since

	// Damaged counts frames that were none.
	Damaged uint64
}

// Piece is a stretch of text, or a frame where Frame is not nil.
type Piece struct {
	Text  []byte
	Frame *Frame
}

// Push takes bytes as they came, cut anywhere, and hands on what they hold, in its order. What is handed on is lent
// until take returns.
func (s *Splitter) Push(b []byte, take func(Piece)) {
	for len(b) > 0 { // a slice at a time, so that what is held stays small
		n := min(len(b), Max)
		s.held = append(s.held, b[:n]...)
		b = b[n:]
		s.scan(false, take)
	}
}

// Quiet tells that nothing has come for longer than a frame may pause: what is held is no frame, and whatever comes
// next is a new beginning.
func (s *Splitter) Quiet(take func(Piece)) {
	s.scan(true, take)
	s.lost = false
}

// scan hands on what it can of what is held; all of it where nothing more belongs to it.
func (s *Splitter) scan(last bool, take func(Piece)) {
	b := s.held
	for len(b) > 0 {
		text, rest := next(b, last)
		if len(text) > 0 && !s.lost {
			take(Piece{Text: text})
		}
		if b = rest; len(b) < 2 {
			break
		}
		f, size, how := parse(b)
		if how == short && !last {
			break
		}
		if how == whole {
			s.lost = false
			take(Piece{Frame: &f})
			b = b[size:]
			continue
		}
		s.lost = true
		s.Damaged++
		b = b[2:] // a whole one may lie in it
	}
	s.held = append(s.held[:0], b...)
}

// next cuts b before what begins a frame, or may begin one when more comes.
func next(b []byte, last bool) (text, rest []byte) {
	for i := 0; ; i++ {
		at := bytes.IndexByte(b[i:], sync0)
		if at < 0 {
			return b, nil
		}
		i += at
		if i+1 == len(b) && !last || i+1 < len(b) && b[i+1] == sync1 {
			return b[:i], b[i:]
		}
	}
}
