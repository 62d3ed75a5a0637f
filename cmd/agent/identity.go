package main

import (
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/ocellus/ocellus/access"
	"github.com/ocellus/ocellus/board"
	"github.com/ocellus/ocellus/codec/vouch"
	"github.com/ocellus/ocellus/internal/sealed"
	"github.com/ocellus/ocellus/internal/statefile"
	"github.com/ocellus/ocellus/internal/supervise"
	"github.com/ocellus/ocellus/web"
	"github.com/ocellus/ocellus/web/mdns"
)

// ownerName is the file of the owner in the state directory, sealed with the key in the area keys.
const ownerName = "owner" + sealedSuffix

// openOwnership reads the hardware identity in the area persist, and whose the camera is. fresh: the identity was made
// by this call, and its label has to be printed.
func openOwnership(l lasting, b board.Board, state string, log *slog.Logger) (
	o *access.Ownership, fresh bool, err error,
) {
	hardware, fresh, err := access.OpenHardware(l.persist, model(b))
	if err != nil {
		return nil, false, err
	}
	key, err := sealed.OpenKey(l.keys)
	if err != nil {
		return nil, false, err
	}
	o, err = access.OpenOwnership(hardware, l.persist, ownerPlace(key, state), log)
	return o, fresh, err
}

func ownerPlace(key [sealed.KeySize]byte, state string) *sealed.Place {
	return sealed.New("owner", key, statefile.Path(filepath.Join(state, ownerName)))
}

// recognize finds out who the camera is and whose, one process after the other: at the very first start agent run and
// agent label both find no identity, and only one of them may make it. A vault that opens is returned with an error, too.
func recognize(b board.Board, state string, log *slog.Logger) (
	l lasting, o *access.Ownership, fresh bool, err error,
) {
	folder, err := os.Open(state)
	if err != nil {
		return lasting{}, nil, false, fmt.Errorf("state directory: %w", err)
	}
	defer folder.Close() // ends the lock
	if err := unix.Flock(int(folder.Fd()), unix.LOCK_EX); err != nil {
		return lasting{}, nil, false, fmt.Errorf("state directory: lock %s: %w", state, err)
	}
	if l, err = openLasting(b, state, log); err != nil {
		return l, nil, false, err
	}
	o, fresh, err = openOwnership(l, b, state, log)
	return l, o, fresh, err
}

// findOwnership is openOwnership for a verb that runs without the agent.
func findOwnership(root, state string) (*access.Ownership, error) {
	b, l, err := findLasting(root, state)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: agent run has to have been here first", access.ErrUnclaimed)
	}
	if err != nil {
		return nil, err
	}
	o, _, err := openOwnership(l, b, state, silent())
	return o, err
}

// checkOwner says what the owner's file holds, and changes nothing. Apart from its vault the file opens for nobody.
func checkOwner(root, state string) (string, error) {
	path := filepath.Join(state, ownerName)
	raw, err := statefile.ReadBytes(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "none", nil
	case err == nil && !sealed.Is(raw):
		err = fmt.Errorf("load %s: %w: not sealed", path, statefile.ErrCorrupt)
	}
	if err != nil {
		return "", err
	}
	_, l, err := findLasting(root, state)
	if errors.Is(err, fs.ErrNotExist) {
		return "sealed, and its key is elsewhere", nil
	}
	if err != nil {
		return "", err
	}
	key, err := sealed.LoadKey(l.keys)
	if errors.Is(err, fs.ErrNotExist) {
		return "sealed, and its key was destroyed", nil
	}
	if err != nil {
		return "", err
	}
	viewers, err := access.Check(ownerPlace(key, state))
	return fmt.Sprintf("there is one, and %d viewer(s)", viewers), err
}

// meet finds out who the camera is and whose. A camera whose identity can't be read runs on, for whoever repairs it; it
// can't be claimed, and shows its picture to nobody.
func (a *agent) meet(state string, log *slog.Logger) {
	var owner *access.Ownership
	var fresh bool
	var err error
	a.lasting, owner, fresh, err = recognize(a.board, state, log)
	if err == nil {
		a.safe, err = openSafe(a.lasting, state)
	}
	if err != nil {
		log.Error("identity can't be read: nobody may watch, claim or command this camera", "err", err)
	}
	a.owner, a.unlabelled, a.gate = owner, fresh, access.NewGate(owner, log)
	if fresh {
		log.Info("hardware identity made, agent label prints its label",
			"fingerprint", owner.Hardware().Label().Fingerprint)
	}
}

// owned reports whether the camera has an owner.
func (a *agent) owned() bool { return a.owner != nil && a.owner.Claimed() }

