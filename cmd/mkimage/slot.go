package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/ocellus/ocellus/codec/fit"
	"github.com/ocellus/ocellus/codec/squashfs"
	"github.com/ocellus/ocellus/codec/verity"
)

// maxSlot is the limit that the project holds. The partition has a little more.
const maxSlot = 24_000_000

// slot is an image and what its parts weigh.
type slot struct {
	image []byte
	parts []weight
	root  verity.Hash
	proof string
}

type weight struct {
	name  string
	bytes int
}

func buildSlot(b board, s source) (slot, error) {
	k, err := openKernel(s.kernel, s.modules)
	if err != nil {
		return slot{}, err
	}
	filesystem, err := buildFilesystem(b, s, k)
	if err != nil {
		return slot{}, err
	}
	salt := sha256.Sum256([]byte("ocellus slot " + s.board))
	tree, err := verity.New(salt[:])
	if err != nil {
		return slot{}, err
	}
	_, _ = tree.Write(filesystem)
	behind, root, err := tree.Finish()
	if err != nil {
		return slot{}, err
	}
	blocks := len(filesystem) / verity.BlockSize
	seal := fmt.Sprintf("root %s\nsalt %s\nblocks %d\n", root, hex.EncodeToString(salt[:]), blocks)
	head, sizes, err := buildFIT(b, s, k, seal)
	if err != nil {
		return slot{}, err
	}
	_, padded, err := fit.Size(head)
	if err != nil {
		return slot{}, err
	}
	out := slot{root: root}
	out.parts = append(sizes, weight{"root file system", len(filesystem)}, weight{"verity tree", len(behind)})
	out.image = append(head, make([]byte, padded-int64(len(head)))...)
	out.image = append(append(out.image, filesystem...), behind...)
	if len(out.image) > maxSlot {
		return slot{}, fmt.Errorf("the slot has %d bytes, more than %d", len(out.image), maxSlot)
	}
	out.proof, err = prove(out.image)
	return out, err
}

func buildFilesystem(b board, s source, k *kernelTree) ([]byte, error) {
	entries, err := rootEntries(b, s, k)
	if err != nil {
		return nil, err
	}
	return squashfs.Build(entries, squashfs.Options{Time: uint32(s.time)})
}

func buildFIT(b board, s source, k *kernelTree, seal string) ([]byte, []weight, error) {
	kernel, err := os.ReadFile(filepath.Join(s.kernel, "Image"))
	if err != nil {
		return nil, nil, err
	}
	if kernel, err = leanKernel(kernel); err != nil {
		return nil, nil, err
	}
	if kernel, err = compress(kernel); err != nil {
		return nil, nil, err
	}
	initrd, err := buildInitrd(b, s, k, seal)
	if err != nil {
		return nil, nil, err
	}
	i := fit.Image{
		Arch: b.arch, Time: uint32(s.time), CRC32: b.crc32,
		Kernel: fit.Part{Data: kernel, Compression: "gzip", Load: b.kernel, Entry: b.kernel},
		Initrd: fit.Part{Data: initrd},
		Slot: fit.Slot{Compatible: s.board, Version: s.version, Payload: fit.Settings, Filesystem: squashfs.Settings,
			Flavour: s.mark()},
	}
	if b.deviceTree != "" {
		name := strings.ReplaceAll(b.deviceTree, "RELEASE", k.release)
		if i.DeviceTree.Data, err = os.ReadFile(filepath.Join(s.kernel, name)); err != nil {
			return nil, nil, err
		}
	}
	head, err := fit.Build(i)
	return head, []weight{{"kernel", len(kernel)}, {"initrd", len(initrd)}, {"device tree", len(i.DeviceTree.Data)}}, err
}

func compress(b []byte) ([]byte, error) {
	var out bytes.Buffer
	w, err := fit.NewCompressor(&out)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(b); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// prove reads a slot as a device would and compresses everything again.
func prove(image []byte) (string, error) {
	i, err := fit.Parse(image)
	if err != nil {
		return "", err
	}
	var failed []string
	streams := 0
	for name, p := range map[string]fit.Part{"kernel": i.Kernel, "initrd": i.Initrd} {
		if !bytes.HasPrefix(p.Data, []byte(fit.GzipMagic)) {
			continue
		}
		streams++
		same, err := streamAgain(p.Data)
		if err != nil {
			return "", fmt.Errorf("%s: %w", name, err)
		}
		if !same {
			failed = append(failed, name)
		}
	}
	_, padded, err := fit.Size(image)
	if err != nil {
		return "", err
	}
	filesystem, err := squashfs.Open(bytes.NewReader(image[padded:]))
	if err != nil {
		return "", err
	}
	blocks, bad, err := filesystem.Prove()
	if err != nil {
		return "", err
	}
	for _, b := range bad {
		failed = append(failed, fmt.Sprintf("block at %d", padded+b.Offset))
	}
	if len(failed) > 0 {
		return "", fmt.Errorf("these don't compress to the same bytes again: %s", strings.Join(failed, ", "))
	}
	return fmt.Sprintf("%d blocks and %d streams, all compress to the same bytes again", blocks, streams), nil
}

func streamAgain(stored []byte) (bool, error) {
	r, err := fit.NewExpander(bytes.NewReader(stored))
	if err != nil {
		return false, err
	}
	defer r.Close()
	var again bytes.Buffer
	w, err := fit.NewCompressor(&again)
	if err != nil {
		return false, err
	}
	if _, err := io.Copy(w, r); err != nil {
		return false, err
	}
	if err := w.Close(); err != nil {
		return false, err
	}
	return bytes.Equal(again.Bytes(), stored), nil
}
