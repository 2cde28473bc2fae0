package main

import (
	"context"
	"fmt"
	"io"

	"google.golang.org/protobuf/types/known/anypb"

	"github.com/isolrun/isol/test/parity/driver"
	"github.com/isolrun/isol/test/standin"
)

// optionsType is the type under which runhcs's options travel.
const optionsType = "containerd.runhcs.v1.Options"

// optionsOf are a task's options as an Any, nil for none.
func optionsOf(t driver.Task) *anypb.Any {
	if t.Options == nil {
		return nil
	}
	return &anypb.Any{TypeUrl: optionsType, Value: t.Options}
}

// shimOf is the shim that is played, as it is run for a task.
func (p *play) shimOf(t driver.Task) standin.Shim {
	return standin.Shim{Exe: p.r.Exe, Legacy: p.r.Legacy, Events: eventsPipe, ID: t.ID, Bundle: t.Bundle}
}

// start runs the shim's start action for a task and returns the pipe that it
// names.
func (p *play) start(ctx context.Context, t driver.Task) (string, error) {
	cmd, err := p.shimOf(t).StartCommand(ctx, optionsOf(t))
	if err != nil {
		return "", err
	}
	go standin.ReadLog(ctx, t.ID, io.Discard)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return standin.Address(out), nil
}
