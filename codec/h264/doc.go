// Package h264 reads and writes the H.264 bitstream (ITU-T H.264): NAL units in Annex B and length-prefixed form,
// access unit boundaries, parameter sets, SEI. Pure: bytes in, values out, no I/O, no clock.
//
// Words are the standard's. A NAL unit is a []byte that begins with its header byte and carries no start code.
package h264
