package claim

import (
	"crypto/sha256"
	"encoding/base32"
)

// SupportCode is by what somebody on the telephone tells one camera of an owner from another: eight characters of a
// hash of the operational identity, or, while there is no owner, of the hardware key's fingerprint. Nobody makes a
// serial number of it, and with the owner it changes.
func SupportCode(identity []byte) string {
	sum := sha256.Sum256(append([]byte("ocellus support code 1\x00"), identity...))
	code := base32.StdEncoding.EncodeToString(sum[:5])
	return code[:4] + "-" + code[4:]
}
