//go:build race

package ota

// raceDetector: the crash test is one goroutine, and ten times as slow under it.
const raceDetector = true
