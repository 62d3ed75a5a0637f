package main

import (
	"bufio"
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"filippo.io/age"
	"github.com/sigstore/sigstore/pkg/signature"

	"github.com/ocellus/ocellus/internal/secret"
	"github.com/ocellus/ocellus/internal/statefile"
)

// A key file is an age file (https://age-encryption.org/v1) with a private key in PKCS #8 and PEM inside, called
// ROLE-NAME.key. There is no file without encryption.

// maxKeyFile bounds a key file and what is in it, in bytes.
const maxKeyFile = 16 << 10

// newKeyFile makes a key and writes it encrypted.
func newKeyFile(path string, to age.Recipient) (ed25519.PrivateKey, error) {
	if _, err := os.Lstat(path); err == nil {
		return nil, fmt.Errorf("make key %s: it is there already", path)
	}
	_, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return nil, err
	}
	var file bytes.Buffer
	w, err := age.Encrypt(&file, to)
	if err != nil {
		return nil, fmt.Errorf("make key %s: %w", path, err)
	}
	if err := errors.Join(pem.Encode(w, &pem.Block{Type: "PRIVATE KEY", Bytes: der}), w.Close()); err != nil {
		return nil, fmt.Errorf("make key %s: %w", path, err)
	}
	return private, statefile.WriteBytes(path, file.Bytes(), 0o600)
}

// readKeyFile opens a key.
func readKeyFile(path string, by age.Identity) (signature.Signer, error) {
	sealed, err := statefile.ReadBytes(path)
	if err != nil {
		return nil, fmt.Errorf("open key: %w", err)
	}
	r, err := age.Decrypt(bytes.NewReader(sealed), by)
	if _, other := errors.AsType[*age.NoIdentityMatchError](err); other {
		return nil, fmt.Errorf("open key %s: it was encrypted for another passphrase or identity", path)
	}
	if err != nil {
		return nil, fmt.Errorf("open key %s: %w", path, err)
	}
	text, err := io.ReadAll(io.LimitReader(r, maxKeyFile))
	if err != nil {
		return nil, fmt.Errorf("open key %s: %w", path, err)
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, fmt.Errorf("open key %s: no key inside", path)
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("open key %s: %w", path, err)
	}
	return signature.LoadSigner(key, crypto.Hash(0))
}

// signers opens the keys of a role that lie in the directory, and returns those that the root knows. A revoked key may
// lie beside the new one.
func (k keyring) signers(role string, known []string, by age.Identity) ([]signature.Signer, error) {
	paths, err := filepath.Glob(filepath.Join(k.Keys, role+"-*.key"))
	if err != nil {
		return nil, err
	}
	slices.Sort(paths)
	var all []signature.Signer
	for _, path := range paths {
		s, err := readKeyFile(path, by)
		if err != nil {
			return nil, err
		}
		id, err := signerID(s)
		if err != nil {
			return nil, fmt.Errorf("open key %s: %w", path, err)
		}
		if slices.Contains(known, id) {
			all = append(all, s)
		}
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("sign %s: no %s-*.key in %s is a key of this repository", role, role, k.Keys)
	}
	return all, nil
}

// identity is what opens key files.
func (k keyring) identity(in io.Reader) (age.Identity, error) {
	switch {
	case k.Passphrase != "":
		pass, err := firstLine(k.Passphrase, in)
		if err != nil {
			return nil, err
		}
		return age.NewScryptIdentity(pass.Reveal())
	case k.Identity != "":
		f, err := os.Open(k.Identity)
		if err != nil {
			return nil, fmt.Errorf("read identity: %w", err)
		}
		defer f.Close()
		all, err := age.ParseIdentities(f)
		if err != nil {
			return nil, fmt.Errorf("read identity %s: %w", k.Identity, err)
		}
		return anyIdentity(all), nil
	}
	return nil, &fault{exitUsage, errors.New("the keys are encrypted: --identity or --passphrase-file")}
}

// recipient is for whom new key files are encrypted: an age recipient, or whoever knows the passphrase.
func recipient(to, passphraseFile string, in io.Reader) (age.Recipient, error) {
	if passphraseFile != "" {
		pass, err := firstLine(passphraseFile, in)
		if err != nil {
			return nil, err
		}
		return age.NewScryptRecipient(pass.Reveal())
	}
	all, err := age.ParseRecipients(strings.NewReader(to))
	if err != nil || len(all) != 1 {
		return nil, &fault{exitUsage, errors.New("keys are never in clear: --recipient age1..., or --passphrase-file")}
	}
	return all[0], nil
}

// firstLine reads a passphrase.
func firstLine(path string, in io.Reader) (secret.Secret, error) {
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return "", fmt.Errorf("read passphrase: %w", err)
		}
		defer f.Close()
		in = f
	}
	line, err := bufio.NewReader(io.LimitReader(in, maxKeyFile)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("read passphrase: %w", err)
	}
	return secret.Secret(strings.TrimRight(line, "\r\n")), nil
}

// anyIdentity tries one identity after another.
type anyIdentity []age.Identity

// Unwrap implements age.Identity.
func (all anyIdentity) Unwrap(stanzas []*age.Stanza) ([]byte, error) {
	for _, id := range all {
		key, err := id.Unwrap(stanzas)
		if !errors.Is(err, age.ErrIncorrectIdentity) {
			return key, err
		}
	}
	return nil, age.ErrIncorrectIdentity
}
