package trust_test

import (
	"context"
	"fmt"
	"io/fs"

	"github.com/ocellus/ocellus/ota/trust"
)

// A camera without a clock looks at a repository, then its owner brings a file that somebody bent on the way.
func ExampleRefresh() {
	w := newWorld()
	w.publish() // stands for a web server
	fetch := func(_ context.Context, f trust.File) ([]byte, error) {
		served, ok := w.files[f.Name]
		if !ok {
			return nil, fs.ErrNotExist
		}
		return served.read(int64(f.Most))
	}
	var trusted trust.Trusted
	if err := trusted.Adopt(w.root); err != nil { // from the camera's own system
		fmt.Println(err)
	}
	trusted.RaiseFloor(epoch) // when that system was built

	trusted, update, err := trust.Refresh(context.Background(), trusted, trust.Rules{}, fetch)
	fmt.Println(update.Targets[0].Name, "- freshness:", update.Doubt, err)

	w.serve("timestamp.json", flip)
	_, _, err = trust.Refresh(context.Background(), trusted, trust.Rules{Local: true}, fetch)
	fmt.Println(err)
	fmt.Println(trust.ReasonOf(err) == trust.BadSignature)
	// Output:
	// cam-1.0.0.img - freshness: no clock <nil>
	// verify timestamp.json: bad signature: 0 good signatures, want 1, and one is no signature of it
	// true
}
