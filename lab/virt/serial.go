package virt

import (
	"net"
	"sync"
)

// serial is the board's second serial port, which is its agent's: a TCP port of this machine leads to it, as a terminal
// server does, for one program at a time. What the board says while nobody is there is lost, as on a real line.
type serial struct {
	board net.Conn

	mu     sync.Mutex // guards the rest
	in     net.Listener
	person net.Conn // nil: nobody is there
}

// read hands on what the board says, until it ends.
func (s *serial) read() {
	b := make([]byte, 4096)
	for {
		n, err := s.board.Read(b)
		if err != nil {
			s.close()
			return
		}
		s.mu.Lock()
		person := s.person
		s.mu.Unlock()
		if person != nil {
			_, _ = person.Write(b[:n]) // who has gone misses nothing
		}
	}
}

// address opens the TCP port, and names it.
func (s *serial) address(start func(func())) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.in == nil {
		in, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return "", err
		}
		s.in = in
		start(func() { s.serve(in) })
	}
	return s.in.Addr().String(), nil
}

// serve lets one program after the other speak with the board.
func (s *serial) serve(in net.Listener) {
	b := make([]byte, 4096)
	for {
		conn, err := in.Accept()
		if err != nil {
			return
		}
		s.be(conn)
		for {
			n, err := conn.Read(b)
			if err != nil {
				break
			}
			if _, err := s.board.Write(b[:n]); err != nil {
				break
			}
		}
		s.be(nil)
		_ = conn.Close()
	}
}

func (s *serial) be(person net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.person = person
}

func (s *serial) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.in != nil {
		_ = s.in.Close()
	}
	if s.person != nil {
		_ = s.person.Close()
	}
}

// Serial is where the agent's serial port is reached while the power is on: HOST:PORT, for one program at a time.
func (b *Board) Serial() string {
	b.t.Helper()
	addr, err := b.machine.serial.address(func(serve func()) { b.machine.readers.Go(serve) })
	if err != nil {
		b.t.Fatal(err)
	}
	return addr
}
