package main

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// kernelTree is a kernel as scripts/board-kernel lays it out.
type kernelTree struct {
	dir, release string
	files        map[string]string   // module's name to its file below lib/modules/RELEASE
	needs        map[string][]string // file to the files that it needs, the deepest last (modules.dep)
	extra        string              // a folder with more modules, which need nothing but the kernel
	builtin      map[string]bool
}

func openKernel(dir, extra string) (*kernelTree, error) {
	releases, err := filepath.Glob(filepath.Join(dir, "lib/modules/*"))
	if err != nil || len(releases) != 1 {
		return nil, fmt.Errorf("kernel %s: %d releases in lib/modules, want one", dir, len(releases))
	}
	k := &kernelTree{dir: dir, release: filepath.Base(releases[0]), files: map[string]string{},
		needs: map[string][]string{}, extra: extra, builtin: map[string]bool{}}
	dep, err := os.ReadFile(filepath.Join(releases[0], "modules.dep"))
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(dep)) {
		file, needs, _ := strings.Cut(strings.TrimSpace(line), ":")
		k.files[moduleName(file)] = file
		k.needs[file] = strings.Fields(needs)
	}
	builtin, err := os.ReadFile(filepath.Join(releases[0], "modules.builtin"))
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(builtin)) {
		k.builtin[moduleName(strings.TrimSpace(line))] = true
	}
	return k, nil
}

// moduleName is what modprobe takes: no folder, no ending, no difference between - and _.
func moduleName(file string) string {
	return strings.ReplaceAll(strings.TrimSuffix(path.Base(file), ".ko"), "-", "_")
}

// module is one to load.
type module struct {
	file   string // below lib/modules/RELEASE
	params string
	data   []byte
}

// resolve lists the modules and what they need, each once, in the order in which they load.
func (k *kernelTree) resolve(wanted []string) ([]module, error) {
	var list []module
	for _, want := range wanted {
		name, params, _ := strings.Cut(want, " ")
		name = moduleName(name)
		if k.builtin[name] {
			continue
		}
		file, known := k.files[name]
		if !known {
			file = "extra/" + name + ".ko"
		}
		needs := slices.Clone(k.needs[file])
		slices.Reverse(needs)
		for _, f := range append(needs, file) {
			var err error
			if list, err = k.add(list, f, params, f == file); err != nil {
				return nil, fmt.Errorf("module %s: %w", name, err)
			}
		}
	}
	return list, nil
}

func (k *kernelTree) add(list []module, file, params string, last bool) ([]module, error) {
	if slices.ContainsFunc(list, func(m module) bool { return m.file == file }) {
		return list, nil
	}
	from := filepath.Join(k.dir, "lib/modules", k.release, file)
	if base, extra := strings.CutPrefix(file, "extra/"); extra {
		if k.extra == "" {
			return nil, fs.ErrNotExist
		}
		from = filepath.Join(k.extra, base)
	}
	data, err := os.ReadFile(from)
	if err == nil {
		data, err = leanModule(data)
	}
	if err != nil {
		return nil, err
	}
	if !last {
		params = ""
	}
	return append(list, module{file, params, data}), nil
}
