package load

import (
	"errors"
	"fmt"
	"net/url"
)

// FirstPacket opens a stream over TCP, waits for its first RTP packet and closes it.
func FirstPacket(address string) error {
	u, err := url.Parse(address)
	if err != nil {
		return errors.New("first packet: bad URL")
	}
	s, err := open(u, false, 0)
	if err != nil {
		return fmt.Errorf("first packet: %w", err)
	}
	defer s.close()
	if _, err := s.receive(); err != nil { // PLAY
		return fmt.Errorf("first packet: %w", err)
	}
	for {
		frame := make([]byte, 4)
		for i := range frame {
			if frame[i], err = s.in.ReadByte(); err != nil {
				return fmt.Errorf("first packet: %w", err)
			}
		}
		if frame[0] == '$' && frame[1] == 0 {
			return nil
		}
		if _, err := s.in.Discard(int(frame[2])<<8 | int(frame[3])); err != nil {
			return fmt.Errorf("first packet: %w", err)
		}
	}
}
