package silo

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/Microsoft/go-winio"
	"github.com/isolrun/isol/test/hcsemu"
	"golang.org/x/sys/windows"
)

// Local is a runner whose processes' streams belong to the program that starts
// them, as the agent in a guest needs them. Its Pipes are nobody else's.
type Local struct{ Runner }

// NewLocal returns a Local.
func NewLocal() *Local { return &Local{Runner{Pipes: NewPipes()}} }

// NewSilo implements [hcsemu.Runner].
func (l *Local) NewSilo(ctx context.Context, spec hcsemu.SiloSpec) (hcsemu.Silo, error) {
	s, err := l.Runner.NewSilo(ctx, spec)
	if err != nil {
		return nil, err
	}
	return localSilo{Silo: s, pipes: l.Pipes}, nil
}

type localSilo struct {
	hcsemu.Silo
	pipes *Pipes
}

// Start implements [hcsemu.Silo].
func (s localSilo) Start(ctx context.Context, spec hcsemu.ProcessSpec) (hcsemu.RunningProcess, error) {
	p, err := s.Silo.Start(ctx, spec)
	if err != nil {
		return nil, err
	}
	stdio, err := s.pipes.streams(p.Stdio())
	if err != nil {
		_ = p.Kill() // it may have ended
		p.Close()
		return nil, fmt.Errorf("%w: %w", hcsemu.EFail, err)
	}
	return localProcess{RunningProcess: p, stdio: stdio}, nil
}

type localProcess struct {
	hcsemu.RunningProcess
	stdio hcsemu.Stdio
}

// Stdio implements [hcsemu.RunningProcess].
func (p localProcess) Stdio() hcsemu.Stdio { return p.stdio }

// streams takes the ends that stdio names.
func (p *Pipes) streams(stdio hcsemu.Stdio) (hcsemu.Stdio, error) {
	var files [3]io.ReadWriteCloser
	for i, name := range []string{stdio.InPipe, stdio.OutPipe, stdio.ErrPipe} {
		end := p.take(name)
		if end == 0 {
			continue
		}
		file, err := winio.NewOpenFile(end)
		if err != nil {
			err = errors.Join(err, windows.CloseHandle(end))
			for _, f := range files[:i] {
				if f != nil {
					err = errors.Join(err, f.Close())
				}
			}
			return hcsemu.Stdio{}, err
		}
		files[i] = file
	}
	var local hcsemu.Stdio // no nil file in an interface
	if files[0] != nil {
		local.In = files[0]
	}
	if files[1] != nil {
		local.Out = files[1]
	}
	if files[2] != nil {
		local.Err = files[2]
	}
	return local, nil
}
