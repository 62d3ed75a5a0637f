package rtsp

import (
	"net/netip"
	"testing"
	"time"
)

// rig is a fan-out that a test drives by hand: nobody runs it.
type rig struct {
	*fanout
	s      *Server
	camera *camera
	pair   *udpPair
}

// newRig makes one whose UDP sockets are on host, "" for every address.
func newRig(t testing.TB, network, host string, mode sendMode, o cameraOptions) *rig {
	t.Helper()
	s, err := New(Options{Config: DefaultConfig(), Gate: openDoor{}})
	if err != nil {
		t.Fatal(err)
	}
	pair, err := listenPair(network, host, 0, mode)
	if err != nil {
		t.Skipf("no %s on %q: %v", network, host, err)
	}
	c := newCamera("main", o)
	f := newFanout(s, 0, c.hub)
	f.unicast = newUDPSender(pair.rtp, &s.counts.udpFailures)
	t.Cleanup(func() {
		f.forgetGOP()
		_ = pair.close()
	})
	return &rig{f, s, c, pair}
}

// add lets a reader in that is live at once, and gets no reports.
func (r *rig) add(o outlet, tcp bool) {
	x := &reader{outlet: o, tcp: tcp, phase: live, nextReport: time.Now().Add(time.Hour)}
	if tcp {
		r.tcp = append(r.tcp, x)
	} else {
		r.udp = append(r.udp, x)
	}
}

// addUDP lets a UDP reader in.
func (r *rig) addUDP(to netip.AddrPort) *udpOutlet {
	to = netip.AddrPortFrom(to.Addr().Unmap(), to.Port())
	o := newUDPOutlet(r.unicast, &r.pacer, to, r.pair.rtcp, to)
	r.add(o, false)
	return o
}

// shoot brings an access unit to all readers.
func (r *rig) shoot(idr bool, nalus ...[]byte) {
	au := r.camera.pool.Copy(nalus...)
	au.IDR = idr
	r.distribute(au)
}

// finish lets the pacer send all that waits, and returns in how many steps.
func (r *rig) finish() (steps int) {
	for ; len(r.pacer.lagging) > 0; steps++ {
		r.tick(time.Now())
	}
	return steps
}
