package dot11

// Beacon is what an access point says of itself in a beacon or a probe response.
type Beacon struct {
	BSSID     Addr
	SSID      []byte // 0 to 32 bytes, any; empty where the network hides its name. Shares the packet's memory
	Channel   int    // on which it really is, by the DS or HT element; 0 if neither is there
	Frequency int    // MHz to which the radio was tuned: a beacon is heard beside its channel too
	Signal    int    // dBm; 0 if the driver does not say
}

// Subtypes of management frames and ids of elements (802.11-2020 9.3.3, 9.4.2).
const (
	subtypeBeacon, subtypeProbeResponse = 0x80, 0x50
	beaconFixed                         = 12 // timestamp, interval, capabilities
	elementSSID, elementDS, elementHT   = 0, 3, 61
	maxSSID                             = 32
)

// ParseBeacon reads a captured packet that holds a beacon or a probe response. An element that is cut short ends the
// list: what stood before it counts.
func ParseBeacon(packet []byte) (Beacon, error) {
	r, mpdu, err := parseRadiotap(packet)
	if err != nil {
		return Beacon{}, err
	}
	if r.fcs {
		mpdu = mpdu[:max(0, len(mpdu)-fcsLength)]
	}
	if len(mpdu) < macHeader+beaconFixed {
		return Beacon{}, ErrShort
	}
	if kind := mpdu[0]; kind != typeManagement|subtypeBeacon && kind != typeManagement|subtypeProbeResponse {
		return Beacon{}, ErrOther
	}
	b := Beacon{BSSID: Addr(mpdu[16:22]), Frequency: r.frequency, Signal: r.signal}
	named := false
	for rest := mpdu[macHeader+beaconFixed:]; len(rest) >= 2; {
		id, size := rest[0], int(rest[1])
		if len(rest) < 2+size {
			break
		}
		body := rest[2 : 2+size]
		rest = rest[2+size:]
		switch {
		case id == elementSSID && size <= maxSSID && !named:
			b.SSID, named = body, true
		case id == elementDS && size == 1:
			b.Channel = int(body[0])
		case id == elementHT && size > 0 && b.Channel == 0:
			b.Channel = int(body[0]) // 5 GHz networks have no DS element
		}
	}
	return b, nil
}
