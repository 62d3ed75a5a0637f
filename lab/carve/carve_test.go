package carve

import (
	"bytes"
	"encoding/base64"
	"math/rand/v2"
	"slices"
	"testing"
)

// noise is the same at each run; seeds tell several apart.
func noise(seed byte, size int) []byte {
	random := rand.NewChaCha8([32]byte{seed})
	b := make([]byte, size)
	_, _ = random.Read(b)
	return b
}

func look(t *testing.T, disk []byte, values ...Value) *Report {
	t.Helper()
	r, err := Look(bytes.NewReader(disk), int64(len(disk)), values, Names{"owner", "networks"})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestFindsEverySpelling plants a value in each spelling, one at a time, and looks for it.
func TestFindsEverySpelling(t *testing.T) {
	t.Parallel()
	disk := noise(1, 1<<16)
	for name, v := range map[string][]byte{"key": noise(2, 32), "password": []byte(`Grüße "an" <alle>`), "name": []byte("grandma's TV")} {
		value := Value{name, v}
		if r := look(t, disk, value); len(r.Hits) > 0 {
			t.Fatalf("%s is found where it is not: %v", name, r.Hits)
		}
		for written, list := range spellings(v) {
			for i, b := range list {
				planted := slices.Clone(disk)
				copy(planted[12345:], b)
				r := look(t, planted, value)
				if !slices.ContainsFunc(r.Hits, func(h Hit) bool { return h.Value == name && h.Offset == 12345 && !h.Sealed }) {
					t.Errorf("%s as %s (%d) is not found: %v", name, written, i, r.Hits)
				}
			}
		}
	}
}

// TestFindsAtBorders: nothing hides between two pieces, or at the end.
func TestFindsAtBorders(t *testing.T) {
	t.Parallel()
	v := Value{"key", noise(2, 32)}
	for _, at := range []int{0, piece - 1, piece - 31, piece, 2*piece - 5, 2*piece + 1000 - 32} {
		disk := make([]byte, 2*piece+1000)
		copy(disk[at:], v.Bytes)
		if r := look(t, disk, v); len(r.Hits) != 1 || r.Hits[0].Offset != int64(at) {
			t.Errorf("at %d: %v", at, r.Hits)
		}
	}
}

// TestInBase64: as JSON has it, with neighbours.
func TestInBase64(t *testing.T) {
	t.Parallel()
	v := Value{"key", noise(2, 32)}
	for before := range 5 {
		text := base64.StdEncoding.EncodeToString(append(append(noise(3, before), v.Bytes...), 1, 2, 3))
		if r := look(t, append(make([]byte, 100), text...), v); len(r.Hits) == 0 {
			t.Errorf("behind %d bytes: not found", before)
		}
	}
}

// TestSealed: what was sealed is found with the key that the disk has, of whatever length, deleted or not, and not
// without it.
func TestSealed(t *testing.T) {
	t.Parallel()
	const home = "the home's password"
	for _, length := range []int{len(home), 990, 1024, 3000} {
		key := []byte(`{"version":1,"data_key": "` + base64.StdEncoding.EncodeToString(noise(4, 32)) + `"}`)
		disk := make([]byte, 1<<20)
		copy(disk[4096+24:], key)
		content := append(bytes.Repeat([]byte("."), length-len(home)), home...)
		file, err := Seal(bytes.NewReader(disk), int64(len(disk)), "networks", content)
		if err != nil {
			t.Fatal(err)
		}
		copy(disk[64<<10:], file)
		copy(disk[64<<10+(len(file)+block-1)/block*block:], noise(5, block)) // somebody else's block
		v := Value{"password", []byte(home)}
		r := look(t, disk, v)
		if len(r.Hits) != 1 || !r.Hits[0].Sealed || r.Keys != 1 || r.Sealed != 1 || r.Opened != 1 {
			t.Errorf("%d bytes: %+v", length, r)
		}
		copy(disk[4096+24:], bytes.Replace(key, []byte("=\""), []byte("!\""), 1))
		if r := look(t, disk, v); len(r.Hits) != 0 || r.Keys != 0 || r.Sealed != 1 || r.Opened != 0 {
			t.Errorf("%d bytes, without the key: %+v", length, r)
		}
	}
}