// announce shows a person where to look, or how to become the owner, and a program where the ports are. A state
// directory that takes no writes (a full disk) is no reason not to stream to those who may watch already.
func (a *agent) announce(w world, state string, p ports, log *slog.Logger) {
	if err := writePorts(state, p); err != nil {
		log.Error("state directory takes no writes, nothing new is kept", "err", err)
	}
	fmt.Fprintf(w.out, "ocellus %s on board %s (%s)\n", release, a.board.Name, a.board.Title)
	if !a.owned() {
		a.invite(w, state)
		return
	}
	for _, place := range a.places() {
		fmt.Fprintf(w.out, "watch: rtsp://NAME:PASSWORD@%s\n", place)
	}
	fmt.Fprintf(w.out, "a new viewer and password: agent viewer add NAME --state %s\n", state)
}

// invite says how a camera without an owner gets one. The label is shown where it can't be printed on anything, and on
// the console once, when it was just made; never into a journal, which lasts and which others read.
func (a *agent) invite(w world, state string) {
	fmt.Fprintln(w.out, "this camera has no owner yet and shows its picture to nobody")
	if a.owner == nil || a.door == nil {
		fmt.Fprintln(w.out, "nobody can become its owner now: the LAN door is shut, or its identity can't be read")
		return
	}
	text, err := a.owner.Hardware().Label().Text()
	if shown := a.board.Simulated || a.unlabelled; err == nil && shown && w.getenv("JOURNAL_STREAM") == "" {
		fmt.Fprintf(w.out, "label: %s\n", text.Reveal())
	} else {
		fmt.Fprintf(w.out, "its label: agent label --state %s\n", state)
	}
	where := urlHost(a.door.String(), a.board.Simulated)
	fmt.Fprintf(w.out, "become its owner: camctl pair --camera %s --label LABEL\n", where)
}

// openWeb opens the LAN door and says where it is; nil for nowhere.
func (a *agent) openWeb(config web.Config, log *slog.Logger) (net.Addr, error) {
	if a.owner == nil || config.Address == web.Off {
		return nil, nil
	}
	d := web.New(web.Options{Config: config, Gate: a.owner, Certificate: showing(a.owner), Do: a.answer,
		Take: a.takeBundle, Envelope: a.envelope, Log: log})
	if err := d.Listen(); err != nil {
		return nil, err
	}
	a.supervisor.Add(supervise.Part{Name: "web", Run: d.Run, Lasting: true})
	if door := d.Addr().String(); config.Discovery && outward(door) {
		r := mdns.New(func() mdns.Advert { return a.advert(door) }, log)
		a.supervisor.Add(supervise.Part{Name: "mdns", Run: r.Run, Lasting: true})
	}
	return d.Addr(), nil
}

// model is the board's name as a label spells it.
func model(b board.Board) string { return strings.ToUpper(b.Name) }

// labelVerb prints the label, for whoever may read the vault: root and the agent's own user.
func labelVerb(_ context.Context, w world, args []string) error {
	set := flags(w, "label")
	state := stateFlag(set)
	name := set.String("board", "", "`board` that this is; found out if not given")
	easyConnect := set.Bool("easy-connect", false, "the second code, which phones scan that know Wi-Fi Easy Connect")
	if _, err := parse(set, args, 0); err != nil {
		return err
	}
	b, _, _, err := choose(w.root, *name, "", *state)
	if err != nil {
		return err
	}
	_, o, _, err := recognize(b, *state, silent())
	if err != nil {
		return err
	}
	if *easyConnect {
		text, err := easyConnectText(o.Hardware())
		if err == nil {
			_, err = fmt.Fprintln(w.out, text)
		}
		return err
	}
	text, err := o.Hardware().Label().Text()
	if err != nil {
		return err
	}
	fmt.Fprintln(w.out, text.Reveal())
	return nil
}

// showing makes the certificate that the camera's doors show: the chain of the hardware key, or of the operational one
// once there is an owner.
func showing(o *access.Ownership) func() (*tls.Certificate, error) {
	var mu sync.Mutex // guards the rest
	var shown *tls.Certificate
	var of ed25519.PrivateKey
	return func() (*tls.Certificate, error) {
		_, key, err := o.Operational()
		if errors.Is(err, access.ErrUnclaimed) {
			key = o.Hardware().Private()
		}
		mu.Lock()
		defer mu.Unlock()
		if shown == nil || !of.Equal(key) {
			c, err := vouch.Chain(key)
			if err != nil {
				return nil, err
			}
			shown, of = &c, key
		}
		return shown, nil
	}
}

// answer is what the LAN door does with a command.
func (a *agent) answer(ctx context.Context, who access.Identity, raw []byte) []byte {
	var req request
	var result any
	if a.control != nil {
		a.control.reached()
	}
	err := strictJSON(raw, &req)
	if err != nil {
		err = fmt.Errorf("%w: %w", errBadRequest, err)
	} else {
		result, err = do(ctx, a.commands(), who, req.Command, req.Args)
	}
	return encodeResponse(result, err)
}
