package main

import (
	"encoding/binary"
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The device mapper's interface, linux/dm-ioctl.h, version 4.0: struct dm_ioctl, then a target and its parameters.
const (
	dmHeader     = 312
	dmName       = 48 // where the name lies in the header
	dmCreate     = 0xc138fd03
	dmSuspend    = 0xc138fd06 // without DM_SUSPEND_FLAG it resumes
	dmTableLoad  = 0xc138fd09
	dmReadOnly   = 1 << 0
	dmTargetSpec = 40
)

// mapDevice makes a read-only device with one target and returns its node.
func mapDevice(name, target string, sectors uint64, params string) (string, error) {
	control, err := os.OpenFile("/dev/mapper/control", os.O_RDWR, 0)
	if err != nil {
		return "", err
	}
	defer control.Close()
	spec := make([]byte, dmTargetSpec+(len(params)+8)&^7)
	binary.NativeEndian.PutUint64(spec[8:], sectors)
	binary.NativeEndian.PutUint32(spec[20:], uint32(len(spec)))
	copy(spec[24:], target)
	copy(spec[dmTargetSpec:], params)
	var answer []byte
	for _, step := range []struct {
		request uint
		payload []byte
	}{{dmCreate, nil}, {dmTableLoad, spec}, {dmSuspend, nil}} {
		if answer, err = mapperCall(control, step.request, name, step.payload); err != nil {
			return "", fmt.Errorf("device mapper: %s device %s: %w", target, name, err)
		}
	}
	number := binary.NativeEndian.Uint64(answer[40:])
	return fmt.Sprintf("/dev/dm-%d", unix.Minor(number)), nil
}

func mapperCall(control *os.File, request uint, name string, payload []byte) ([]byte, error) {
	b := make([]byte, dmHeader+max(len(payload), 64))
	targets := uint32(0)
	if len(payload) > 0 {
		targets = 1
	}
	for at, v := range map[int]uint32{0: 4, 12: uint32(len(b)), 16: dmHeader, 20: targets, 28: dmReadOnly} {
		binary.NativeEndian.PutUint32(b[at:], v)
	}
	copy(b[dmName:], name)
	copy(b[dmHeader:], payload)
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, control.Fd(), uintptr(request), uintptr(unsafe.Pointer(&b[0])))
	if errno != 0 {
		return nil, errno
	}
	return b, nil
}
