package main

import "os"

// readAhead reads the programs of services, so that they are in memory when they start. A program that asks for its
// pages one by one, as it comes upon them, has the slot unpack and verify many a block more than once.
func readAhead(list []service) {
	buf := make([]byte, 256<<10)
	read := map[string]bool{}
	for _, s := range list {
		program := s.argv[0]
		if read[program] {
			continue
		}
		read[program] = true
		f, err := os.Open(program)
		if err != nil {
			continue // its start will tell
		}
		for err == nil {
			_, err = f.Read(buf)
		}
		_ = f.Close()
	}
}
