package wire

// Prob is the adaptive probability that a bit is 0, learned at two speeds. Its zero value is not ready: NewProb.
type Prob struct{ fast, slow uint16 }

// The speeds, as shifts, and what is left of a probability that never failed.
const (
	fastRate = 4
	slowRate = 6
	leastP   = 24
	half     = 1 << 15
)

// fresh is a probability before it has seen anything.
func fresh() Prob { return Prob{half, half} }

func (p *Prob) estimate() uint32 {
	e := (uint32(p.fast) + uint32(p.slow)) / 2
	return min(max(e, leastP), 1<<16-leastP)
}

func (p *Prob) learn(bit uint32) {
	if bit == 0 {
		p.fast += (1<<16 - 1 - p.fast) >> fastRate
		p.slow += (1<<16 - 1 - p.slow) >> slowRate
		return
	}
	p.fast -= p.fast >> fastRate
	p.slow -= p.slow >> slowRate
}

// Coder puts bits into a range coder, or takes them out of one: then what is handed in does not count.
type Coder interface {
	Bit(p *Prob, bit uint32) uint32
}

// Encoder is the range coder of LZMA (7-zip's LzmaEnc.c): carries ripple through bytes that wait.
type Encoder struct {
	low     uint64
	span    uint32
	first   bool
	cache   byte
	pending int
	out     []byte
}

// NewEncoder starts a stream.
func NewEncoder() *Encoder { return &Encoder{span: 1<<32 - 1, first: true} }

// Bit implements Coder.
func (e *Encoder) Bit(p *Prob, bit uint32) uint32 {
	bound := e.span >> 16 * p.estimate()
	if bit == 0 {
		e.span = bound
	} else {
		e.low += uint64(bound)
		e.span -= bound
	}
	p.learn(bit)
	for e.span < 1<<24 {
		e.span <<= 8
		e.shift()
	}
	return bit
}

func (e *Encoder) shift() {
	if e.low < 0xff<<24 || e.low>>32 != 0 {
		carry := byte(e.low >> 32)
		if !e.first {
			e.out = append(e.out, e.cache+carry)
		}
		for ; e.pending > 0; e.pending-- {
			e.out = append(e.out, 0xff+carry)
		}
		e.first = false
		e.cache = byte(e.low >> 24)
	} else {
		e.pending++
	}
	e.low = e.low & (1<<24 - 1) << 8
}

// Finish returns the stream.
func (e *Encoder) Finish() []byte {
	for range 5 {
		e.shift()
	}
	// The decoder reads zeros behind the end.
	for len(e.out) > 0 && e.out[len(e.out)-1] == 0 {
		e.out = e.out[:len(e.out)-1]
	}
	return e.out
}

// Decoder is the way back. Behind the end of its input it reads zeros: what comes out of a stream that was cut is
// wrong, and never more than was asked for.
type Decoder struct {
	in         []byte
	code, span uint32
}

// NewDecoder reads a stream.
func NewDecoder(in []byte) *Decoder {
	d := &Decoder{in: in, span: 1<<32 - 1}
	for range 4 {
		d.code = d.code<<8 | uint32(d.next())
	}
	return d
}

func (d *Decoder) next() byte {
	if len(d.in) == 0 {
		return 0
	}
	b := d.in[0]
	d.in = d.in[1:]
	return b
}

// Bit implements Coder.
func (d *Decoder) Bit(p *Prob, _ uint32) uint32 {
	bound := d.span >> 16 * p.estimate()
	bit := uint32(0)
	if d.code < bound {
		d.span = bound
	} else {
		d.code -= bound
		d.span -= bound
		bit = 1
	}
	p.learn(bit)
	for d.span < 1<<24 {
		d.span <<= 8
		d.code = d.code<<8 | uint32(d.next())
	}
	return bit
}
