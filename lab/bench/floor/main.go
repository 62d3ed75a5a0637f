// Floor is the cheapest program that could fan the clip out: nothing but the system calls, in one loop on one thread.
//
// A reader connects and says "TCP\n" or "UDP port\n". TCP: one write an access unit and reader. UDP: one sendto with
// UDP_SEGMENT for each run of equal packets, which is one for every picture but an IDR (its parameter sets go apart).
// A reader that does not read holds everybody up: it is a floor, not a server.
package main

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ocellus/ocellus/lab/bench/clip"
)

func main() {
	file := flag.String("file", "clip.h264", "the clip")
	listen := flag.String("listen", "127.0.0.1:0", "address")
	flag.Parse()
	if err := run(*file, *listen); err != nil {
		fmt.Fprintln(os.Stderr, "floor:", err)
		os.Exit(1)
	}
}

type readers struct {
	mu  sync.Mutex // guards tcp and udp
	tcp []int
	udp []*unix.SockaddrInet4
}

func run(file, listen string) error {
	units, err := clip.Read(file)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	fmt.Printf("floor://%s/\n", l.Addr())
	var r readers
	go r.accept(l)
	return r.send(units)
}

func (r *readers) accept(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		if err := r.add(c); err != nil {
			fmt.Fprintln(os.Stderr, "floor: accept:", err)
		}
	}
}

func (r *readers) add(c net.Conn) error {
	line, err := bufio.NewReader(c).ReadString('\n')
	if err != nil {
		return err
	}
	var port int
	if _, err := fmt.Sscanf(strings.TrimSpace(line), "UDP %d", &port); err == nil {
		go r.serveUDP(c, &unix.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}})
		return nil
	}
	f, err := c.(*net.TCPConn).File() // a duplicate in blocking mode, out of the runtime's poller
	if err != nil {
		return err
	}
	fd, err := unix.Dup(int(f.Fd()))
	if err != nil {
		return err
	}
	if err := unix.SetNonblock(fd, false); err != nil {
		return err
	}
	r.mu.Lock()
	r.tcp = append(slices.Clone(r.tcp), fd)
	r.mu.Unlock()
	return f.Close()
}

// serveUDP lists a reader until its connection ends.
func (r *readers) serveUDP(c net.Conn, to *unix.SockaddrInet4) {
	r.mu.Lock()
	r.udp = append(slices.Clone(r.udp), to)
	r.mu.Unlock()
	_, _ = io.Copy(io.Discard, c)
	r.mu.Lock()
	r.udp = slices.DeleteFunc(slices.Clone(r.udp), func(a *unix.SockaddrInet4) bool { return a == to })
	r.mu.Unlock()
	c.Close()
}

// drop forgets a reader whose connection ended.
func (r *readers) drop(fd int) {
	r.mu.Lock()
	r.tcp = slices.DeleteFunc(slices.Clone(r.tcp), func(f int) bool { return f == fd })
	r.mu.Unlock()
	unix.Close(fd)
}

func (r *readers) send(units []clip.Unit) error {
	runtime.LockOSThread()
	sock, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	if err != nil {
		return err
	}
	if err := unix.SetsockoptInt(sock, unix.IPPROTO_UDP, unix.UDP_SEGMENT, clip.MaxPacket); err != nil {
		return err
	}
	packets := make([]clip.Packets, len(units))
	for i, u := range units {
		packets[i] = clip.Packetize(u)
	}
	seq, timestamp := uint16(0), uint32(0)
	next := time.Now()
	for n := 0; ; n++ {
		p := packets[n%len(packets)]
		seq, timestamp = p.Number(seq, timestamp), timestamp+clip.Ticks
		r.mu.Lock()
		tcp, udp := r.tcp, r.udp
		r.mu.Unlock()
		for _, fd := range tcp {
			if err := writeAll(fd, p.Wire); err != nil {
				r.drop(fd)
			}
		}
		if len(udp) > 0 {
			if err := sendAll(sock, udp, p); err != nil {
				return err
			}
		}
		next = next.Add(clip.Frame)
		time.Sleep(time.Until(next))
	}
}

func writeAll(fd int, wire []byte) error {
	for len(wire) > 0 {
		n, err := unix.Write(fd, wire)
		if err != nil && !errors.Is(err, unix.EINTR) {
			return err
		}
		wire = wire[max(n, 0):]
	}
	return nil
}

func sendAll(sock int, to []*unix.SockaddrInet4, p clip.Packets) error {
	bare, runs := p.Bare()
	for _, addr := range to {
		for i, start := range runs {
			end := len(bare)
			if i+1 < len(runs) {
				end = runs[i+1]
			}
			if err := unix.Sendto(sock, bare[start:end], 0, addr); err != nil {
				return fmt.Errorf("sendto: %w", err)
			}
		}
	}
	return nil
}
