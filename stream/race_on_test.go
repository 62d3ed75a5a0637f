//go:build race

package stream

// raceDetector: sync.Pool forgets at random under it, so allocations can't be counted.
const raceDetector = true
