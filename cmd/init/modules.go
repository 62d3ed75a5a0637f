package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// loadAll loads the modules of a list: a file and its parameters a line, in an order that needs no dependencies.
func loadAll(list string) error {
	b, err := os.ReadFile(list)
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(b)) {
		file, params, _ := strings.Cut(strings.TrimSpace(line), " ")
		if err := loadModule(file, params); err != nil {
			return err
		}
	}
	return nil
}

// loadModule is content with a module that is there already.
func loadModule(file, params string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := unix.FinitModule(int(f.Fd()), params, 0); err != nil && !errors.Is(err, unix.EEXIST) {
		return fmt.Errorf("module %s: %w", file, err)
	}
	return nil
}
