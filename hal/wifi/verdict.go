package wifi

import "github.com/ocellus/ocellus/hal"

// judge says from wpa_supplicant's events why a network can't be joined.
//
// One event is a sign: a frame may be lost, an access point busy. The same sign again makes it sure. The exception is
// what wpa_supplicant itself says only after it has tried several times.
type judge struct {
	signs map[error]int
	last  error
}

// hear takes an event, and what the scans know of the network's name. sign is nil where the event says nothing.
func (j *judge) hear(e event, known knowledge) (sign error, sure bool) {
	sign = signOf(e, known)
	if e.name == eventDisabled && e.values["reason"] == "CONN_FAILED" {
		if sign = j.last; sign == nil {
			sign = hal.ErrRefused
		}
		return sign, true
	}
	if sign == nil {
		return nil, false
	}
	if j.signs == nil {
		j.signs = map[error]int{}
	}
	j.signs[sign]++
	j.last = sign
	return sign, j.signs[sign] > 1
}

// knowledge is what a scan found under a name.
type knowledge int

const (
	absent     knowledge = iota // nobody has it
	unsuitable                  // somebody, with other security than the credentials are for
	suitable
)

// signOf returns what an event says by itself.
func signOf(e event, known knowledge) error {
	switch e.name {
	case eventNotFound:
		switch known {
		case absent:
			return hal.ErrNoNetwork
		case unsuitable:
			return hal.ErrSecurity
		}
	case eventDisabled:
		if e.values["reason"] == "WRONG_KEY" { // the first half of the 4-way handshake came, the second did not
			return hal.ErrPassword
		}
	case eventAuthReject:
		return authSign(e)
	case eventAssocReject:
		return assocSign(e)
	}
	return nil
}

// Status codes (IEEE 802.11-2020 table 9-50) and numbers of authentication (9.4.1.1, 12.4.5.2).
const (
	statusAlgorithm    = 13 // authentication of a kind that the network does not know
	statusTryLater     = 30
	statusPolicy       = 31 // management frames have to be protected
	statusInvalidIE    = 40 // with 41 to 46: ciphers and keys that are not the network's
	statusCipherPolicy = 46
	statusInvalidPMKID = 53 // the key of another time: a new one is made
	algorithmSAE       = 3
	saeConfirm         = 2 // the message of SAE that proves the password
)

func authSign(e event) error {
	switch {
	case e.number("status_code") == statusTryLater:
		return nil
	case e.number("status_code") == statusAlgorithm:
		return hal.ErrSecurity
	case e.number("auth_type") == algorithmSAE && e.number("auth_transaction") == saeConfirm:
		return hal.ErrPassword
	}
	return hal.ErrRefused
}

func assocSign(e event) error {
	switch status := e.number("status_code"); {
	case status == statusTryLater, status == statusInvalidPMKID:
		return nil
	case status == statusPolicy, status >= statusInvalidIE && status <= statusCipherPolicy:
		return hal.ErrSecurity
	}
	return hal.ErrRefused
}
