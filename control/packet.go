package control

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
)

// errPacket: the broker sent what no broker sends, or too much.
var errPacket = errors.New("broker")

// Bounds of what a broker may send (MQTT 3.1.1, OASIS Standard, section 2.2).
const (
	maxTopic  = 256                           // of those that are ours
	maxPacket = 2 + maxTopic + 2 + 64<<10 + 1 // a command, the largest message for us, and a byte that is too many
)

// The types of packets that a server sends, 2.2.1.
const (
	packetCONNACK  = 2
	packetPUBLISH  = 3
	packetPUBACK   = 4
	packetPUBREC   = 5
	packetPUBREL   = 6
	packetPUBCOMP  = 7
	packetSUBACK   = 9
	packetUNSUBACK = 11
	packetPINGRESP = 13
)

// filtered is a connection to a broker that lets whole packets through, of the kinds that a server sends, within our
// bounds. The MQTT library behind it takes memory for whatever length the broker says, 256 MB at most, and panics over
// a SUBACK with more codes than were asked for.
type filtered struct {
	net.Conn
	in    *bufio.Reader
	ready []byte // of a packet, for Read
}

func newFiltered(conn net.Conn) *filtered { return &filtered{Conn: conn, in: bufio.NewReader(conn)} }

// Read returns bytes of packets that were looked at.
func (f *filtered) Read(p []byte) (int, error) {
	if len(f.ready) == 0 {
		packet, err := readPacket(f.in)
		if err != nil {
			return 0, err
		}
		f.ready = packet
	}
	n := copy(p, f.ready)
	f.ready = f.ready[n:]
	return n, nil
}

// readPacket reads a whole packet: its size is bounded before memory is taken for it. A message that is too long is cut
// to a length that is still too long, so that it is refused where messages are, and acknowledged: the broker would bring
// it again and again to a camera that hung up on it.
func readPacket(in *bufio.Reader) ([]byte, error) {
	first, err := in.ReadByte()
	if err != nil {
		return nil, err
	}
	size, head := 0, []byte{first}
	for shift := 0; ; shift += 7 { // 2.2.3: at most four bytes of seven bits
		b, err := in.ReadByte()
		if err != nil {
			return nil, unexpected(err)
		}
		head = append(head, b)
		size |= int(b&0x7f) << shift
		if b&0x80 == 0 {
			break
		}
		if shift == 21 {
			return nil, fmt.Errorf("%w: a length of more than four bytes", errPacket)
		}
	}
	rest := 0
	if size > maxPacket {
		if first>>4 != packetPUBLISH {
			return nil, fmt.Errorf("%w: a packet of %d bytes, at most %d", errPacket, size, maxPacket)
		}
		size, rest = maxPacket, size-maxPacket
		head = binary.AppendUvarint([]byte{first}, uint64(size)) // the same seven bits a byte
	}
	packet := append(head, make([]byte, size)...)
	body := packet[len(head):]
	if _, err := io.ReadFull(in, body); err != nil {
		return nil, unexpected(err)
	}
	if _, err := io.CopyN(io.Discard, in, int64(rest)); err != nil {
		return nil, unexpected(err)
	}
	return packet, checkPacket(first, body)
}

func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// checkPacket refuses what a server must not send to us.
func checkPacket(first byte, body []byte) error {
	kind, flags := first>>4, first&0x0f
	bad := func(text string) error { return fmt.Errorf("%w: packet of type %d: %s", errPacket, kind, text) }
	switch kind {
	case packetPUBLISH:
		return checkPublish(flags, body)
	case packetCONNACK, packetPUBACK, packetPUBREC, packetPUBCOMP, packetUNSUBACK:
		if len(body) != 2 || flags != 0 {
			return bad("malformed")
		}
	case packetPUBREL:
		if len(body) != 2 || flags != 2 {
			return bad("malformed")
		}
	case packetSUBACK: // we subscribe to one filter at a time
		if len(body) != 3 || flags != 0 {
			return bad("malformed")
		}
	case packetPINGRESP:
		if len(body) != 0 || flags != 0 {
			return bad("malformed")
		}
	default:
		return bad("no server sends it")
	}
	return nil
}

func checkPublish(flags byte, body []byte) error {
	qos := flags >> 1 & 3
	need := 2
	if qos > 0 {
		need = 4
	}
	switch {
	case qos == 3:
		return fmt.Errorf("%w: QoS 3", errPacket)
	case len(body) < need:
		return fmt.Errorf("%w: PUBLISH cut short", errPacket)
	}
	topic := int(binary.BigEndian.Uint16(body))
	switch {
	case topic == 0: // one that is too long is nobody's, and acknowledged as what is too long is
		return fmt.Errorf("%w: no topic", errPacket)
	case topic+need > len(body):
		return fmt.Errorf("%w: PUBLISH cut short", errPacket)
	case qos > 0 && binary.BigEndian.Uint16(body[2+topic:]) == 0:
		return fmt.Errorf("%w: packet identifier 0", errPacket)
	}
	return nil
}
