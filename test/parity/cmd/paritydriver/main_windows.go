package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/isolrun/isol/test/parity/driver"
	"github.com/isolrun/isol/test/standin"
)

// The limits: a shim that hangs shall not hang the test.
const (
	callLimit = 60 * time.Second // of a request to the shim
	waitLimit = 45 * time.Second // for an event or an output
	endLimit  = 15 * time.Second // for the shim's end
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "paritydriver:", err)
		os.Exit(1)
	}
}

func run() error {
	events, err := serveEvents()
	if err != nil {
		return err
	}
	return standin.Serve(os.Stdin, os.Stdout, func(r driver.Request) (*driver.Reply, error) {
		ctx := context.Background()
		switch {
		case r.Network != "":
			n, err := addNetwork(r.Network)
			return &driver.Reply{Network: n}, err
		case r.Unnetwork != nil:
			return &driver.Reply{}, removeNetwork(r.Unnetwork)
		}
		events.reset()
		p := newPlay(r, events)
		defer p.close()
		p.play(ctx)
		p.reply.Events = events.all()
		return &p.reply, nil
	})
}
