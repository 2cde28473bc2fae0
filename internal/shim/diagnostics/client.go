package diagnostics

import (
	"context"
	"encoding/json"
	"net"

	"github.com/containerd/ttrpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/isolrun/isol/internal/fault"
)

const (
	serviceName = "isol.diagnostics.v1.Diagnostics"

	// typeURL says what the Any holds. It names no message type.
	typeURL = "isolrun.github.io/diagnostics.v1+json"
)

// Show asks the shim at the other end of conn for its report. It closes conn.
// Errors: Unimplemented for a shim that has no diagnostics, and those of the
// connection.
func Show(ctx context.Context, conn net.Conn, q Question) (Report, error) {
	return ask[Report](ctx, conn, "Show", q)
}

// AskStacks asks the shim at the other end of conn for its stacks. It closes
// conn. Errors: as of Show.
func AskStacks(ctx context.Context, conn net.Conn) (Stacks, error) {
	return ask[Stacks](ctx, conn, "Stacks", Question{})
}

func ask[A any](ctx context.Context, conn net.Conn, method string, q Question) (a A, err error) {
	client := ttrpc.NewClient(conn)
	defer func() {
		if cerr := client.Close(); err == nil {
			err = cerr
		}
	}()
	in, err := pack(q)
	if err != nil {
		return a, err
	}
	var out anypb.Any
	err = client.Call(ctx, serviceName, method, in, &out)
	if status.Code(err) == codes.Unimplemented {
		return a, &fault.Error{Kind: fault.Unimplemented, Detail: "the shim has no diagnostics", Hint: "it is of an older version, or not isol's", Err: err}
	}
	if err != nil {
		return a, fault.Wrap(err, "ask the shim", "")
	}
	return a, unpack(&out, &a)
}

func pack(v any) (*anypb.Any, error) {
	value, err := json.Marshal(v)
	if err != nil {
		return nil, fault.New(fault.Internal, "the answer cannot be encoded: %w", err)
	}
	return &anypb.Any{TypeUrl: typeURL, Value: value}, nil
}

func unpack(a *anypb.Any, v any) error {
	if a.TypeUrl != typeURL {
		return fault.New(fault.InvalidArgument, "a message of type %q: %s is understood", a.TypeUrl, typeURL)
	}
	if err := json.Unmarshal(a.Value, v); err != nil {
		return fault.New(fault.InvalidArgument, "the message cannot be decoded: %w", err)
	}
	return nil
}
