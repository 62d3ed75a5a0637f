package smartconfig

// AirKiss and Tuya EZ cut their message into groups of four bytes in the same way:
//
//	tag << 4 | half a byte     codes of the whole message, tag 0 to 7
//	128 | crc8(k, bytes) & 127   128 | k   256 | byte ...       group k
const (
	groupControl = 128
	groupData    = 256
	groupEnd     = 512
	groupSize    = 4
	groupGuide   = 16 // values below are guide code, head, or tag 0
	guidesNeeded = 8
	groupPackets = groupSize + 2
	maxGroups    = 32
	maxTags      = 8
	groupsAhead  = 2 // groups, that of the number among them, over which sequence numbers alone lead
	groupSpare   = 3 // frames that may be foreign among those that vote for an offset
)

// groupLengths returns the lengths of group k; crcOver are the bytes that its CRC covers.
func groupLengths(k int, data, crcOver []byte) []int {
	c := crc8(append([]byte{byte(k)}, crcOver...)...)
	lengths := []int{groupControl | int(c&0x7f), groupControl | k}
	for _, b := range data {
		lengths = append(lengths, groupData|int(b))
	}
	return lengths
}

// codeLengths returns a byte and its check as the four halves that follow a tag.
func codeLengths(tag int, value, check byte) []int {
	return []int{tag<<4 | int(value>>4), (tag+1)<<4 | int(value&15), (tag+2)<<4 | int(check>>4),
		(tag+3)<<4 | int(check&15)}
}

// grid is the table of one sender.
type grid struct {
	lengthTag int // where the code begins that tells the length of the message
	tags      [maxTags]ballot
	groups    []gridGroup // nil until a stream has an offset
	// unnumbered: frames were lost of which no sequence number told. Each byte needs one more reading then.
	unnumbered bool
}

type gridGroup struct {
	crc  ballot
	data [groupSize]ballot
}

func (g *grid) reader() reader {
	if g.groups == nil {
		g.groups = make([]gridGroup, maxGroups)
	}
	return &gridReader{grid: g}
}

func (g *grid) reset() {
	clear(g.groups)
	*g = grid{groups: g.groups, lengthTag: g.lengthTag}
}

// code returns a byte and its check, as tag and the three after it give them.
func (g *grid) code(tag int) (value, check byte, ok bool) {
	var halves [4]byte
	for i := range halves {
		if halves[i], ok = g.tags[tag+i].sure(); !ok {
			return 0, 0, false
		}
	}
	return halves[0]<<4 | halves[1], halves[2]<<4 | halves[3], true
}

// size returns the length of the message; 0 if it is not known yet.
func (g *grid) size() int {
	size, _, ok := g.code(g.lengthTag)
	switch {
	case !ok:
		return 0
	case g.lengthTag == airKissMagic && size>>4 == airKissZero:
		size &= 15
	}
	return int(size)
}

// message returns the bytes of a message of a known length if each is sure and the CRC of each group is right.
// padded: the CRC of the last group covers four bytes, with zeros.
func (g *grid) message(size int, padded bool) ([]byte, bool) {
	if size > len(g.groups)*groupSize {
		return nil, false
	}
	message := make([]byte, 0, size)
	for k := 0; len(message) < size; k++ {
		n := min(groupSize, size-len(message))
		var four [groupSize]byte
		for i := range n {
			b := &g.groups[k].data[i]
			value, ok := b.sure()
			if !ok || g.unnumbered && b.first.votes < 3 {
				return nil, false
			}
			four[i] = value
		}
		covered := four[:n]
		if padded {
			covered = four[:]
		}
		crc, ok := g.groups[k].crc.sure()
		if !ok || crc != crc8(append([]byte{byte(k)}, covered...)...)&0x7f {
			return nil, false
		}
		message = append(message, four[:n]...)
	}
	return message, true
}

// gridReader reads one stream. A value says what it is but not where it belongs: that follows from the number of its
// group and the sequence numbers since.
type gridReader struct {
	grid *grid
	last struct {
		value int
		seq   uint32
	}
	guides int    // values in a row that only a guide code or head has
	known  bool   // the number of the group is
	group  int    // that number
	seq    uint32 // of the packet with it
	crc    int    // CRC of the group, as the packet before said; -1: it was missed
	data   [groupSize]gridByte
	count  int // bytes since, more than data holds where they are not all of the group
}

type gridByte struct {
	place uint32 // packets behind the number
	value byte
}

func (r *gridReader) take(value int, p packet) bool {
	if value < 0 || value >= groupEnd {
		return false
	}
	last, apart := r.last, p.seq-r.last.seq
	r.last.value, r.last.seq = value, p.seq
	if r.guided(value) {
		return false
	}
	control := last.value >= groupControl && last.value < groupData
	switch {
	case value < groupControl:
		gain := r.close(p.seq, false)
		return r.tag(value, last.value, apart == 1) || gain
	case value < groupData:
		gain := r.close(p.seq, true)
		// Two such packets close together are CRC and number of a group. Alone, the next packet tells which it is.
		if control && apart <= groupSize && r.open(value, p.seq) {
			r.crc = last.value & 0x7f
			gain = r.vote(&r.grid.groups[r.group].crc, byte(r.crc)) || gain
		}
		return gain
	case control && apart == 1 && !(r.known && r.seq == last.seq):
		r.open(last.value, last.seq)
	}
	if r.known && r.count < groupSize {
		r.data[r.count] = gridByte{p.seq - r.seq, byte(value)}
	}
	r.count++
	return r.whole()
}

