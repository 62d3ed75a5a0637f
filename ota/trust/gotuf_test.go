package trust_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"
	"github.com/theupdateframework/go-tuf/v2/metadata/config"
	"github.com/theupdateframework/go-tuf/v2/metadata/updater"

	"github.com/ocellus/ocellus/ota/trust"
)

// patience is how long go-tuf's carrier waits for a server: long, but where the story is that it says nothing.
func (r repository) patience() time.Duration {
	for _, s := range r.Steps {
		for _, f := range s.Files {
			if f.Stalls {
				return 300 * time.Millisecond
			}
		}
	}
	return 2 * time.Minute
}

// server serves the steps of all stories under /STORY/STEP/.
type server struct {
	*httptest.Server
	mu    sync.Mutex // guards files
	files map[string]file
}

func newServer(t *testing.T) *server {
	s := &server{files: map[string]file{}}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

// add serves files under a prefix.
func (s *server) add(prefix string, files map[string]file) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, f := range files {
		s.files[prefix+name] = f
	}
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	f, ok := s.files[r.URL.Path]
	s.mu.Unlock()
	switch {
	case !ok:
		http.NotFound(w, r)
	case f.Status != 0:
		w.WriteHeader(f.Status)
	case f.Stalls:
		_, _ = w.Write(f.Data)
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	default:
		_, _ = io.Copy(w, f.reader())
	}
}

// judgeGoTUF tells a story to go-tuf's client, whose cache goes from step to step.
func judgeGoTUF(t *testing.T, s *server, prefix string, r repository) []verdict {
	t.Helper()
	dir := t.TempDir()
	root := r.Root
	client := &http.Client{Timeout: r.patience()}
	var all []verdict
	for i, step := range r.Steps {
		at := fmt.Sprintf("/%s/%d/", prefix, i)
		s.add(at, step.Files)
		cfg, err := config.New(s.URL+at, root)
		if err != nil {
			t.Fatal(err)
		}
		cfg.LocalMetadataDir, cfg.LocalTargetsDir = dir, filepath.Join(dir, "targets")
		cfg.RootMaxLength, cfg.TimestampMaxLength = trust.MaxRoot, trust.MaxTimestamp
		cfg.SnapshotMaxLength, cfg.TargetsMaxLength = trust.MaxSnapshot, trust.MaxTargets
		if err := cfg.SetDefaultFetcherHTTPClient(client); err != nil {
			t.Fatal(err)
		}
		all = append(all, stepGoTUF(cfg, step))
		if kept, err := os.ReadFile(filepath.Join(dir, "root.json")); err == nil {
			root = kept
		}
	}
	return all
}

// stepGoTUF lets go-tuf's client look once. Where it panics, that is its verdict.
func stepGoTUF(cfg *config.UpdaterConfig, s step) (v verdict) {
	defer func() {
		if cause := recover(); cause != nil {
			v = verdict{class: "panic", reason: fmt.Sprint(cause)}
		}
	}()
	up, err := updater.New(cfg)
	if err == nil {
		up.UnsafeSetRefTime(s.Now)
		err = up.Refresh()
	}
	if err == nil {
		var info *metadata.TargetFiles
		if info, err = up.GetTargetInfo(s.Target); err == nil {
			_, _, err = up.DownloadTarget(info, filepath.Join(cfg.LocalMetadataDir, "target"), "")
		}
	}
	if err != nil {
		return verdict{class: classOfGoTUF(err), reason: err.Error()}
	}
	m := up.GetTrustedMetadataSet()
	return verdict{class: "accepted", versions: fmt.Sprint(m.Root.Signed.Version, m.Timestamp.Signed.Version,
		m.Snapshot.Signed.Version, m.Targets["targets"].Signed.Version)}
}

// classOfGoTUF sorts go-tuf's errors. What has no type of its own is told by its words.
func classOfGoTUF(err error) string {
	var status *metadata.ErrDownloadHTTP
	var network *url.Error
	switch {
	case errors.As(err, &status) && status.StatusCode == http.StatusNotFound:
		return "missing"
	case errors.As(err, &status), errors.As(err, &network), strings.Contains(err.Error(), "Client.Timeout"):
		return "carrier"
	case errors.Is(err, &metadata.ErrDownloadLengthMismatch{}):
		return "size"
	case errors.Is(err, &metadata.ErrUnsignedMetadata{}):
		return "signatures"
	case errors.Is(err, &metadata.ErrExpiredMetadata{}):
		return "expired"
	case errors.Is(err, &metadata.ErrBadVersionNumber{}):
		return "version"
	case errors.Is(err, &metadata.ErrLengthOrHashMismatch{}):
		return "hash"
	case strings.HasSuffix(err.Error(), " not found") && strings.HasPrefix(err.Error(), "target "):
		return "no-such-target"
	}
	return "malformed" // ErrValue, ErrType, encoding/json's errors, and those of hexadecimal
}
