package provision

import (
	"context"
	"errors"

	"github.com/ocellus/ocellus/codec/qrtext"
	"github.com/ocellus/ocellus/hal"
)

// ErrUnreached: the camera is in the network, and what it must reach there does not answer.
var ErrUnreached = errors.New("what the camera must reach does not answer")

// reasonOf sorts an error of a trial.
func reasonOf(err error) Reason {
	var has *hal.SecurityError
	if errors.As(err, &has) {
		return securityReason(has.Network)
	}
	for _, row := range []struct {
		err error
		why Reason
	}{
		{nil, NoReason}, {hal.ErrNoNetwork, NoNetwork}, {hal.ErrPassword, BadPassword}, {hal.ErrNoAddress, NoAddress},
		{hal.ErrNoGateway, NoGateway}, {ErrUnreached, Unreached}, {hal.ErrRefused, Refused},
		{hal.ErrSecurity, Security}, {hal.ErrCountry, Country}, {context.DeadlineExceeded, Timeout},
	} {
		if errors.Is(err, row.err) {
			return row.why
		}
	}
	return RadioFault
}

// securityReason says what is wrong with the security that a network has. Those that are never joined have words of
// their own.
func securityReason(has hal.Security) Reason {
	switch has {
	case hal.SecurityWEP, hal.SecurityWPA1:
		return TooOld
	case hal.SecurityEnterprise:
		return Enterprise
	case hal.SecurityOWE:
		return NoPassword
	}
	return Security
}

// cause is the innermost text of a driver's error: what it is wrapped in names the network.
func cause(err error) string {
	for inner := err; inner != nil; inner = errors.Unwrap(inner) {
		err = inner
	}
	return err.Error()
}

// codeReason sorts an error of a code; NoReason for one that is nobody's business.
func codeReason(err error) Reason {
	switch {
	case errors.Is(err, qrtext.ErrVersion):
		return Newer
	case errors.Is(err, qrtext.ErrRefused):
		return NotJoinable
	case errors.Is(err, errOtherCamera):
		return OtherCamera
	}
	return NoReason
}

// Text says a reason to a person, and what to do.
func (r Reason) Text() string {
	switch r {
	case NoNetwork:
		return "no such network: is the name right, is it on 2.4 GHz or a band that the camera has, is it near enough?"
	case BadPassword:
		return "wrong password: type it again; capitals count"
	case NoAddress:
		return "the network gave the camera no address: restart the router, or look whether it is full"
	case NoGateway:
		return "the router gave an address and does not answer: restart it"
	case Unreached:
		return "the camera is in the network and does not reach what it must"
	case Refused:
		return "the router refuses the camera: does it let in only devices that it knows, is it full?"
	case Security:
		return "the network's security is another one than was said, or one that the camera lacks"
	case TooOld:
		return "the network has WEP or WPA of the first kind (TKIP), which anybody breaks: set the router to WPA2 or WPA3"
	case Enterprise:
		return "the network asks each user for a name (802.1X, WPA Enterprise), which a camera has not: use another one"
	case NoPassword:
		return "the network is encrypted without a password (OWE, Enhanced Open), which the camera does not join: give it one"
	case Country:
		return "the country is unknown: two capital letters, as DE"
	case Timeout:
		return "the network took too long: bring the camera nearer to the router"
	case Interrupted:
		return "the power failed while the camera tried the network: try again"
	case RadioFault:
		return "the camera's radio failed: switch it off and on"
	case OtherCamera:
		return "this code is for another camera: scan this one's label"
	case Newer:
		return "this code is for a newer release: update the camera, or use an older app"
	case NotJoinable:
		return "this kind of network (WEP, or one that asks for a user) is never joined"
	}
	return ""
}

// pattern is what the lamp shows of a reason.
func (r Reason) pattern() hal.Pattern {
	switch r {
	case NoNetwork:
		return hal.NoNetwork
	case BadPassword:
		return hal.BadPassword
	case NoAddress:
		return hal.NoAddress
	case NoGateway, Unreached:
		return hal.NoWay
	}
	return hal.NotJoined
}
