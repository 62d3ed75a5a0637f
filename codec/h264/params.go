package h264

import (
	"encoding/base64"
	"fmt"
	"strings"
)

// Params are the parameter sets that a decoder needs before the first picture.
type Params struct{ SPS, PPS []byte }

// Complete reports whether both parameter sets are there.
func (p Params) Complete() bool { return len(p.SPS) > 0 && len(p.PPS) > 0 }

// Equal reports whether p and q are the same bytes.
func (p Params) Equal(q Params) bool {
	return string(p.SPS) == string(q.SPS) && string(p.PPS) == string(q.PPS)
}

// Clone returns a copy that shares no memory with p.
func (p Params) Clone() Params {
	return Params{SPS: append([]byte(nil), p.SPS...), PPS: append([]byte(nil), p.PPS...)}
}

// FindParams returns the last SPS and the last PPS among the NAL units, as slices of them; a missing one is nil.
func FindParams(nalus [][]byte) Params {
	var p Params
	for _, u := range nalus {
		switch TypeOf(u) {
		case NALSPS:
			p.SPS = u
		case NALPPS:
			p.PPS = u
		}
	}
	return p
}

// SpropParameterSets returns the value of the SDP parameter sprop-parameter-sets (RFC 6184 8.1): both in base64.
func (p Params) SpropParameterSets() string {
	return base64.StdEncoding.EncodeToString(p.SPS) + "," + base64.StdEncoding.EncodeToString(p.PPS)
}

// ProfileLevelID returns the SDP parameter profile-level-id, as the SPS says it: "42e01f".
func (p Params) ProfileLevelID() string { return ProfileLevelID(p.SPS) }

// ParseSpropParameterSets is the way back: it takes the first SPS and the first PPS of the list. The other NAL units
// that the list may hold are passed over.
func ParseSpropParameterSets(s string) (Params, error) {
	var p Params
	for item := range strings.SplitSeq(s, ",") {
		u, err := base64.StdEncoding.DecodeString(strings.TrimSpace(item))
		if err != nil {
			return Params{}, fmt.Errorf("parse sprop-parameter-sets: %w", err)
		}
		switch t := TypeOf(u); {
		case t == NALSPS && p.SPS == nil:
			p.SPS = u
		case t == NALPPS && p.PPS == nil:
			p.PPS = u
		}
	}
	return p, nil
}
