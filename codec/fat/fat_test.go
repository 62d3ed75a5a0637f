package fat

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

func TestMtoolsAndFsckAgree(t *testing.T) {
	t.Parallel()
	big := bytes.Repeat([]byte("boot"), 5000)
	b, err := Build("BOOT", 4<<20, []File{{"boot.scr", []byte("script")}, {"empty", nil}, {"uboot.bin", big}})
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "fat")
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
	judges := 0
	for _, fsck := range []string{"fsck.fat", "/usr/sbin/fsck.fat"} {
		if tool, err := exec.LookPath(fsck); err == nil {
			judges++
			if said, err := exec.CommandContext(t.Context(), tool, "-n", "-v", name).CombinedOutput(); err != nil {
				t.Errorf("fsck.fat: %v\n%s", err, said)
			}
			break
		}
	}
	if tool, err := exec.LookPath("mtype"); err == nil {
		judges++
		for file, want := range map[string]string{"boot.scr": "script", "empty": "", "uboot.bin": string(big)} {
			got, err := exec.CommandContext(t.Context(), tool, "-i", name, "::"+file).CombinedOutput()
			if err != nil || string(got) != want {
				t.Errorf("%s: %d bytes, %v, want %d", file, len(got), err, len(want))
			}
		}
	}
	if judges == 0 {
		t.Skip("neither fsck.fat (package dosfstools) nor mtype (mtools) is here")
	}
}

func TestBuildRefuses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		size  int
		files []File
	}{
		"FAT12":     {1 << 20, nil},
		"FAT32":     {64 << 20, nil},
		"long name": {4 << 20, []File{{"a-long-name.scr", nil}}},
		"path":      {4 << 20, []File{{"a/b", nil}}},
		"full":      {4 << 20, []File{{"a", make([]byte, 4<<20)}}},
	} {
		if _, err := Build("BOOT", c.size, c.files); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
}
