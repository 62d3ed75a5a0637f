package trust

import (
	"errors"
	"fmt"
)

// Reason says why metadata or a target is refused. It is an error itself, so that errors.Is(err, trust.Expired) asks
// for it.
type Reason string

// The reasons.
const (
	NoRoot       Reason = "no trusted root"   // nothing to begin with: this camera takes no updates
	TooBig       Reason = "too big"           // more bytes than the file may have
	Malformed    Reason = "malformed"         // not the JSON that the standard describes
	WrongRole    Reason = "wrong role"        // the metadata of another role
	SpecVersion  Reason = "other standard"    // a spec_version that is not 1.x
	BadSignature Reason = "bad signature"     // too few signatures, and one by a key of the role does not verify
	Threshold    Reason = "threshold not met" // too few signatures
	WrongVersion Reason = "wrong version"     // not the version that was promised; for root, not the next one
	Rollback     Reason = "rollback"          // older than what was trusted before
	Changed      Reason = "changed"           // the version that was trusted before, with other content
	Expired      Reason = "expired"           // no longer valid
	Mismatch     Reason = "mismatch"          // not the length or hash that was promised
	Missing      Reason = "missing"           // the carrier has no such file
	NoTarget     Reason = "no such target"    // targets metadata does not name it
	Delegated    Reason = "delegated"         // only a delegated role could name it, and cameras follow none
)

// Error implements error.
func (r Reason) Error() string { return string(r) }

// Refusal is the error of everything that is refused.
type Refusal struct {
	Reason Reason
	File   string // as it is called in a repository
	Detail string // for a person
}

// Error says "verify FILE: REASON: DETAIL".
func (r *Refusal) Error() string { return fmt.Sprintf("verify %s: %s: %s", r.File, r.Reason, r.Detail) }

// Unwrap returns the reason.
func (r *Refusal) Unwrap() error { return r.Reason }

// ReasonOf returns the reason in an error, "" where there is none.
func ReasonOf(err error) Reason {
	var r Reason
	errors.As(err, &r)
	return r
}

// refuse makes a Refusal whose file is not known yet.
func refuse(r Reason, format string, args ...any) error {
	return &Refusal{Reason: r, Detail: fmt.Sprintf(format, args...)}
}

// about puts the file's name into a refusal.
func about(file string, err error) error {
	if r, ok := errors.AsType[*Refusal](err); ok && r.File == "" {
		return &Refusal{r.Reason, file, r.Detail}
	}
	return err
}
