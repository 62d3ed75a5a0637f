//go:build race

package rtsp

// raceDetector: sync.Pool forgets at random under it, so allocations can't be counted.
const raceDetector = true
