package web

import (
	"io"
	"net/http"
	"time"
)

// A bundle is as long as it is, so what counts is that something of it comes.
const (
	bundlePatience = 30 * time.Second // for the next bytes
	bundleLongest  = 2 * time.Hour    // for all of it, and for the answer
)

// bundle takes an update from somebody whom the gate knows now. Who he is is decided before a byte of it is read.
func (d *Door) bundle(w http.ResponseWriter, r *http.Request) {
	who, _, ok := d.known(w, r)
	if !ok {
		return
	}
	c := http.NewResponseController(w)
	if err := c.SetWriteDeadline(time.Now().Add(bundleLongest)); err != nil {
		refuse(w, http.StatusInternalServerError, codeFailed, "")
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(d.Take(r.Context(), who, &patient{c, r.Body}, r.URL.Query().Has("now")))
}

// patient reads a body for as long as something comes.
type patient struct {
	c    *http.ResponseController
	from io.Reader
}

// Read implements io.Reader.
func (p *patient) Read(b []byte) (int, error) {
	if err := p.c.SetReadDeadline(time.Now().Add(bundlePatience)); err != nil {
		return 0, err
	}
	return p.from.Read(b)
}
