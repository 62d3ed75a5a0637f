// Package stream brings the camera to whoever watches, records or looks.
//
//	camera --Next--> Source --(raw? convert, scale, encode)--> copy once --> h264.AccessUnit --> Hub --> Subscriptions
//	                   |-> Look, Snapshot (luma and JPEG, lent raw frames)
//
// A Source owns one camera and its encoders. It has one Hub an output (main, sub), and it runs only while somebody
// wants one of them: no demand, no encoder, no camera.
//
// The laws it keeps:
//   - A Hub never waits for a Subscription. Each has a bounded queue; a full one is emptied, counted, and goes on at
//     the next IDR.
//   - Payload bytes are copied once, into a pooled access unit (codec/h264). Raw frames are lent and never kept.
//   - PTS is the camera's monotonic time and never goes back, also when the camera was away in between.
//   - Every IDR that leaves a Source has its parameter sets in front; access unit delimiters are left out.
//   - Old pictures are never repeated: a camera that stands still is stalled, and says so.
package stream
