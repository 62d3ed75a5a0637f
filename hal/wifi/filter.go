package wifi

import "golang.org/x/sys/unix"

// hearFilter is what the kernel lets through of all that a monitor interface hears (classic BPF, filter.rst): beacons
// and probe responses, and data frames to a group address that have a body. Where the 802.11 frame begins, radiotap's
// length says. What two others say to one another stays in the kernel.
func hearFilter() []unix.SockFilter {
	const (
		loadByte  = unix.BPF_LD | unix.BPF_B | unix.BPF_ABS // A = packet[K]
		loadFrame = unix.BPF_LD | unix.BPF_B | unix.BPF_IND // A = packet[X+K]
		shift     = unix.BPF_ALU | unix.BPF_LSH | unix.BPF_K
		mask      = unix.BPF_ALU | unix.BPF_AND | unix.BPF_K
		add       = unix.BPF_ALU | unix.BPF_ADD | unix.BPF_X
		toX       = unix.BPF_MISC | unix.BPF_TAX
		ifEqual   = unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K // Jt, Jf: how many instructions to leave out then, else
		jump      = unix.BPF_JMP | unix.BPF_JA
		answer    = unix.BPF_RET | unix.BPF_K
		whole     = 1 << 18
	)
	return []unix.SockFilter{
		{Code: loadByte, K: 3}, // X = the length of radiotap, a little-endian word at 2
		{Code: shift, K: 8},
		{Code: toX},
		{Code: loadByte, K: 2},
		{Code: add},
		{Code: toX},
		{Code: loadFrame, K: 0},          // frame control
		{Code: ifEqual, K: 0x80, Jt: 11}, // beacon
		{Code: ifEqual, K: 0x50, Jt: 10}, // probe response
		{Code: mask, K: 0x4f},            // version, type, "no body"
		{Code: ifEqual, K: 0x08, Jf: 9},  // data
		{Code: loadFrame, K: 1},
		{Code: mask, K: 0x01},
		{Code: ifEqual, K: 0x01, Jf: 2}, // To DS: the third address is the destination, else the first
		{Code: loadFrame, K: 16},
		{Code: jump, K: 1},
		{Code: loadFrame, K: 4},
		{Code: mask, K: 0x01}, // of a group
		{Code: ifEqual, K: 0x01, Jf: 1},
		{Code: answer, K: whole},
		{Code: answer, K: 0},
	}
}
