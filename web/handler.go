package web

import (
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/ocellus/ocellus/access"
	"github.com/ocellus/ocellus/codec/claim"
	"github.com/ocellus/ocellus/codec/pack"
	"github.com/ocellus/ocellus/codec/vouch"
)

// The codes of this door's own answers. They are wire format: never renamed.
const (
	codeDenied  = "denied"
	codeClaimed = "claimed"
	codeStale   = "stale"
	codeProof   = "wrong_proof"
	codeBad     = "bad_request"
	codeFailed  = "failed"
)

func (d *Door) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/claim", d.challenge)
	mux.HandleFunc("POST /v1/claim", d.claim)
	mux.HandleFunc("POST /v1/command", d.command)
	if d.Take != nil {
		mux.HandleFunc("POST /v1/bundle", d.bundle)
	}
	if d.Envelope != nil {
		mux.HandleFunc("POST /v1/envelope", d.envelope)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		if _, pattern := mux.Handler(r); pattern == "" {
			refuse(w, http.StatusUnauthorized, codeDenied, "")
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// challenge answers whoever wants to claim the camera.
func (d *Door) challenge(w http.ResponseWriter, _ *http.Request) {
	if d.Gate.Claimed() {
		refuseClaimed(w)
		return
	}
	packed(w, d.Gate.Challenge().Marshal())
}

// claim takes a claim. A wrong proof is held back, longer each time; a right one never is.
func (d *Door) claim(w http.ResponseWriter, r *http.Request) {
	raw, err := io.ReadAll(io.LimitReader(r.Body, claim.MaxSize+1))
	if err != nil {
		return // the connection is gone, or too slow
	}
	receipt, err := d.Gate.Claim(raw)
	switch {
	case err == nil:
		packed(w, receipt)
	case errors.Is(err, access.ErrClaimed):
		refuseClaimed(w)
	case errors.Is(err, claim.ErrStale):
		refuse(w, http.StatusConflict, codeStale, "the camera was reset or claimed meanwhile: ask for the challenge again")
	case errors.Is(err, claim.ErrProof):
		d.Log.Warn("a claim with a wrong proof", "from", r.RemoteAddr)
		d.hold(r)
		refuse(w, http.StatusForbidden, codeProof, "this is not what the camera's label says: scan it again")
	case errors.Is(err, pack.ErrMalformed), errors.Is(err, claim.ErrSignature):
		refuse(w, http.StatusBadRequest, codeBad, err.Error())
	default:
		d.Log.Error("claim not taken", "err", err)
		refuse(w, http.StatusInternalServerError, codeFailed, "the camera could not store its owner: try again")
	}
}

func refuseClaimed(w http.ResponseWriter) {
	refuse(w, http.StatusConflict, codeClaimed,
		"the camera has an owner: only he can hand it over, or a long press of its button makes it forget him")
}

// hold waits for the penalty, or until the client has gone.
func (d *Door) hold(r *http.Request) {
	wait := time.NewTimer(d.Gate.Penalty())
	defer wait.Stop()
	select {
	case <-wait.C:
	case <-r.Context().Done():
	}
}

// command runs a command for somebody whom the gate knows now, however long the connection has been there.
func (d *Door) command(w http.ResponseWriter, r *http.Request) {
	who, _, ok := d.known(w, r)
	if !ok {
		return
	}
	request, err := io.ReadAll(io.LimitReader(r.Body, maxCommand+1))
	switch {
	case err != nil:
		return
	case len(request) > maxCommand:
		refuse(w, http.StatusRequestEntityTooLarge, codeBad, "a command is at most 64 KiB")
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(d.Do(r.Context(), who, request))
}

// known tells who asks; it has answered whomever the gate does not know now.
func (d *Door) known(w http.ResponseWriter, r *http.Request) (who access.Identity, key ed25519.PublicKey, ok bool) {
	key, err := vouch.Key(r.TLS.PeerCertificates)
	if err == nil {
		who, err = d.Gate.ByKey(key, time.Now())
	}
	if err != nil {
		refuse(w, http.StatusUnauthorized, codeDenied, "")
		return who, nil, false
	}
	return who, key, true
}

// envelope carries a sealed command. The key of the connection only opens the door: the envelope has its own signature.
func (d *Door) envelope(w http.ResponseWriter, r *http.Request) {
	_, key, ok := d.known(w, r)
	if !ok {
		return
	}
	raw, err := io.ReadAll(io.LimitReader(r.Body, maxCommand+1))
	if err != nil {
		return
	}
	reply, err := d.Envelope(r.Context(), key, raw)
	if err != nil {
		refuse(w, http.StatusBadRequest, codeBad, err.Error())
		return
	}
	packed(w, reply)
}

func packed(w http.ResponseWriter, message []byte) {
	w.Header().Set("Content-Type", "application/msgpack")
	_, _ = w.Write(message)
}

func refuse(w http.ResponseWriter, status int, code, text string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(struct {
		Code string `json:"code"`
		Text string `json:"text,omitempty"`
	}{code, text})
}
