package netlink

import (
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Conn is a netlink socket. One goroutine at a time sends and receives; Close unblocks it.
type Conn struct {
	f        *os.File
	buffer   []byte
	sequence uint32
}

// Open opens a socket of a protocol (unix.NETLINK_ROUTE ...) that is told of groups (RTMGRP_ bits).
func Open(protocol int, groups uint32) (*Conn, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, protocol)
	if err != nil {
		return nil, fmt.Errorf("netlink socket: %w", err)
	}
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: groups}); err != nil {
		return nil, errors.Join(fmt.Errorf("netlink bind: %w", err), unix.Close(fd))
	}
	return &Conn{f: os.NewFile(uintptr(fd), "netlink"), buffer: make([]byte, MaxBatch)}, nil
}

// Close closes the socket.
func (c *Conn) Close() error { return c.f.Close() }

// Send sends a request and returns its sequence number.
func (c *Conn) Send(m Message) (uint32, error) {
	c.sequence++
	m.Sequence = c.sequence
	m.Flags |= unix.NLM_F_REQUEST
	_, err := c.f.Write(m.Append(nil)) // to the kernel: the socket is connected to nobody else
	return m.Sequence, err
}

// Receive waits for the next datagram. Its messages are lent until the next call. ENOBUFS: the kernel told more than
// the socket could hold, and something was lost.
func (c *Conn) Receive() ([]Message, error) {
	n, err := c.f.Read(c.buffer)
	if err != nil {
		return nil, err
	}
	return Parse(c.buffer[:n])
}

// Ask sends a request and calls each for every message of its answer, which it lends, until the kernel has said all.
// what names the request in errors.
func (c *Conn) Ask(what string, patience time.Duration, m Message, each func(Message) error) error {
	if err := c.f.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	m.Flags |= unix.NLM_F_ACK
	sequence, err := c.Send(m)
	for more := true; err == nil && more; {
		var list []Message
		if list, err = c.Receive(); err != nil {
			break
		}
		for _, answer := range list {
			if answer.Sequence != sequence {
				continue // an answer that nobody waited for, or something that the kernel tells by itself
			}
			if answer.Type == unix.NLMSG_ERROR || answer.Type == unix.NLMSG_DONE {
				err, more = answer.Err(), false
				break
			}
			if err = each(answer); err != nil {
				break
			}
		}
	}
	if err != nil {
		return fmt.Errorf("netlink %s: %w", what, err)
	}
	return nil
}
