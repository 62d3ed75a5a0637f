package trust_test

import (
	"encoding/json"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/ocellus/ocellus/mutant"
)

// told is a repository with the verdicts of the client that has all its checks.
type told struct {
	Repository repository
	Verdicts   []string
}

// TestMutants tells every story to every mutant from FIRST on, and prints which repository gives each away.
func TestMutants(t *testing.T) {
	raw, err := os.ReadFile(os.Getenv("CORPUS"))
	if err != nil {
		t.Fatal(err)
	}
	var corpus []told
	if err := json.Unmarshal(raw, &corpus); err != nil {
		t.Fatal(err)
	}
	var first, count int
	if _, err := fmt.Sscan(os.Getenv("RANGE"), &first, &count); err != nil {
		t.Fatal(err)
	}
	for mutant.Now = first; mutant.Now < count; mutant.Now++ {
		late := time.AfterFunc(20*time.Second, func() {
			fmt.Printf("mutant %d hangs\n", mutant.Now)
			os.Exit(3)
		})
		fmt.Printf("mutant %d %s\n", mutant.Now, givenAway(t, corpus))
		late.Stop()
	}
}

// givenAway names the first repository on which the mutant disagrees, "" where there is none.
func givenAway(t *testing.T, corpus []told) (name string) {
	for _, c := range corpus {
		if tellMutant(t, c.Repository) != fmt.Sprint(c.Verdicts) {
			return c.Repository.Name
		}
	}
	return ""
}

func tellMutant(t *testing.T, r repository) (verdicts string) {
	defer func() {
		if cause := recover(); cause != nil {
			verdicts = fmt.Sprint("panic: ", cause)
		}
	}()
	return fmt.Sprint(exact(judge(t.Context(), r)))
}
