package main

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// config is init.conf: one thing a line, in words; # begins a comment. What a line is, is its first word:
//
//	module FILE [PARAMETER...]            load a kernel module; in this order
//	node PATTERN UID GID MODE             give device nodes to a user: video*, or part:env for a partition by its name;
//	                                      the booted slot's is root's and only read
//	data PARTITION UID GID                mount this ext4 on /data; the user owns /data/agent
//	dir PATH UID GID MODE                 make a folder, on /run, and give it to a user
//	lab SERIAL                            mount the squashfs disk with this serial number on /lab and read its init.conf
//	                                      too; only virtual boards have this line
//	service NAME [OPTION...] exec ARGV... keep a program running: uid=N gid=N groups=N,N; the first word of ARGV is its
//	                                      path; console=1 gives it the console's input, once=1 runs it once;
//	                                      caps=net_admin,net_raw leaves these capabilities to a user who is not root
//	                                      (sys_time and net_bind_service are the others);
//	                                      link=wlan0 raises this network interface, and runs the program while it is
//	                                      connected; trial=N: where the slot is on trial and this has ended so often, the
//	                                      board is reset, which costs the slot a try; wait=N: so many seconds after
//	                                      the others it is started for the first time;
//	                                      socket=PATH: it is started when somebody has come to this unix socket of whole
//	                                      messages, which it has as descriptor 3, and it may end when nobody is there
type config struct {
	modules  []module
	nodes    []nodeRule
	dirs     []dirRule
	data     dataDisk
	lab      string
	services []service
}

type module struct{ file, params string }

type nodeRule struct {
	pattern  string
	uid, gid int
	mode     uint32
}

type dirRule struct {
	path     string
	uid, gid int
	mode     uint32
}

type dataDisk struct {
	partition string
	uid, gid  int
}

type service struct {
	name          string
	uid, gid      int // both 0: root, with all that root may do
	groups        []uint32
	caps          []uintptr // linux/capability.h
	link          string    // network interface; empty: it runs whatever the network does
	socket        string    // it is started for who comes to it; empty: at once
	console, once bool
	trial         int           // 0: it may end as often as it likes
	wait          time.Duration // before its first start
	argv          []string
}

// parseConfig reads a whole file and says every fault at once; lines with faults are left out.
func parseConfig(text string) (config, []error) {
	var c config
	var faults []error
	n := 0
	for line := range strings.Lines(text) {
		n++
		line, _, _ = strings.Cut(line, "#")
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		if err := c.line(words[0], words[1:]); err != nil {
			faults = append(faults, fmt.Errorf("init.conf line %d: %w", n, err))
		}
	}
	return c, faults
}

func (c *config) line(what string, words []string) error {
	least := map[string]int{"module": 1, "node": 4, "dir": 4, "data": 3, "lab": 1, "service": 3}
	if n, known := least[what]; !known || len(words) < n {
		return fmt.Errorf("%s with %d words", what, len(words))
	}
	switch what {
	case "module":
		c.modules = append(c.modules, module{words[0], strings.Join(words[1:], " ")})
	case "lab":
		c.lab = words[0]
	case "data":
		numbers, err := atoi(words[1:3], 10)
		if err != nil {
			return err
		}
		c.data = dataDisk{words[0], numbers[0], numbers[1]}
	case "node", "dir":
		return c.ownership(what, words)
	case "service":
		s, err := parseService(words)
		if err != nil {
			return err
		}
		c.services = append(c.services, s)
	}
	return nil
}

// ownership is of lines that give something to a user: WHAT UID GID MODE.
func (c *config) ownership(what string, words []string) error {
	numbers, err := atoi(words[1:3], 10)
	if err != nil {
		return err
	}
	mode, err := atoi(words[3:4], 8)
	if err != nil {
		return err
	}
	if what == "dir" {
		if !path.IsAbs(words[0]) {
			return fmt.Errorf("dir %s: no absolute path", words[0])
		}
		c.dirs = append(c.dirs, dirRule{words[0], numbers[0], numbers[1], uint32(mode[0])})
		return nil
	}
	if _, err := path.Match(words[0], ""); err != nil {
		return err
	}
	c.nodes = append(c.nodes, nodeRule{words[0], numbers[0], numbers[1], uint32(mode[0])})
	return nil
}

func parseService(words []string) (service, error) {
	at := slices.Index(words, "exec")
	if at < 1 || at+1 >= len(words) || !strings.HasPrefix(words[at+1], "/") {
		return service{}, fmt.Errorf("service %s: no exec /PATH", words[0])
	}
	s := service{name: words[0], argv: words[at+1:]}
	for _, option := range words[1:at] {
		name, value, _ := strings.Cut(option, "=")
		if err := s.option(name, value); err != nil {
			return service{}, fmt.Errorf("service %s: %s: %w", s.name, name, err)
		}
	}
	if len(s.caps) > 0 && s.uid == 0 {
		return service{}, fmt.Errorf("service %s: caps are for a user, root has them all", s.name)
	}
	if s.socket != "" && s.link != "" {
		return service{}, fmt.Errorf("service %s: it is started by its socket or by its link, not by both", s.name)
	}
	return s, nil
}

func (s *service) option(name, value string) error {
	words := strings.Split(value, ",")
	switch name {
	case "caps":
		for _, word := range words {
			c, err := capability(word)
			if err != nil {
				return err
			}
			s.caps = append(s.caps, c)
		}
		return nil
	case "link":
		if value == "" {
			return fmt.Errorf("no interface")
		}
		s.link = value
		return nil
	case "socket":
		if !strings.HasPrefix(value, "/") {
			return fmt.Errorf("no path")
		}
		s.socket = value
		return nil
	}
	numbers, err := atoi(words, 10)
	if err != nil {
		return err
	}
	switch name {
	case "uid":
		s.uid = numbers[0]
	case "gid":
		s.gid = numbers[0]
	case "groups":
		for _, g := range numbers {
			s.groups = append(s.groups, uint32(g))
		}
	case "console":
		s.console = numbers[0] == 1
	case "once":
		s.once = numbers[0] == 1
	case "trial":
		s.trial = numbers[0]
	case "wait":
		s.wait = time.Duration(numbers[0]) * time.Second
	default:
		return fmt.Errorf("unknown option")
	}
	return nil
}

// capability knows those that a service of a camera can have good reason for.
func capability(word string) (uintptr, error) {
	switch word {
	case "net_bind_service":
		return unix.CAP_NET_BIND_SERVICE, nil
	case "net_admin":
		return unix.CAP_NET_ADMIN, nil
	case "net_raw":
		return unix.CAP_NET_RAW, nil
	case "sys_time":
		return unix.CAP_SYS_TIME, nil
	}
	return 0, fmt.Errorf("%q is no capability that init gives", word)
}

func atoi(words []string, base int) ([]int, error) {
	var out []int
	for _, w := range words {
		n, err := strconv.ParseInt(w, base, 32)
		if err != nil || n < 0 {
			return nil, fmt.Errorf("%q is no number", w)
		}
		out = append(out, int(n))
	}
	return out, nil
}
