package stream

import (
	"log/slog"
	"sync/atomic"
	"time"
)

// fault is something bad that a camera or an encoder delivers and the stream lives with.
type fault int

const (
	faultLost         fault = iota // pictures that the driver skipped
	faultEmpty                     // a buffer without a byte
	faultNoStartCode               // an H.264 buffer without a NAL unit
	faultNoPicture                 // NAL units that hold no slice and no parameter set
	faultCorrupt                   // the driver itself says that it is damaged
	faultTruncated                 // fewer bytes than format and size need
	faultBadJPEG                   // an MJPEG picture that can't be decoded
	faultBadParams                 // a parameter set that can't be parsed
	faultNotDecodable              // a picture before the first IDR with parameter sets
	faultLate                      // a PTS that went back
	faultSize                      // the picture size changed in mid-stream
	faultFormat                    // a frame of another format than the capture's
	faultEncoder                   // an encoder gave an error
	faultKinds
)

var faultNames = [faultKinds]string{
	"lost", "empty", "no_start_code", "no_picture", "corrupt", "truncated", "bad_jpeg", "bad_params", "not_decodable",
	"late", "size_changed", "wrong_format", "encoder",
}

func (f fault) String() string { return faultNames[f] }

// faults counts them, and tells the log of new ones once a second at most, however many there are.
type faults struct {
	counts [faultKinds]atomic.Uint64

	told     [faultKinds]uint64 // by tell alone
	toldLast time.Time
}

func (f *faults) add(kind fault, n uint64) { f.counts[kind].Add(n) }

// snapshot returns the counts by name, those that are not zero.
func (f *faults) snapshot() map[string]uint64 {
	m := map[string]uint64{}
	for i := range f.counts {
		if n := f.counts[i].Load(); n > 0 {
			m[faultNames[i]] = n
		}
	}
	return m
}

// tell logs what came since it last did, unless that is less than a second ago. One goroutine at a time calls it.
func (f *faults) tell(log *slog.Logger, now time.Time) {
	if now.Sub(f.toldLast) < time.Second {
		return
	}
	var facts []any
	for i := range f.counts {
		n := f.counts[i].Load()
		if n != f.told[i] {
			facts = append(facts, slog.Uint64(faultNames[i], n-f.told[i]))
			f.told[i] = n
		}
	}
	if len(facts) > 0 {
		f.toldLast = now
		log.Warn("camera delivered bad or incomplete frames", facts...)
	}
}
