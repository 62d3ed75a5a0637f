package v4l2

import "unsafe"

// A program built for a word size whose layout differs from the kernel's does not compile: the index into a one-element
// array is then not 0. The whole table, with offsets and numbers, is in abi_test.go.
const (
	wide = unsafe.Sizeof(uintptr(0)) / 8 // 1 with 64 bits, 0 with 32

	sizeFormat = 204 + 4*wide
	sizeBuffer = 68 + 20*wide
	sizePlane  = 60 + 4*wide
)

var (
	_ = [1]struct{}{}[unsafe.Sizeof(capability{})-104]
	_ = [1]struct{}{}[unsafe.Sizeof(fmtDesc{})-64]
	_ = [1]struct{}{}[unsafe.Sizeof(frmSizeEnum{})-44]
	_ = [1]struct{}{}[unsafe.Sizeof(frmIvalEnum{})-52]
	_ = [1]struct{}{}[unsafe.Sizeof(pixFormat{})-48]
	_ = [1]struct{}{}[unsafe.Sizeof(planePixFormat{})-20]
	_ = [1]struct{}{}[unsafe.Sizeof(pixFormatMP{})-192]
	_ = [1]struct{}{}[unsafe.Sizeof(format{})-sizeFormat]
	_ = [1]struct{}{}[unsafe.Sizeof(streamParm{})-204]
	_ = [1]struct{}{}[unsafe.Sizeof(requestBuffers{})-20]
	_ = [1]struct{}{}[unsafe.Sizeof(buffer{})-sizeBuffer]
	_ = [1]struct{}{}[unsafe.Sizeof(buffer64{})-80]
	_ = [1]struct{}{}[unsafe.Sizeof(plane{})-sizePlane]
	_ = [1]struct{}{}[unsafe.Sizeof(control{})-8]
	_ = [1]struct{}{}[unsafe.Sizeof(queryCtrl{})-68]
	_ = [1]struct{}{}[unsafe.Sizeof(selection{})-64]
	_ = [1]struct{}{}[unsafe.Sizeof(encoderCmd{})-40]
)
