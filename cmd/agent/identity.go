package main

import (
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"

	"github.com/ocellus/ocellus/access"
	"github.com/ocellus/ocellus/board"
	"github.com/ocellus/ocellus/codec/vouch"
	"github.com/ocellus/ocellus/hal"
	"github.com/ocellus/ocellus/internal/areas"
	"github.com/ocellus/ocellus/internal/sealed"
	"github.com/ocellus/ocellus/internal/statefile"
)

// ownerName is the file of the owner in the state directory, sealed with the key in the area keys.
const ownerName = "owner.sealed"

// openOwnership opens the vault, the hardware identity in it, and whose the camera is. fresh: the identity was made by
// this call, and its label has to be printed.
func openOwnership(b board.Board, state string, log *slog.Logger) (o *access.Ownership, fresh bool, err error) {
	vault, err := board.OpenVault(b, state, log)
	if err != nil {
		return nil, false, err
	}
	persist, keys := areas.New(vault, hal.Persist), areas.New(vault, hal.Keys)
	hardware, fresh, err := access.OpenHardware(persist, model(b))
	if err != nil {
		return nil, false, err
	}
	key, err := sealed.OpenKey(keys)
	if err != nil {
		return nil, false, err
	}
	place := sealed.New("owner", key, statefile.Path(filepath.Join(state, ownerName)))
	o, err = access.OpenOwnership(hardware, persist, place, log)
	return o, fresh, err
}

// model is the board's name as a label spells it.
func model(b board.Board) string { return strings.ToUpper(b.Name) }

// labelVerb prints the label, for whoever may read the vault: root and the agent's own user.
func labelVerb(_ context.Context, w world, args []string) error {
	set := flags(w, "label")
	state := stateFlag(set)
	name := set.String("board", "", "`board` that this is; found out if not given")
	if _, err := parse(set, args, 0); err != nil {
		return err
	}
	b, _, _, err := choose(w.root, *name, "", *state)
	if err != nil {
		return err
	}
	o, _, err := openOwnership(b, *state, silent())
	if err != nil {
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
	err := strictJSON(raw, &req)
	if err != nil {
		err = fmt.Errorf("%w: %w", errBadRequest, err)
	} else {
		result, err = do(ctx, a.commands(), who, req.Command, req.Args)
	}
	return encodeResponse(result, err)
}
