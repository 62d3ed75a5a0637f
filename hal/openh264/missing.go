//go:build !(cgo && linux && (amd64 || arm64 || arm))

package openh264

import "github.com/ocellus/ocellus/hal"

const missing = "this build was made without cgo, or for a system that the library was not built for: " +
	"build with CGO_ENABLED=1 and a C++ compiler for linux on amd64, arm64 or arm"

func open(hal.EncoderConfig) (hal.Encoding, error) { return nil, hal.ErrUnsupported }
