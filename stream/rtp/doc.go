// Package rtp puts H.264 access units into RTP packets and takes them out again (RFC 3550, RFC 6184
// packetization-mode 1), and writes and reads RTCP. It speaks NAL units as byte slices, so that both ends of the wire
// use it: the server and the stream doctor.
//
// The packets of an access unit are built once, by one copy of the payload into one pooled block of memory, the Burst,
// which all readers share. The block has the layout of RTSP's interleaved frames (RFC 2326 10.12): four bytes of
// framing before every packet. So a TCP reader is served by one write of the whole block, and a UDP reader by
// datagrams that begin four bytes later, several at once with UDP_SEGMENT, for which the sizes within a run are equal.
//
//	arena: | $ 0 len | RTP header | payload | $ 0 len | RTP header | payload | ...
//	         4 bytes    12 bytes              <------ Packet(1), a datagram ----->
//
// How NAL units become packets: consecutive NAL units that fit into one packet together travel in a STAP-A, so that
// parameter sets, SEI and a small picture cost one datagram; a NAL unit alone that fits is a single NAL unit packet;
// a larger one becomes FU-A fragments, all of the same size but the last. The marker is on the last packet.
package rtp
