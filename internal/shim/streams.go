package shim

import (
	"context"
	"log/slog"
	"time"

	"github.com/isolrun/isol/internal/options"
	"github.com/isolrun/isol/internal/pod"
	"github.com/isolrun/isol/internal/stdio"
)

// streamOpener gives the pod's requests for streams what the pod does not
// know: the namespace, and how long a lost reader is dialled.
type streamOpener struct {
	opener    *stdio.Opener
	namespace string
	retry     time.Duration
}

func newStdio(pipes stdio.System, namespace string, opts options.Options, log *slog.Logger) pod.StdioOpener {
	return &streamOpener{opener: &stdio.Opener{System: pipes, Log: log}, namespace: namespace, retry: opts.IORetry.V}
}

// Open implements pod.StdioOpener.
func (o *streamOpener) Open(ctx context.Context, id, execID string, c pod.StdioConfig) (pod.Streams, error) {
	s, err := o.opener.Open(ctx, stdio.Config{
		ID: id, ExecID: execID, Namespace: o.namespace, RetryTimeout: o.retry,
		Stdin: c.Stdin, Stdout: c.Stdout, Stderr: c.Stderr, Terminal: c.Terminal,
	})
	if err != nil {
		return nil, err // not s: a nil *Streams in the interface is not nil
	}
	return s, nil
}
