package squashfs

import (
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// BenchmarkLevels says what a block size and a level cost the camera that makes blocks again, and what they save in a
// slot: OCELLUS_LEVELS names a file of the root, the agent above all. MiB-held is what an encoder and a decoder keep
// once they have seen the whole file, of the process's resident memory.
func BenchmarkLevels(b *testing.B) {
	file := os.Getenv("OCELLUS_LEVELS")
	if file == "" {
		b.Skip("OCELLUS_LEVELS names no file")
	}
	data, err := os.ReadFile(file)
	if err != nil {
		b.Fatal(err)
	}
	for _, level := range []zstd.EncoderLevel{zstd.SpeedDefault, zstd.SpeedBetterCompression, zstd.SpeedBestCompression} {
		for _, size := range []int{128 << 10, 256 << 10, 512 << 10, 1 << 20} {
			b.Run(fmt.Sprintf("%s/%dKiB", level, size>>10), func(b *testing.B) {
				benchmarkLevel(b, data, size, level)
			})
		}
	}
}

func benchmarkLevel(b *testing.B, data []byte, size int, level zstd.EncoderLevel) {
	debug.FreeOSMemory()
	before := resident(b)
	c, err := NewCodec(size)
	if err != nil {
		b.Fatal(err)
	}
	_ = c.encoder.Close()
	if c.encoder, err = zstd.NewWriter(nil, zstd.WithEncoderLevel(level), zstd.WithEncoderConcurrency(1),
		zstd.WithLowerEncoderMem(true), zstd.WithWindowSize(size), zstd.WithSingleSegment(true),
		zstd.WithEncoderCRC(false)); err != nil {
		b.Fatal(err)
	}
	var stored []byte
	all, blocks := 0, 0
	b.ResetTimer()
	for range b.N {
		all, blocks = 0, 0
		for at := 0; at < len(data); at += size {
			stored, _ = c.Compress(stored[:0], data[at:min(at+size, len(data))])
			all += len(stored)
			blocks++
		}
	}
	b.StopTimer()
	stored, _ = c.Compress(stored[:0], data[:size])
	block, err := c.Expand(nil, stored)
	if err != nil {
		b.Fatal(err)
	}
	debug.FreeOSMemory()
	b.ReportMetric(float64(resident(b)-before)/(1<<20), "MiB-held")
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*blocks)/1000, "ms/block")
	b.ReportMetric(float64(all), "bytes")
	runtime.KeepAlive(block)
	c.Close()
}

// resident is the memory of this process, in bytes.
func resident(b *testing.B) int64 {
	b.Helper()
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		b.Skip("no /proc")
	}
	var size, pages int64
	if _, err := fmt.Sscan(string(text), &size, &pages); err != nil {
		b.Fatal(err)
	}
	return pages * int64(os.Getpagesize())
}
