package manifest_test

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io/fs"
	"testing"
	"time"

	"github.com/ocellus/ocellus/codec/cjson"
	"github.com/ocellus/ocellus/ota/trust"
)

// verified puts targets into a signed repository and takes them out again with the verifier: an Update comes about in
// no other way.
func verified(t testing.TB, targets doc) trust.Update {
	t.Helper()
	seed := sha256.Sum256([]byte("one key for all"))
	key := ed25519.NewKeyFromSeed(seed[:])
	sign := func(role string, more doc) []byte {
		s := doc{"_type": role, "spec_version": "1.0", "version": 1, "expires": "2030-01-01T00:00:00Z"}
		for name, v := range more {
			s[name] = v
		}
		raw, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		v, err := cjson.Parse(raw)
		if err != nil {
			t.Fatal(err)
		}
		sig := ed25519.Sign(key, v.AppendCanonical(nil))
		file, err := json.Marshal(doc{"signed": json.RawMessage(raw),
			"signatures": []any{doc{"keyid": "k", "sig": hex.EncodeToString(sig)}}})
		if err != nil {
			t.Fatal(err)
		}
		return file
	}
	mine := doc{"keyids": []any{"k"}, "threshold": 1}
	public := hex.EncodeToString(key.Public().(ed25519.PublicKey))
	root := sign("root", doc{"consistent_snapshot": false,
		"keys":  doc{"k": doc{"keytype": "ed25519", "scheme": "ed25519", "keyval": doc{"public": public}}},
		"roles": doc{"root": mine, "timestamp": mine, "snapshot": mine, "targets": mine}})
	files := map[string][]byte{
		"timestamp.json": sign("timestamp", doc{"meta": doc{"snapshot.json": doc{"version": 1}}}),
		"snapshot.json":  sign("snapshot", doc{"meta": doc{"targets.json": doc{"version": 1}}}),
		"targets.json":   sign("targets", doc{"targets": targets}),
	}
	fetch := func(_ context.Context, f trust.File) ([]byte, error) {
		if b, ok := files[f.Name]; ok {
			return b, nil
		}
		return nil, fs.ErrNotExist
	}
	rules := trust.Rules{Strict: true, Now: time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)}
	_, u, err := trust.Refresh(t.Context(), trust.Trusted{Root: root}, rules, fetch)
	if err != nil {
		t.Fatal(err)
	}
	return u
}