// guided counts a run of values as a guide code or head has them. The message begins anew behind it, perhaps as another
// one: what was read before does not count.
func (r *gridReader) guided(value int) bool {
	if value >= groupGuide {
		r.guides = 0
		return false
	}
	if r.guides++; r.guides == guidesNeeded {
		r.grid.reset()
	}
	return r.guides >= guidesNeeded
}

// open begins a group at the packet with its number.
func (r *gridReader) open(value int, seq uint32) bool {
	r.group, r.seq, r.count, r.crc = value&0x7f, seq, 0, -1
	r.known = r.group < maxGroups
	return r.known
}

// whole takes a group whose four bytes were all heard, one after another, and have its CRC: they are sure.
func (r *gridReader) whole() bool {
	if !r.known || r.count != groupSize || r.crc < 0 || r.data[groupSize-1].place != groupSize {
		return false
	}
	covered := []byte{byte(r.group)}
	for _, b := range r.data {
		covered = append(covered, b.value)
	}
	if int(crc8(covered...)&0x7f) != r.crc {
		return false
	}
	r.known = false
	gain := r.vote(&r.grid.groups[r.group].crc, byte(r.crc))
	for i, b := range r.data {
		gain = r.put(uint32(i), b.value, true) || gain
	}
	return gain
}

// close ends a group with the packet behind it, from which one can tell where its bytes belong. next: it is of the next
// group. Each byte is as many packets behind the number as sequence numbers say, perhaps in a later group, if no frame
// of somebody else was between. None was if the last byte of the group is there and in its place: then they are sure.
// If it is there but farther off, bytes count that have no gap before them or none behind them.
func (r *gridReader) close(end uint32, next bool) bool {
	known, data := r.known, r.data[:min(r.count, groupSize)]
	r.known = false
	if !known || len(data) == 0 {
		return false
	}
	last := data[len(data)-1].place
	size := uint32(max(0, min(groupSize, r.grid.size()-r.group*groupSize)))
	// The last byte is there, and there is no room for another group.
	anchored := next && size > 0 && r.count <= int(size) && r.seq+last+1 == end && last < size+groupPackets
	if anchored && last < size {
		r.grid.unnumbered = true
		return false
	}
	gain := false
	for i, b := range data {
		behind := uint32(len(data) - 1 - i)
		place := b.place
		if anchored && last > size && place != uint32(i+1) {
			if place+behind != last {
				continue
			}
			place = size - behind
		}
		gain = r.put(place-1, b.value, anchored && last == size) || gain
	}
	return gain
}

// put votes for the byte so many packets behind the first one of the group, where it is a byte of a later group too.
// sure: at once, else somebody else has to agree.
func (r *gridReader) put(behind uint32, value byte, sure bool) bool {
	group, place := r.group+int(behind/groupPackets), behind%groupPackets
	if place >= groupSize || behind >= groupPackets*groupsAhead || group >= maxGroups {
		return false
	}
	if size := r.grid.size(); group > r.group && group*groupSize+int(place) >= size {
		return false // behind the end, or nobody knows where that is
	}
	slot := &r.grid.groups[group].data[place]
	if sure {
		return r.vote(slot, value, value)
	}
	return r.vote(slot, value)
}

// tag votes for half a byte of a code. Tag 0 looks like the guide code of AirKiss, so it counts only before tag 1.
func (r *gridReader) tag(value, last int, beside bool) bool {
	gain := false
	if tag := value >> 4; tag > 0 {
		gain = r.vote(&r.grid.tags[tag], byte(value&15))
		if tag == 1 && beside && last>>4 == 0 {
			gain = r.vote(&r.grid.tags[0], byte(last&15)) || gain
		}
	}
	return gain
}

// vote adds readings and reports whether they made the value sure, or surer.
func (r *gridReader) vote(b *ballot, values ...byte) bool {
	was := *b
	for _, v := range values {
		b.add(v)
	}
	_, sure := b.sure()
	return sure && *b != was
}

// groupVote votes for the offset at which the last packets are a group that this protocol can send, whose CRC is right.
func groupVote(recent []packet, v *votes) {
	if len(recent) < groupPackets {
		return
	}
	p := recent[len(recent)-groupPackets:]
	if !near(p, groupSpare) {
		return
	}
	number := int(p[1].length) - groupControl
	for o := max(minOffset, number-maxGroups+1); o <= min(maxOffset, number); o++ {
		covered := []byte{byte(number - o)}
		for _, d := range p[2:] {
			if value := int(d.length) - o; value >= groupData && value < groupEnd {
				covered = append(covered, byte(value))
			}
		}
		if len(covered) == 1+groupSize && int(p[0].length)-o == int(crc8(covered...)&0x7f|groupControl) {
			v.add(o, 1)
		}
	}
}

// codeVote votes for the offsets at which the last four packets are a byte and its CRC, from this tag on.
func codeVote(recent []packet, tag int, v *votes) {
	if len(recent) < 4 {
		return
	}
	p := recent[len(recent)-4:]
	if !near(p, groupSpare) {
		return
	}
	for half := range 16 {
		o := int(p[0].length) - (tag<<4 | half)
		var halves [4]byte
		fits := true
		for i := range halves {
			value := int(p[i].length) - o
			fits = fits && value >= 0 && value>>4 == tag+i
			halves[i] = byte(value & 15)
		}
		if fits && crc8(halves[0]<<4|halves[1]) == halves[2]<<4|halves[3] {
			v.add(o, 2)
		}
	}
}
