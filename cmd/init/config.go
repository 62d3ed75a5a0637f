package main

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
)

// config is init.conf: one thing a line, in words; # begins a comment. What a line is, is its first word:
//
//	module FILE [PARAMETER...]            load a kernel module; in this order
//	node PATTERN UID GID MODE             give device nodes to a user: video*, or part:env for a partition by its name;
//	                                      the booted slot's is root's and only read
//	data PARTITION UID GID                mount this ext4 on /data; the user owns /data/agent
//	lab SERIAL                            mount the squashfs disk with this serial number on /lab and read its init.conf
//	                                      too; only virtual boards have this line
//	service NAME [OPTION...] exec ARGV... keep a program running: uid=N gid=N groups=N,N; the first word of ARGV is its
//	                                      path; console=1 gives it the console's input, once=1 runs it once
type config struct {
	modules  []module
	nodes    []nodeRule
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

type dataDisk struct {
	partition string
	uid, gid  int
}

type service struct {
	name          string
	uid, gid      int // both 0: root, with all that root may do
	groups        []uint32
	console, once bool
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
	least := map[string]int{"module": 1, "node": 4, "data": 3, "lab": 1, "service": 3}
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
	case "node":
		numbers, err := atoi(words[1:3], 10)
		if err != nil {
			return err
		}
		mode, err := atoi(words[3:4], 8)
		if err != nil {
			return err
		}
		if _, err := path.Match(words[0], ""); err != nil {
			return err
		}
		c.nodes = append(c.nodes, nodeRule{words[0], numbers[0], numbers[1], uint32(mode[0])})
	case "service":
		s, err := parseService(words)
		if err != nil {
			return err
		}
		c.services = append(c.services, s)
	}
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
		numbers, err := atoi(strings.Split(value, ","), 10)
		if err != nil {
			return service{}, fmt.Errorf("service %s: %s: %w", s.name, name, err)
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
		default:
			return service{}, fmt.Errorf("service %s: unknown option %s", s.name, name)
		}
	}
	return s, nil
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
