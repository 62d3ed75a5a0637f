package virt

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// buildLab makes the lab's disk: the hand, the module of its wire, and what a test brings. Nothing is compressed, so
// that it takes no time.
func buildLab(ctx context.Context, dir, image, brought string, l Lab) error {
	files := map[string]string{"hand": filepath.Join(brought, "hand")}
	modules, err := filepath.Glob(filepath.Join(brought, "modules", "*.ko"))
	if err != nil {
		return err
	}
	for _, m := range modules {
		files["modules/"+filepath.Base(m)] = m
	}
	for to, from := range l.Files {
		files[to] = from
	}
	for to, from := range files {
		if !filepath.IsLocal(to) {
			return fmt.Errorf("the lab's disk: %s is not below /lab", to)
		}
		if err := copyFile(from, filepath.Join(dir, to)); err != nil {
			return fmt.Errorf("the lab's disk: %w", err)
		}
	}
	conf := append([]string{"module /lab/modules/virtio_console.ko",
		fmt.Sprintf("service hand wait=%d exec /lab/hand serve", int(l.Late.Seconds()))}, l.Conf...)
	if err := os.WriteFile(filepath.Join(dir, "init.conf"), []byte(strings.Join(conf, "\n")+"\n"), 0o644); err != nil {
		return err
	}
	out, err := exec.CommandContext(ctx, "mksquashfs", dir, image, "-all-root", "-noappend", "-no-xattrs", "-no-progress",
		"-quiet", "-noI", "-noD", "-noF", "-noX").CombinedOutput()
	if err != nil {
		return fmt.Errorf("mksquashfs: %w: %s", err, out)
	}
	return nil
}

// copyFile keeps the permission bits.
func copyFile(from, to string) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, info.Mode().Perm())
	if err != nil {
		return err
	}
	defer func() {
		if e := out.Close(); err == nil {
			err = e
		}
	}()
	_, err = io.Copy(out, in)
	return err
}
