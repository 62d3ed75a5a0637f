package access

import (
	"crypto/md5" //nolint:gosec // RFC 2069 clients know nothing else; the password is random
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/ocellus/ocellus/internal/secret"
)

// passwordLength in base32 characters of 5 bits: 100 bits, no character that a URL, a shell or a double click minds.
const passwordLength = 20

// DigestAlgorithm is the hash of a digest (RFC 7616 3.4).
type DigestAlgorithm string

// The algorithms that the gate has digests for.
const (
	MD5    DigestAlgorithm = "MD5"
	SHA256 DigestAlgorithm = "SHA-256"
)

// DigestResponse is what a client sent in its Authorization header (RFC 2069 2.1.2, RFC 7616 3.4, without qop, as RTSP
// clients do it), and the method of its request. The caller has made sure that the nonce is one of its own.
type DigestResponse struct {
	Username, Realm, Nonce, URI, Method, Response string
	Algorithm                                     DigestAlgorithm
}

// AuthenticateDigest checks a digest and returns who sent it, or ErrDenied, which counts as a guess against its name
// and address. Known and unknown names take the same way through the code.
func (g *Gate) AuthenticateDigest(d DigestResponse, from netip.Addr) (Identity, error) {
	realm, viewers := g.admitted()
	v, known := viewers[d.Username]
	if !known {
		v = g.decoy
	}
	ha1, hash := v.HA1SHA256, sha256Hex
	if d.Algorithm == MD5 {
		ha1, hash = v.HA1MD5, md5Hex
	}
	want := hash(ha1 + ":" + d.Nonce + ":" + hash(d.Method+":"+d.URI))
	ok := subtle.ConstantTimeCompare([]byte(want), []byte(strings.ToLower(d.Response))) == 1
	ok = ok && known && d.Realm == realm && (d.Algorithm == MD5 || d.Algorithm == SHA256)
	if !ok {
		g.guesses.fail(time.Now(), d.Username, from)
		return Identity{}, fmt.Errorf("authenticate: %w", ErrDenied)
	}
	scope, ok := g.allowed(v, time.Now())
	if !ok {
		return Identity{}, fmt.Errorf("authenticate %s: the grant does not hold: %w", d.Username, ErrDenied)
	}
	return Identity{Name: d.Username, Role: v.Role, credential: v.HA1SHA256, scope: scope}, nil
}

// digests makes the two HA1 of a password.
func digests(name, realm string, password secret.Secret) viewer {
	a1 := name + ":" + realm + ":" + password.Reveal()
	return viewer{HA1MD5: md5Hex(a1), HA1SHA256: sha256Hex(a1)}
}

func md5Hex(s string) string {
	sum := md5.Sum([]byte(s)) //nolint:gosec // see the import
	return hex.EncodeToString(sum[:])
}

func sha256Hex(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}
