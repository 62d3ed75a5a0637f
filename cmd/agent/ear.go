package main

import (
	"context"
	"os"

	"github.com/ocellus/ocellus/board"
)

// earVerb is a service of its own beside the agent, with the two capabilities that hearing takes and nothing else of
// what the agent may (docs/adr/0014-ear.md). Init starts it for who comes to its socket, as systemd would by a socket
// unit: the socket is its first descriptor behind the usual three.
func earVerb(ctx context.Context, w world, args []string) error {
	set := flags(w, "ear")
	iface := set.String("interface", "", "network `interface` of the radio's station")
	uid := set.Uint("uid", 0, "number of the one `user` who may ask")
	if _, err := parse(set, args, 0); err != nil {
		return err
	}
	if *iface == "" || *uid == 0 || *uid > 1<<31 {
		return usageError{"interface and uid have to be named"}
	}
	return board.ServeEar(ctx, os.NewFile(3, "descriptor 3"), *iface, uint32(*uid))
}
