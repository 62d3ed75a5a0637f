package main

import (
	"time"
)

// otaCommands are the publisher's side of updates: who signs what, and what lies in the repository. The directory that
// publish makes is static: any web server, bucket or CDN serves it. docs/ota-trust.md tells the roles.
type otaCommands struct {
	Init    otaInit    `cmd:"" help:"Make the keys of a repository, and the repository itself."`
	Build   otaBuild   `cmd:"" help:"Describe a slot's image as a release: hashes, boards, version."`
	Patch   otaPatch   `cmd:"" help:"Make an image out of another one and a delta, as a camera does."`
	Publish otaPublish `cmd:"" help:"Add a release to a repository and sign it."`
	Renew   otaRenew   `cmd:"" help:"Sign the timestamp anew, before it expires. Needs the timestamp's key alone."`
	Rollout otaRollout `cmd:"" help:"Widen, start or halt the rollout of a release."`
	Root    otaRoot    `cmd:"" help:"Make the next root: other keys, or more time. The holders of root keys sign in turn."`
	Bundle  otaBundle  `cmd:"" help:"Put a release into one file, for a phone or a card: what a camera needs to believe it."`
	Push    otaPush    `cmd:"" help:"Send a bundle to a camera of yours, over your own network."`
	Verify  otaVerify  `cmd:"" help:"Say who signed what in a repository, until when, for which boards; check every file."`
}

// lives is how long metadata is valid.
type lives struct {
	Root      time.Duration `default:"87600h" help:"How long the root is valid."`
	Targets   time.Duration `default:"8760h" help:"How long targets and snapshot are valid."`
	Timestamp time.Duration `default:"336h" help:"How long the timestamp is valid: sign anew before."`
}

// keyring says where the keys are and how they are opened.
type keyring struct {
	Keys       string `required:"" type:"path" help:"The directory of the key files."`
	Identity   string `xor:"open" type:"path" placeholder:"FILE" help:"The age identity that opens them."`
	Passphrase string `name:"passphrase-file" xor:"open" placeholder:"FILE" help:"Its first line opens them; - is stdin."`
}
