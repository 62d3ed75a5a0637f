package main

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"filippo.io/age"
	"github.com/sigstore/sigstore/pkg/signature"
	"github.com/theupdateframework/go-tuf/v2/metadata"
)

// draftName is the next root while signatures are missing. No client asks for it.
const draftName = "draft.root.json"

type otaRoot struct {
	lives
	keyring
	Repo      string   `required:"" type:"path" help:"The directory of the repository."`
	Replace   []string `placeholder:"ROLE" help:"A new key for targets, snapshot, timestamp, or in place of root-N."`
	Recipient string   `placeholder:"age1..." help:"The age recipient that new keys are encrypted for."`
}

// Run drafts the next root, or adds signatures to the draft that is there. Once enough of the old and of the new root
// keys have signed, the root is published. The holders of root keys run it one after another, each with his own key.
func (c *otaRoot) Run(s streams) error {
	r, err := openRepository(c.Repo)
	if err != nil {
		return err
	}
	by, err := c.identity(s.in)
	if err != nil {
		return err
	}
	path := filepath.Join(c.Repo, draftName)
	draft, err := metadata.Root().FromFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		draft, err = c.draft(r, by)
	case err == nil && len(c.Replace) > 0:
		err = fmt.Errorf("draft root: %s is there already; sign or remove it before other keys are replaced", path)
	}
	if err != nil {
		return err
	}
	if err := c.sign(r.root, draft, by); err != nil {
		return err
	}
	data, err := draft.ToBytes(false)
	if err != nil {
		return err
	}
	if missing := errors.Join(r.root.VerifyDelegate("root", draft), draft.VerifyDelegate("root", draft)); missing != nil {
		if err := r.write(draftName, data); err != nil {
			return err
		}
		_, err := fmt.Fprintf(s.out, "%s: root %d, %d signatures; more root keys have to sign\n", path,
			draft.Signed.Version, len(draft.Signatures))
		return err
	}
	if err := r.write(metadataName("root", draft.Signed.Version), data); err != nil {
		return err
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	_, err = fmt.Fprintf(s.out, "root %d, valid until %s, %d signatures; sign the rest by ota renew --all\n",
		draft.Signed.Version, draft.Signed.Expires.Format(time.RFC3339), len(draft.Signatures))
	return err
}

// draft makes the next root out of the present one.
func (c *otaRoot) draft(r *repository, by age.Identity) (*metadata.Metadata[metadata.RootType], error) {
	data, err := r.root.ToBytes(false)
	if err != nil {
		return nil, err
	}
	next, err := metadata.Root().FromBytes(data)
	if err != nil {
		return nil, err
	}
	next.ClearSignatures()
	next.Signed.Version++
	next.Signed.Expires = whole(time.Now().Add(c.Root))
	if len(c.Replace) == 0 {
		return next, nil
	}
	if c.Passphrase == "-" {
		return nil, &fault{exitUsage, errors.New("--replace reads the passphrase twice: a file, not -")}
	}
	to, err := recipient(c.Recipient, c.Passphrase, nil)
	if err != nil {
		return nil, err
	}
	for _, what := range c.Replace {
		if err := c.replace(next, what, to, by); err != nil {
			return nil, fmt.Errorf("replace %s: %w", what, err)
		}
	}
	return next, nil
}

// replace gives a role a new key in place of its old ones, or of the one in a file.
func (c *otaRoot) replace(next *metadata.Metadata[metadata.RootType], what string, to age.Recipient,
	by age.Identity) error {
	role, old := what, []string(nil)
	if _, ok := next.Signed.Roles[what]; ok && what != "root" {
		old = slices.Clone(next.Signed.Roles[what].KeyIDs)
	} else {
		role = "root"
		if !strings.HasPrefix(what, "root-") {
			return &fault{exitUsage, errors.New("want targets, snapshot, timestamp, or the name of a root key: root-1")}
		}
		id, err := c.keyID(what, by)
		if err != nil {
			return err
		}
		old = []string{id}
	}
	for _, id := range old {
		if err := next.Signed.RevokeKey(id, role); err != nil {
			return err
		}
	}
	private, err := newKeyFile(c.freeName(role), to)
	if err != nil {
		return err
	}
	k, err := metadata.KeyFromPublicKey(private.Public())
	if err != nil {
		return err
	}
	return next.Signed.AddKey(k, role)
}

// keyID returns the id of the key in a file.
func (c *otaRoot) keyID(name string, by age.Identity) (string, error) {
	s, err := readKeyFile(filepath.Join(c.Keys, name+".key"), by)
	if err != nil {
		return "", err
	}
	return signerID(s)
}

// signerID is the key id of a signer.
func signerID(s signature.Signer) (string, error) {
	public, err := s.PublicKey()
	if err != nil {
		return "", err
	}
	if _, ok := public.(ed25519.PublicKey); !ok {
		return "", errors.New("not an Ed25519 key: cameras take no other")
	}
	k, err := metadata.KeyFromPublicKey(public)
	if err != nil {
		return "", err
	}
	return k.ID()
}

// freeName is the next key file of a role.
func (c *otaRoot) freeName(role string) string {
	for i := 1; ; i++ {
		path := filepath.Join(c.Keys, fmt.Sprintf("%s-%d.key", role, i))
		if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
			return path
		}
	}
}

// sign adds the signatures of all root keys in the directory that the old or the new root knows.
func (c *otaRoot) sign(old, draft *metadata.Metadata[metadata.RootType], by age.Identity) error {
	known := slices.Concat(old.Signed.Roles["root"].KeyIDs, draft.Signed.Roles["root"].KeyIDs)
	signers, err := c.signers("root", known, by)
	if err != nil {
		return err
	}
	for _, s := range signers {
		id, err := signerID(s)
		if err != nil {
			return err
		}
		if slices.ContainsFunc(draft.Signatures, func(sig metadata.Signature) bool { return sig.KeyID == id }) {
			continue
		}
		if _, err := draft.Sign(s); err != nil {
			return fmt.Errorf("sign root: %w", err)
		}
	}
	return nil
}
