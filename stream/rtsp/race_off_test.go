//go:build !race

package rtsp

const raceDetector = false
