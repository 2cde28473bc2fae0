package pod

import (
	"context"
	"io"
	"time"

	"github.com/isolrun/isol/internal/isolation"
)

// StdioConfig names the client's ends of a process's streams, as the client
// gave them: pipe paths, binary:// URIs, or empty for none.
type StdioConfig struct {
	Stdin    string
	Stdout   string
	Stderr   string
	Terminal bool
}

// StdioOpener connects to the client's ends. internal/stdio implements it.
type StdioOpener interface {
	// Open connects to the ends that c names before the process exists. execID
	// is empty for an init. The caller owns the Streams and must Close them.
	// Open ends when ctx does; a failed Open leaves nothing open.
	Open(ctx context.Context, id, execID string, c StdioConfig) (Streams, error)
}

// Streams relays between the client's ends and one process. All methods may be
// called from any goroutine.
type Streams interface {
	// Relay starts copying and returns at once; it is called at most once. An
	// end is nil where the process has no such pipe. The relay closes stdin,
	// which ends the process's input, when the client's end is at its end or
	// after CloseStdin.
	Relay(stdin io.WriteCloser, stdout, stderr io.Reader)

	// CloseStdin ends the process's input once what was read before has been
	// written. Before Relay it is remembered. It is idempotent.
	CloseStdin() error

	// Drain is called after the process has ended. It returns when all output
	// has reached the client, or when ctx ends, with its error. A pipe that a
	// grandchild holds open counts as at its end once nothing was read from it
	// for quiet and nothing read from it waits to be delivered. Drain without
	// Relay returns nil at once.
	Drain(ctx context.Context, quiet time.Duration) error

	// Close gives up both sides and ends the relay's goroutines. It is
	// idempotent.
	Close() error
}

// Publisher takes the events of the pod.
type Publisher interface {
	// Publish takes e. Calls for one task come one after the other in the
	// order of the package comment, and the implementation keeps that order.
	// It must not block on the receiver: it queues.
	Publish(e Event)
}

// AffinitySetter pins a container that has been created and not yet started to
// processors. On Windows that is a limit of the container's silo job object.
type AffinitySetter interface {
	// SetAffinity pins the container with the given system id.
	SetAffinity(ctx context.Context, systemID string, masks []isolation.AffinityMask) error
}
