package main

import (
	"context"
	"fmt"

	"github.com/ocellus/ocellus/stream"
)

// showing returns a stream that may be looked at.
func (a *agent) showing(name string) (*stream.Hub, error) {
	h := a.source.Hub(name)
	switch {
	case h == nil:
		return nil, fmt.Errorf("stream %.40q: %w", name, errNotFound)
	case h.Stopped():
		return nil, fmt.Errorf("stream %s: %w: stream.start", name, stream.ErrStopped)
	}
	return h, nil
}

// streamStop lets nobody have pictures of a stream, through restarts and power cuts, until streamStart. It is a key of
// the configuration, so that the reported state says it.
func (a *agent) streamStop(ctx context.Context, args streamArgs) (any, error) {
	return a.setStopped(ctx, args.Stream, "true")
}

func (a *agent) streamStart(ctx context.Context, args streamArgs) (any, error) {
	return a.setStopped(ctx, args.Stream, "false")
}

func (a *agent) setStopped(ctx context.Context, name, stopped string) (any, error) {
	if name == "" {
		name = "main"
	}
	if a.source.Hub(name) == nil {
		return nil, fmt.Errorf("stream %.40q: %w", name, errNotFound)
	}
	return a.configSet(ctx, setArgs{Set: map[string]*string{"streams." + name + ".stopped": &stopped}})
}
