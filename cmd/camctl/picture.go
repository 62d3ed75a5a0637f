package main

import "errors"

type pictureCommand struct {
	Width  int `arg:"" help:"Width of the pictures."`
	Height int `arg:"" help:"Height of the pictures."`
}

// Run reads pictures.
func (pictureCommand) Run(streams) error {
	return &fault{exitUnreadable, errors.New("not yet")}
}
