package provision

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/ocellus/ocellus/access"
	"github.com/ocellus/ocellus/codec/label"
	"github.com/ocellus/ocellus/codec/qrcode"
	"github.com/ocellus/ocellus/codec/qrtext"
	"github.com/ocellus/ocellus/hal"
	"github.com/ocellus/ocellus/internal/monotime"
	"github.com/ocellus/ocellus/internal/sealed"
	"github.com/ocellus/ocellus/internal/secret"
	"github.com/ocellus/ocellus/internal/statefile"
	"github.com/ocellus/ocellus/provision/smartconfig"
)

// world is a camera and what is around it. It runs in the bubble of a synctest.
type world struct {
	t     testing.TB
	began time.Time
	label label.Label
	key   [sealed.KeySize]byte
	disk  *disk
	radio *radio
	lens  *lens
	lamp  *lamp
	beeps *beeper
	owner *owner
	log   bytes.Buffer
	o     Options
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{t: t, began: time.Now(), owner: &owner{}, lamp: &lamp{}, beeps: &beeper{}}
	public, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	s, err := label.NewSecret(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	w.label = label.Label{Model: "TEST", Fingerprint: label.FingerprintOf(public), Secret: s}
	_, _ = rand.Read(w.key[:])
	w.disk = &disk{names: map[string]*inode{}, synced: map[string]*inode{}, cut: -1}
	w.radio = &radio{t: t, networks: map[hal.SSID]*place{}}
	w.lens = &lens{}
	w.o = Options{
		Radio: w.radio, Monitor: w.radio, Lens: w.lens, LED: w.lamp, Sounder: w.beeps, Owner: w.owner, Label: w.label, State: w.state(),
		Now: func() time.Duration { return time.Since(w.began) }, Log: slog.New(slog.NewTextHandler(&w.log, nil)),
		Tell:        func(context.Context, hal.Link, *smartconfig.Credentials) error { return nil },
		EasyConnect: w.radio, EasyConnectKey: []byte("a key"),
	}
	return w
}

func (w *world) state() statefile.Place {
	return sealed.New("network", w.key, statefile.On(w.disk, w.disk.read, "/d/network.sealed"))
}

// start runs an engine until stop is called, which returns what Run returned.
func (w *world) start() (e *Engine, stop func() error) {
	w.t.Helper()
	e, err := Open(w.o)
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(w.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- e.Run(ctx) }()
	return e, func() error { cancel(); return <-ended }
}

// await waits until something holds, and says how long it took.
func (w *world) await(limit time.Duration, what string, holds func() bool) time.Duration {
	w.t.Helper()
	begin := time.Now()
	for !holds() {
		if time.Since(begin) > limit {
			w.t.Fatalf("%s: not within %v\n%s", what, limit, &w.log)
		}
		<-time.After(10 * time.Millisecond)
	}
	return time.Since(begin)
}

func (w *world) shows(p hal.Pattern) func() bool {
	return func() bool { return w.lamp.shown() == p }
}

func (w *world) in(name hal.SSID) func() bool {
	return func() bool { return w.radio.joined() == name }
}

// sealedCode is a code of ours for the camera with a label.
func (w *world) sealedCode(l label.Label, n qrtext.Network, owner ed25519.PublicKey) string {
	w.t.Helper()
	text, err := qrtext.Seal(rand.Reader, l, qrtext.Setup{Network: n, Country: "DE", Owner: owner, Token: testToken()})
	if err != nil {
		w.t.Fatal(err)
	}
	return text
}

func testToken() (t qrtext.Token) {
	copy(t[:], "one-time token!!")
	return t
}

func wpa(name, password string) qrtext.Network {
	return qrtext.Network{SSID: name, Password: secret.Secret(password), Security: qrtext.WPA}
}

// owner is whose the camera is.
type owner struct {
	mu      sync.Mutex
	claimed bool
	token   [access.TokenSize]byte
	who     label.Fingerprint
	expects int
}

func (o *owner) Claimed() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.claimed
}

func (o *owner) claim() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.claimed = true
}

func (o *owner) Expect(token [access.TokenSize]byte, who label.Fingerprint) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.token, o.who = token, who
	o.expects++
}

// claimant is who is expected, and by which token.
func (o *owner) claimant() (label.Fingerprint, [access.TokenSize]byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.who, o.token
}

