package dot11

import "encoding/binary"

// Bits of radiotap's first present word, and of its Flags field (radiotap.org/fields).
const (
	radiotapHeader = 8
	presentMore    = 1 << 31

	hasFCS    = 0x10
	hasPad    = 0x20
	brokenFCS = 0x40
)

// radio is what the driver says of a packet.
type radio struct {
	frequency, signal int // MHz and dBm; 0 is unknown
	fcs, padded       bool
}

// field is one field of radiotap. All that is needed here are among the first six, so the others need no sizes.
type field struct{ size, align int }

// firstFields returns the fields of bits 0 to 5: TSFT, Flags, Rate, Channel, FHSS, Antenna signal.
func firstFields() [6]field {
	return [6]field{{8, 8}, {1, 1}, {1, 1}, {4, 2}, {2, 1}, {1, 1}}
}

// parseRadiotap reads the radiotap header and returns the frame behind it.
func parseRadiotap(packet []byte) (radio, []byte, error) {
	if len(packet) < radiotapHeader || len(packet) > MaxPacket {
		return radio{}, nil, ErrShort
	}
	if packet[0] != 0 {
		return radio{}, nil, ErrOther
	}
	length := int(binary.LittleEndian.Uint16(packet[2:]))
	if length < radiotapHeader || length > len(packet) {
		return radio{}, nil, ErrShort
	}
	header := packet[:length]
	at := 4
	for more := true; more; at += 4 {
		if at+4 > length {
			return radio{}, nil, ErrShort
		}
		more = binary.LittleEndian.Uint32(header[at:])&presentMore != 0
	}
	r, err := readFields(header, at, binary.LittleEndian.Uint32(header[4:]))
	return r, packet[length:], err
}

// readFields reads the fields of the first present word, which begin at offset at.
func readFields(header []byte, at int, present uint32) (radio, error) {
	var r radio
	for bit, f := range firstFields() {
		if present>>bit&1 == 0 {
			continue
		}
		at = (at + f.align - 1) / f.align * f.align
		if at+f.size > len(header) {
			return r, ErrShort
		}
		switch bit {
		case 1:
			if header[at]&brokenFCS != 0 {
				return r, ErrDamaged
			}
			r.fcs, r.padded = header[at]&hasFCS != 0, header[at]&hasPad != 0
		case 3:
			r.frequency = int(binary.LittleEndian.Uint16(header[at:]))
		case 5:
			r.signal = int(int8(header[at]))
		}
		at += f.size
	}
	return r, nil
}

// TunedTo returns the frequency in MHz to which the radio was tuned when it heard a packet; 0 if the driver does not say.
func TunedTo(packet []byte) int {
	r, _, err := parseRadiotap(packet[:min(len(packet), MaxPacket)])
	if err != nil {
		return 0
	}
	return r.frequency
}

// Channel returns the number of the channel at a frequency in MHz; 0 if there is none (802.11-2020 Annex E).
func Channel(frequency int) int {
	switch {
	case frequency == 2484:
		return 14
	case frequency >= 2412 && frequency <= 2472 && (frequency-2407)%5 == 0:
		return (frequency - 2407) / 5
	case frequency >= 5160 && frequency <= 5885 && frequency%5 == 0:
		return (frequency - 5000) / 5
	}
	return 0
}

// Frequency returns the frequency in MHz of a channel of 2.4 GHz; 0 if it has no such channel.
func Frequency(channel int) int {
	switch {
	case channel == 14:
		return 2484
	case channel >= 1 && channel <= 13:
		return 2407 + 5*channel
	}
	return 0
}
