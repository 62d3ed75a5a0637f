// Package rtsp serves the streams of the hubs over RTSP 1.0 (RFC 2326): RTP over UDP, interleaved in the RTSP
// connection, and by UDP multicast. Through RTSPS only what is interleaved goes: a client that asked for TLS gets no
// picture in the clear.
//
// The law: fan-out costs one system call a reader and access unit, and no reader can cost another anything.
//
//	hub --access unit--> fanout: ONE goroutine per stream, the only one that knows the readers
//	   packetize once -> delivery (packets in wire form, shared by all, counted)
//	   -> for each TCP reader: one non-blocking write of all packets   --would block--> its bounded queue, drained by a
//	      goroutine that lives only while there is a backlog            --over budget--> dropped forward to the next IDR
//	   -> for all UDP readers: UDP_SEGMENT messages, many in one sendmmsg; above 64 KiB in steps of a millisecond
//
// All readers of a stream see the same SSRC, sequence numbers and timestamps: that is what makes sharing possible.
// They differ in where they begin. Who joins waits for an IDR that is asked for, or gets the current GOP replayed.
//
// A connection has one goroutine, which is blocked in read and holds a buffer of a kilobyte; there are no timers per
// reader: one reaper looks at every connection and session once a second.
//
// RTP goes to the address of the RTSP connection and nowhere else: a Transport header's "destination" is not obeyed,
// so that nobody can turn the camera on a third party. A session ends with the connection that made it, because the
// clients that RTSP has keep it open (RFC 2326 allows both), so no packets go to a port whose owner is gone.
package rtsp