func (o *owner) expected() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.expects
}

// lamp remembers what it showed.
type lamp struct {
	mu  sync.Mutex
	all []hal.Pattern
}

func (l *lamp) Show(p hal.Pattern) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, p)
	return nil
}

func (l *lamp) Close() error { return nil }

// beeper is the camera's beeper: the tunes that it was told.
type beeper struct {
	mu    sync.Mutex
	tunes [][]hal.Tone
}

func (b *beeper) Play(tones []hal.Tone) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.tunes = append(b.tunes, tones)
	return hal.CheckTones(tones)
}

func (b *beeper) Close() error { return nil }

// heard returns the tunes since the last time.
func (b *beeper) heard() [][]hal.Tone {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := b.tunes
	b.tunes = nil
	return all
}

func (l *lamp) shown() hal.Pattern {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.all) == 0 {
		return hal.Off
	}
	return l.all[len(l.all)-1]
}

// lens shows one picture, or nothing.
type lens struct {
	mu      sync.Mutex
	luma    []byte
	looks   int // pictures that were looked at
	onlyFor error

	fixed    bool // its exposure can't be changed
	glare    bool // what is held is one white spot, unless the exposure is dark
	exposure int
	exposed  int // how often it was changed
}

const lensWidth, lensHeight = 240, 240

// hold holds a code before the lens; an empty one takes it away.
func (l *lens) hold(t testing.TB, text string) {
	t.Helper()
	luma := bytes.Repeat([]byte{120}, lensWidth*lensHeight)
	if text != "" {
		c, err := qrcode.Encode(text, qrcode.L, 0)
		if err != nil {
			t.Fatal(err)
		}
		const scale = 4
		side := c.Size() + 2*qrcode.QuietZone
		for y := range side * scale {
			for x := range side * scale {
				shade := byte(220)
				if c.Dark(x/scale-qrcode.QuietZone, y/scale-qrcode.QuietZone) {
					shade = 30
				}
				luma[(y+10)*lensWidth+x+10] = shade
			}
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.luma = luma
}

func (l *lens) picture() []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.looks++
	if l.glare && l.exposure > -2000 {
		return bytes.Repeat([]byte{235}, lensWidth*lensHeight)
	}
	return l.luma
}

// glaring says whether what is held is too bright.
func (l *lens) glaring(glare bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.glare = glare
}

func (l *lens) seen() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.looks
}

// Expose blinds the lens where it has a glare, but for what the right exposure makes of it.
func (l *lens) Expose(milliEV int) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fixed {
		return hal.ErrUnsupported
	}
	l.exposure = milliEV
	l.exposed++
	return nil
}

func (l *lens) exposures() (now, changes int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.exposure, l.exposed
}

