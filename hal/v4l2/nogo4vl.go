//go:build !cgo

package v4l2

import "unsafe"

// go4vlServes: go4vl needs cgo, so a program without it makes all requests itself.
func go4vlServes(int, uintptr, unsafe.Pointer) (served bool, err error) { return false, nil }
