package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"math/big"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/bluenviron/gortsplib/v5"
	"github.com/bluenviron/gortsplib/v5/pkg/base"
	"github.com/bluenviron/gortsplib/v5/pkg/description"
	"github.com/bluenviron/gortsplib/v5/pkg/format"
	"github.com/bluenviron/gortsplib/v5/pkg/liberrors"

	"github.com/ocellus/ocellus/codec/stamp"
)

// camera is gortsplib's server with a stream of small pictures: another implementation than ours at the other end.
type camera struct {
	server *gortsplib.Server
	stream *gortsplib.ServerStream
	media  *description.Media
	host   string
	pin    string
	silent bool
	user   string // with password "right"; "" lets everybody in
}

// cameraOptions are what a test may want to be different.
type cameraOptions struct {
	user, silent, tls bool
	every             func(n int) (skip bool) // which packets are lost on the way
}

// SPS and PPS of x264: 128x180, Constrained Baseline.
var (
	testSPS = []byte{
		0x67, 0x42, 0xc0, 0x0a, 0xd9, 0x02, 0x06, 0x7e, 0x7c, 0x04, 0x40, 0x00, 0x00, 0x03, 0x00, 0x40, 0x00, 0x00, 0x0c,
		0x83, 0xc4, 0x89, 0x92,
	}
	testPPS = []byte{0x68, 0xcb, 0x83, 0xcb, 0x20}
)

// serve starts a camera that streams until the test ends.
func serve(t *testing.T, o cameraOptions) *camera {
	t.Helper()
	c := &camera{silent: o.silent}
	if o.user {
		c.user = "viewer"
	}
	c.listen(t, o.tls)
	forma := &format.H264{PayloadTyp: 96, PacketizationMode: 1, SPS: testSPS, PPS: testPPS}
	c.media = &description.Media{Type: description.MediaTypeVideo, Formats: []format.Format{forma}}
	c.stream = &gortsplib.ServerStream{
		Server: c.server, Desc: &description.Session{Medias: []*description.Media{c.media}},
	}
	if err := c.stream.Initialize(); err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	var done sync.WaitGroup
	if !o.silent {
		done.Go(func() { c.play(forma, stop, o.every) })
	}
	t.Cleanup(func() {
		close(stop)
		done.Wait()
		c.stream.Close()
		c.server.Close()
	})
	return c
}

// listen starts the server on free ports; another process may take one between the look and the bind, so it tries on.
func (c *camera) listen(t *testing.T, secure bool) {
	t.Helper()
	var err error
	for range 20 {
		rtsp, udp := freePorts(t)
		c.host = fmt.Sprintf("127.0.0.1:%d", rtsp)
		c.server = &gortsplib.Server{Handler: c, RTSPAddress: c.host}
		if secure {
			c.server.TLSConfig, c.pin = selfSigned(t)
		} else {
			c.server.UDPRTPAddress = fmt.Sprintf("127.0.0.1:%d", udp)
			c.server.UDPRTCPAddress = fmt.Sprintf("127.0.0.1:%d", udp+1)
		}
		if err = c.server.Start(); err == nil {
			return
		}
	}
	t.Fatal(err)
}

func freePorts(t *testing.T) (tcp, evenUDP int) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	u, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()
	return l.Addr().(*net.TCPAddr).Port, u.LocalAddr().(*net.UDPAddr).Port &^ 1
}

// play sends a picture each 10 ms of wall and media time, an IDR every ten.
func (c *camera) play(forma *format.H264, stop <-chan struct{}, lost func(int) bool) {
	encoder, err := forma.CreateEncoder()
	if err != nil {
		return
	}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	packets := 0
	for n := 0; ; n++ {
		select {
		case <-stop:
			return
		case <-tick.C:
		}
		units := [][]byte{stamp.Append(nil, stamp.Stamp{Frame: uint64(n), Captured: time.Now()})}
		slice := append([]byte{0x41}, make([]byte, 500)...)
		if n%10 == 0 {
			units = append([][]byte{testSPS, testPPS}, units...)
			slice = append([]byte{0x65}, make([]byte, 4000)...)
		}
		encoded, err := encoder.Encode(append(units, slice))
		if err != nil {
			return
		}
		for _, p := range encoded {
			packets++
			if lost != nil && lost(packets) {
				continue
			}
			p.Timestamp = uint32(n) * 900
			_ = c.stream.WritePacketRTP(c.media, p)
		}
	}
}

func (c *camera) OnDescribe(ctx *gortsplib.ServerHandlerOnDescribeCtx) (
	*base.Response, *gortsplib.ServerStream, error,
) {
	if c.user != "" && !ctx.Conn.VerifyCredentials(ctx.Request, c.user, "right") {
		return &base.Response{StatusCode: base.StatusUnauthorized}, nil, liberrors.ErrServerAuth{}
	}
	if ctx.Path != "/main" {
		return &base.Response{StatusCode: base.StatusNotFound}, nil, nil
	}
	return &base.Response{StatusCode: base.StatusOK}, c.stream, nil
}

func (c *camera) OnSetup(*gortsplib.ServerHandlerOnSetupCtx) (*base.Response, *gortsplib.ServerStream, error) {
	return &base.Response{StatusCode: base.StatusOK}, c.stream, nil
}

func (c *camera) OnPlay(*gortsplib.ServerHandlerOnPlayCtx) (*base.Response, error) {
	return &base.Response{StatusCode: base.StatusOK}, nil
}

// selfSigned makes a certificate like a camera's own, and its pin.
func selfSigned(t *testing.T) (*tls.Config, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(der)
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}},
		hex.EncodeToString(sum[:])
}
