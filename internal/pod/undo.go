package pod

import (
	"context"
	"errors"

	"github.com/isolrun/isol/internal/fault"
	"github.com/isolrun/isol/internal/hcs"
)

// undoSystem ends a compute system that another process left. It returns when
// the system has ended or ctx has.
func undoSystem(ctx context.Context, host hcs.Host, id string) (err error) {
	sys, err := host.Open(ctx, id)
	if errors.Is(err, hcs.ErrNotFound) || errors.Is(err, hcs.ErrAlreadyStopped) {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closed(sys.Close())) }()
	err = sys.Terminate(ctx)
	if errors.Is(err, hcs.ErrAlreadyStopped) || errors.Is(err, hcs.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	select {
	case <-sys.Done():
		return nil
	case <-ctx.Done():
		return &fault.Error{Op: "terminate", Subject: id, Detail: "it did not end in time", Err: context.Cause(ctx)}
	}
}

func hcsClosed(err error) bool { return errors.Is(err, hcs.ErrClosed) }