func (l *lens) Look(ctx context.Context, see func(luma []byte, w, h, stride int) error) error {
	if l.onlyFor != nil {
		return l.onlyFor
	}
	for ctx.Err() == nil {
		if luma := l.picture(); luma != nil {
			if err := see(luma, lensWidth, lensHeight, lensWidth); err != nil {
				return err
			}
			continue
		}
		if err := monotime.Pause(ctx, lookEvery); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// place is one network in reach.
type place struct {
	password string // empty: open
	channel  int
	takes    time.Duration // until it is joined, or not
	fails    error         // with the right password
	hint     error         // told first
}

// radio is station and monitor of one chip, and fails the test when they are used at once.
type radio struct {
	t        testing.TB
	networks map[hal.SSID]*place

	mu      sync.Mutex // guards all below
	in      hal.SSID
	enrolls int              // how often it listened for Wi-Fi Easy Connect
	narrow  bool             // it has 11 channels, and had 13
	gives   *hal.Credentials // what a phone gives as soon as it does, exchange later
	country string
	tries   []hal.Credentials
	air     *air
	opened  int
	gone    bool
	power   func() error // nil: it does not fail
}

func (r *radio) joined() hal.SSID {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.in
}

func (r *radio) cut() error {
	if r.power == nil {
		return nil
	}
	return r.power()
}

func (r *radio) Country(_ context.Context, code string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(code) != 2 {
		return hal.ErrCountry
	}
	r.country = code
	return r.cut()
}

func (r *radio) Scan(ctx context.Context) ([]hal.Network, error) {
	r.mu.Lock()
	if r.country == "" {
		r.t.Error("scan before the country was set")
	}
	if r.air != nil {
		r.t.Error("scan while the air is open")
	}
	r.mu.Unlock()
	if err := monotime.Pause(ctx, time.Second); err != nil {
		return nil, err
	}
	var list []hal.Network
	for name, n := range r.networks {
		list = append(list, hal.Network{SSID: name, BSSID: [6]byte{2, 0, 0, 0, 0, 1}, Frequency: 2407 + 5*n.channel})
	}
	return list, r.cut()
}

func (r *radio) Join(ctx context.Context, c hal.Credentials, first func(error)) (hal.Link, error) {
	r.mu.Lock()
	if r.air != nil {
		r.t.Error("join while the air is open")
	}
	if r.country == "" {
		r.t.Error("join before the country was set")
	}
	r.in = ""
	r.tries = append(r.tries, c)
	r.mu.Unlock()
	n, ok := r.networks[c.SSID]
	if !ok {
		n = &place{takes: 4 * time.Second, fails: hal.ErrNoNetwork}
	}
	if n.hint != nil {
		first(n.hint)
	}
	if err := monotime.Pause(ctx, n.takes); err != nil {
		return hal.Link{}, fmt.Errorf("join %q: %w", c.SSID, err)
	}
	switch {
	case n.fails != nil:
		return hal.Link{}, fmt.Errorf("join %q: %w", c.SSID, n.fails)
	case n.password == "" != (c.Security == hal.SecurityOpen):
		return hal.Link{}, fmt.Errorf("join %q: %w", c.SSID, hal.ErrSecurity)
	case string(c.Passphrase) != n.password:
		return hal.Link{}, fmt.Errorf("join %q: %w", c.SSID, hal.ErrPassword)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.cut(); err != nil {
		return hal.Link{}, err
	}
	r.in = c.SSID
	return r.link(), nil
}

func (r *radio) link() hal.Link {
	if r.in == "" {
		return hal.Link{}
	}
	return hal.Link{Network: hal.Network{SSID: r.in}, Address: netip.MustParsePrefix("192.0.2.7/24"),
		Gateway: netip.MustParseAddr("192.0.2.1")}
}

// exchange is what a phone of Wi-Fi Easy Connect takes, longer than a turn.
const exchange = 5 * time.Second

func (r *radio) Enroll(ctx context.Context, key []byte, _ int, begun func()) (hal.Credentials, error) {
	r.mu.Lock()
	if r.air != nil || r.in != "" {
		r.t.Error("enrolls while the air is open, or in a network")
	}
	if r.country == "" || string(key) != "a key" {
		r.t.Errorf("enrolls in country %q with key %q", r.country, key)
	}
	r.enrolls++
	c := r.gives
	r.mu.Unlock()
	if c == nil {
		<-ctx.Done()
		return hal.Credentials{}, fmt.Errorf("enroll: %w", ctx.Err())
	}
	begun()
	if err := monotime.Pause(ctx, exchange); err != nil {
		return hal.Credentials{}, err
	}
	if c.Security == hal.SecurityOther {
		return hal.Credentials{}, fmt.Errorf("enroll: %w", hal.ErrSecurity)
	}
	return *c, nil
}

// give lets a phone give a network.
func (r *radio) give(c *hal.Credentials) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.gives = c
}

func (r *radio) enrolled() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.enrolls
}

func (r *radio) Leave(context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.in = ""
	return r.cut()
}

func (r *radio) Link(context.Context) (hal.Link, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.gone {
		r.gone, r.in = false, ""
		return hal.Link{}, hal.ErrClosed
	}
	return r.link(), nil
}

func (r *radio) Close() error { return nil }

func (r *radio) Channels(context.Context) ([]int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.narrow {
		return []int{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}, nil
	}
	return []int{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13}, nil
}

func (r *radio) Start(_ context.Context, channel int) (hal.Air, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.in != "" || r.air != nil {
		r.t.Error("the air is opened while a network is joined, or twice")
	}
	r.opened++
	r.air = &air{radio: r, channel: channel, packets: make(chan hal.Packet, 256), done: make(chan struct{})}
	return r.air, nil
}

func (r *radio) openings() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.opened
}

// send puts a packet into the air on a channel.
func (r *radio) send(channel int, p hal.Packet) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.air == nil || r.air.channel != channel {
		return
	}
	select {
	case r.air.packets <- p:
	default:
	}
}

