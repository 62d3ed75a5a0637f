// Command with is the same program with the verifier in it.
package main

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"time"

	"github.com/ocellus/ocellus/ota/trust"
)

func main() {
	b, err := os.ReadFile(os.Args[1])
	if errors.Is(err, fs.ErrNotExist) {
		fmt.Println("nothing there")
	}
	n, _ := strconv.Atoi(os.Args[2])
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	fmt.Println(len(b), err, n, time.Now(), ctx.Err(), ed25519.Verify(b, b, b), sha256.Sum256(b))

	var t trust.Trusted
	fmt.Println(t.Adopt(b))
	t.RaiseFloor(time.Now())
	fetch := func(_ context.Context, f trust.File) ([]byte, error) { return os.ReadFile(f.Name) }
	t, u, err := trust.Refresh(ctx, t, trust.Rules{Now: time.Now()}, fetch)
	target, missing := u.Find(os.Args[3])
	fmt.Println(len(t.Root), err, missing, target.Path(u.Consistent), target.Verify(os.Stdin))
}
