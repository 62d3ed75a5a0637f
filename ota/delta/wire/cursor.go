package wire

// Chunk is how many bytes one step has at most.
const Chunk = 16 << 10

// Step is a part of an op that is made in one go.
type Step struct {
	Fresh   bool   // taken from the frame's fresh bytes; else copied
	Changed bool   // and changed, as the model says
	X       uint32 // where from
	Y       uint32 // where to
	Size    uint32
}

// Cursor walks through the steps of a frame. Writer and reader take the same ones, since a model's groups begin anew
// with each.
type Cursor struct {
	ops  []Op
	next int    // op
	done uint32 // bytes of it
	y    uint32
	end  uint32
}

// NewCursor walks through ops.
func NewCursor(ops []Op) *Cursor { return &Cursor{ops: ops} }

// Frame goes to a frame that begins at y of the expanded target.
func (c *Cursor) Frame(y, size uint32) {
	if y < c.y {
		*c = Cursor{ops: c.ops}
	}
	for c.next < len(c.ops) {
		left := c.ops[c.next].Copy + c.ops[c.next].Fresh - c.done
		if n := y - c.y; n < left {
			c.done, c.y = c.done+n, y
			break
		}
		c.next, c.done, c.y = c.next+1, 0, c.y+left
	}
	c.end = y + size
}

// Step returns the next step, none at the end of the frame.
func (c *Cursor) Step() (s Step, ok bool) {
	for c.next < len(c.ops) && c.y < c.end {
		o := c.ops[c.next]
		if c.done == o.Copy+o.Fresh {
			c.next, c.done = c.next+1, 0
			continue
		}
		s = Step{Y: c.y, Size: min(Chunk, c.end-c.y)}
		if c.done < o.Copy {
			s.X, s.Changed, s.Size = o.From+c.done, o.Changed, min(s.Size, o.Copy-c.done)
		} else {
			s.Fresh, s.Size = true, min(s.Size, o.Copy+o.Fresh-c.done)
		}
		c.done, c.y = c.done+s.Size, c.y+s.Size
		return s, true
	}
	return Step{}, false
}