// air is the open monitor.
type air struct {
	radio   *radio
	channel int
	packets chan hal.Packet
	once    sync.Once
	done    chan struct{}
}

func (a *air) Tune(_ context.Context, channel int) error {
	a.radio.mu.Lock()
	defer a.radio.mu.Unlock()
	if a.radio.narrow && channel > 11 {
		return hal.ErrUnsupported
	}
	a.channel = channel
	return nil
}

func (a *air) Next(ctx context.Context) (hal.Packet, error) {
	select {
	case p := <-a.packets:
		return p, nil
	case <-a.done:
		return hal.Packet{}, hal.ErrClosed
	case <-ctx.Done():
		return hal.Packet{}, ctx.Err()
	}
}

func (a *air) Close() error {
	a.once.Do(func() {
		close(a.done)
		a.radio.mu.Lock()
		a.radio.air = nil
		a.radio.mu.Unlock()
	})
	return nil
}

// phone sends a message of a protocol on a channel until ctx ends, heard from its access point.
func (w *world) phone(ctx context.Context, channel int, p smartconfig.Protocol, m smartconfig.Message) {
	sends, err := m.Send(p, rand.Reader)
	if err != nil {
		w.t.Error(err)
		return
	}
	number := uint16(0)
	for d := range sends {
		if monotime.Pause(ctx, d.Wait) != nil {
			return
		}
		number++
		w.radio.send(channel, w.packet(number, channel, d.Length))
	}
}

// packet is a captured frame from the access point to all.
func (w *world) packet(number uint16, channel, length int) hal.Packet {
	b := frame(number, channel, [6]byte{2, 0, 0, 0, 0, 1})
	return hal.Packet{At: w.o.Now(), Bytes: b, Length: len(b) + length + 52}
}

// disk has a write cache: it forgets what was not flushed. See internal/statefile.
type disk struct {
	mu            sync.Mutex
	cut           int // operations until the power fails; negative: never
	names, synced map[string]*inode
}

type inode struct{ data, flushed []byte }

var errPower = errors.New("power failed")

func (d *disk) step() error {
	if d.cut == 0 {
		return errPower
	}
	if d.cut > 0 {
		d.cut--
	}
	return nil
}

// operate is one operation of something else that ends with the power.
func (d *disk) operate() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.step()
}

func (d *disk) read(path string) ([]byte, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	n, ok := d.names[path]
	if !ok {
		return nil, fs.ErrNotExist
	}
	return bytes.Clone(n.data), nil
}

func (d *disk) Create(path string, _ fs.FileMode) (statefile.Handle, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.step(); err != nil {
		return nil, err
	}
	n := &inode{}
	d.names[path] = n
	return &diskFile{d, n}, nil
}

func (d *disk) Remove(path string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.step() == nil {
		delete(d.names, path)
	}
}

func (d *disk) Rename(from, to string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.step(); err != nil {
		return err
	}
	d.names[to] = d.names[from]
	delete(d.names, from)
	return nil
}

func (d *disk) SyncDir(string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.step(); err != nil {
		return err
	}
	d.synced = map[string]*inode{}
	for name, n := range d.names {
		d.synced[name] = n
	}
	return nil
}

// after is the disk once the power is back. A journalling file system may or may not have written the directory before
// it was asked to: namesKept chooses.
func (d *disk) after(namesKept bool) *disk {
	d.mu.Lock()
	defer d.mu.Unlock()
	dir := d.synced
	if namesKept {
		dir = d.names
	}
	next := &disk{cut: -1, names: map[string]*inode{}, synced: map[string]*inode{}}
	for name, n := range dir {
		left := &inode{bytes.Clone(n.flushed), bytes.Clone(n.flushed)}
		next.names[name], next.synced[name] = left, left
	}
	return next
}

type diskFile struct {
	d *disk
	n *inode
}

func (f *diskFile) Write(b []byte) (int, error) {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	if err := f.d.step(); err != nil {
		f.n.data = append(f.n.data, b[:len(b)/2]...)
		return 0, err
	}
	f.n.data = append(f.n.data, b...)
	return len(b), nil
}

func (f *diskFile) Sync() error {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	if err := f.d.step(); err != nil {
		return err
	}
	f.n.flushed = bytes.Clone(f.n.data)
	return nil
}

func (f *diskFile) Close() error { return nil }
