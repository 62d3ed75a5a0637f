package main

import (
	"strings"
	"testing"
	"time"
)

func TestSharedClock(t *testing.T) {
	t.Parallel()
	const ms = time.Millisecond
	tests := []struct {
		name        string
		differences []time.Duration
		sameHost    bool
		want        bool
		why         string
	}{
		{name: "no stamps", why: "no capture stamps"},
		{name: "same host", differences: []time.Duration{3 * ms, 4 * ms}, sameHost: true, want: true},
		{name: "same host, recorded stamps", differences: many(time.Hour, 0), sameHost: true, why: "behind"},
		{name: "camera ahead", differences: many(-time.Hour, 0), why: "ahead"},
		{name: "camera behind", differences: many(time.Hour, 0), why: "behind"},
		{name: "other host, steady", differences: many(30*ms, 0), want: true},
		{name: "other host, drifting", differences: many(30*ms, ms), why: "drift"},
		{name: "other host, too few", differences: []time.Duration{3 * ms, 4 * ms}, why: "too few"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, why := sharedClock(tt.differences, tt.sameHost)
			if got != tt.want || !strings.Contains(why, tt.why) || got == (why != "") {
				t.Errorf("sharedClock = %v, %q, want %v, %q", got, why, tt.want, tt.why)
			}
		})
	}
}

// many are 200 differences that begin at d and grow by step.
func many(d, step time.Duration) []time.Duration {
	out := make([]time.Duration, 200)
	for i := range out {
		out[i] = d + time.Duration(i)*step
	}
	return out
}

func TestSenderDrift(t *testing.T) {
	t.Parallel()
	const ppm = 50
	start := time.Unix(1700000000, 0)
	var c senderClock
	for i := range 10 {
		media := time.Duration(i) * 5 * time.Second
		c.reports = append(c.reports, report{
			ntp: start.Add(media + media/1e6*ppm), ticks: int64(media.Seconds() * mediaClock), arrived: start.Add(media),
		})
	}
	got, ok := c.drift()
	if !ok || got < ppm-1 || got > ppm+1 {
		t.Errorf("drift = %v, %v, want %d", got, ok, ppm)
	}
	c.compare(c.reports[9].ticks+mediaClock/2, c.reports[9].ntp.Add(490*time.Millisecond))
	if got, want := c.offsets[0].Round(time.Microsecond), 10*time.Millisecond; got != want {
		t.Errorf("offset to the stamp = %v, want %v", got, want)
	}
	c.reports = c.reports[:2]
	if _, ok := c.drift(); ok {
		t.Error("drift from two reports")
	}
}

func TestUnwrapper(t *testing.T) {
	t.Parallel()
	var u unwrapper
	var got []int64
	for _, ts := range []uint32{0xffffff00, 0xffffffff, 0x100, 0xf0} {
		got = append(got, u.ticks(ts))
	}
	want := []int64{0, 0xff, 0x200, 0x1f0}
	for i := range want {
		if got[i] != want[i] {
			t.Fatalf("ticks = %v, want %v", got, want)
		}
	}
}

func TestBurst(t *testing.T) {
	t.Parallel()
	start := time.Unix(1700000000, 0)
	var b burst
	const step = mediaClock / 25
	for i := range 10 { // ten pictures at once
		if b.over(int64(i*step), start.Add(time.Duration(i)*time.Millisecond)) {
			t.Fatalf("picture %d of the replay taken for a live one", i)
		}
	}
	if !b.over(10*step, start.Add(40*time.Millisecond)) {
		t.Error("live picture taken for a replayed one")
	}
	if got, want := b.replays, 9; got != want {
		t.Errorf("replays = %d, want %d", got, want)
	}
}
