// Package smartconfig receives a network's name and password that a phone tells by the LENGTHS of the packets it sends.
//
// The phone is in the network and the camera is not, so the camera can decrypt nothing; but encryption hides no length.
// The phone sends datagrams to everybody and codes the credentials in how long they are. The camera hears each of them
// up to twice: from the phone to the access point (ToDS) and again from the access point to all (FromDS). Four such
// languages are spoken here; docs/provisioning-smartconfig.md has their wire formats with golden vectors:
//
//	ESP-Touch v2  slices of one bit of six bytes each, CRC-8 a group, AES-128 under the label's key: the default
//	ESP-Touch v1  three packets a byte, each half of the byte with half of its CRC-8
//	AirKiss       groups of four bytes, CRC-7 a group
//	Tuya EZ       as AirKiss, and a second way by multicast addresses
//
// All but v2 with a key can be read by whoever is in radio range, so they are off until somebody turns them on, and
// they give a network, never an owner: nothing here is a proof of anything.
//
// From a frame to credentials:
//
//	dot11.Frame -> Receiver: one sender a (BSSID, SA), a bounded number, the one silent for longest goes first
//	  -> stream, one a direction and kind of destination: duplicates out, order restored by sequence number
//	     -> calibration, one a protocol: which offset is between frame length and datagram length? Never a constant:
//	        encryption, QoS and IP version differ; each protocol votes by what only it can look like
//	        -> reader, one a protocol and stream: places each value by itself and by sequence numbers, not by order
//	           -> table, one a protocol and sender: both directions and all rounds add to it; complete and checked: done
//
// The package is pure: no I/O and no clock (time comes with the frame), standard library and formats alone. Message
// and its methods are the senders, the other side of the wire; Plan is how to find the channel.
package smartconfig
