package main

import (
	"context"

	"github.com/ocellus/ocellus/board"
)

// earVerb is a service of its own beside the agent, with the two capabilities that hearing takes and nothing else of
// what the agent may (docs/adr/0014-ear.md).
func earVerb(ctx context.Context, w world, args []string) error {
	set := flags(w, "ear")
	socket := set.String("socket", "", "`path` of the socket that it makes")
	iface := set.String("interface", "", "network `interface` of the radio's station")
	uid := set.Uint("uid", 0, "number of the one `user` who may ask")
	if _, err := parse(set, args, 0); err != nil {
		return err
	}
	if *socket == "" || *iface == "" || *uid == 0 || *uid > 1<<31 {
		return usageError{"socket, interface and uid have to be named"}
	}
	return board.ServeEar(ctx, *socket, *iface, uint32(*uid))
}
