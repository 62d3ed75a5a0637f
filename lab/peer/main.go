// Command peer is somebody else on the board's networks, for the lab's tests: it speaks to a multicast group, listens
// to one, counts the frames that a monitor interface hears, and asks wpa_supplicant. It runs in the board (from the
// lab's disk, in the access point's namespace or beside the agent) and on the host in the lab's network namespace.
//
//	peer say INTERFACE GROUP:PORT TEXT [-every 200ms] [-for 5s]   from the group's own port, as mDNS does (RFC 6762 11)
//	peer hear INTERFACE GROUP:PORT [-for 5s]                      prints the first datagram: its sender, its text
//	peer frames INTERFACE [-for 5s]                               what a monitor interface hears, as JSON
//	peer send INTERFACE HEX                                       a frame, radiotap header first, by a monitor interface
//	peer ask SOCKET REQUEST...                                    a request to wpa_supplicant, prints the answer
//
// Exit code 1 where nothing was heard, 2 where it could not listen.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"strings"
	"time"
)

func main() {
	heard, err := run(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "peer:", err)
		os.Exit(2)
	}
	if !heard {
		os.Exit(1)
	}
}

func run(args []string) (heard bool, err error) {
	least := map[string]int{"say": 4, "hear": 3, "frames": 2, "send": 3}
	if len(args) > 2 && args[0] == "ask" {
		return true, ask(args[1], strings.Join(args[2:], " "))
	}
	if len(args) == 0 || least[args[0]] == 0 || len(args) < least[args[0]] {
		return false, errors.New("usage: peer say|hear|frames|send INTERFACE [GROUP:PORT [TEXT]|HEX] [-for 5s]")
	}
	verb, words := args[0], args[1:least[args[0]]]
	f := flag.NewFlagSet("peer", flag.ContinueOnError)
	limit := f.Duration("for", 5*time.Second, "how long")
	every := f.Duration("every", 200*time.Millisecond, "how often to say it")
	if err := f.Parse(args[least[verb]:]); err != nil {
		return false, err
	}
	on, err := net.InterfaceByName(words[0])
	if err != nil {
		return false, err
	}
	end := time.Now().Add(*limit)
	switch verb {
	case "say":
		return true, say(on, words[1], words[2], *every, end)
	case "hear":
		return hear(on, words[1], end)
	case "send":
		return true, send(on, words[1])
	default:
		c, err := frames(on, end)
		if err == nil {
			err = json.NewEncoder(os.Stdout).Encode(c)
		}
		return c.Frames > 0, err
	}
}

// ask sends a request to a control socket of wpa_supplicant and prints the answer. It binds an abstract address
// (unix(7)): whom wpa_supplicant may write to is no question of files there.
func ask(socket, request string) error {
	own := &net.UnixAddr{Name: fmt.Sprintf("@peer-%d", os.Getpid()), Net: "unixgram"}
	c, err := net.DialUnix("unixgram", own, &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return err
	}
	if _, err := c.Write([]byte(request)); err != nil {
		return err
	}
	b := make([]byte, 16<<10)
	n, err := c.Read(b)
	fmt.Println(strings.TrimSpace(string(b[:n])))
	return err
}

// join opens the group's own port on one interface.
func join(on *net.Interface, group string) (*net.UDPConn, *net.UDPAddr, error) {
	to, err := net.ResolveUDPAddr("udp4", group)
	if err != nil {
		return nil, nil, err
	}
	c, err := net.ListenMulticastUDP("udp4", on, to)
	return c, to, err
}

func say(on *net.Interface, group, text string, every time.Duration, end time.Time) error {
	c, to, err := join(on, group)
	if err != nil {
		return err
	}
	defer c.Close()
	for {
		if _, err := c.WriteToUDP([]byte(text), to); err != nil {
			return err
		}
		if time.Until(end) < every {
			return nil
		}
		time.Sleep(every)
	}
}

func hear(on *net.Interface, group string, end time.Time) (bool, error) {
	c, _, err := join(on, group)
	if err != nil {
		return false, err
	}
	defer c.Close()
	if err := c.SetReadDeadline(end); err != nil {
		return false, err
	}
	b := make([]byte, 2048)
	n, from, err := c.ReadFromUDP(b)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	fmt.Printf("%s %s\n", from, b[:n])
	return true, nil
}
