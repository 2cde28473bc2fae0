package service

import (
	"context"
	"errors"
	"log/slog"
	"path"
	"runtime/debug"
	"time"

	"github.com/containerd/ttrpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/isolrun/isol/internal/fault"
)

// kindCodes is the one mapping from kinds of faults to gRPC codes.
var kindCodes = map[fault.Kind]codes.Code{
	fault.Unknown:            codes.Unknown,
	fault.InvalidArgument:    codes.InvalidArgument,
	fault.NotFound:           codes.NotFound,
	fault.AlreadyExists:      codes.AlreadyExists,
	fault.FailedPrecondition: codes.FailedPrecondition,
	fault.PermissionDenied:   codes.PermissionDenied,
	fault.Unavailable:        codes.Unavailable,
	fault.DeadlineExceeded:   codes.DeadlineExceeded,
	fault.Canceled:           codes.Canceled,
	fault.Unimplemented:      codes.Unimplemented,
	fault.ResourceExhausted:  codes.ResourceExhausted,
	fault.Internal:           codes.Internal,
}

// toStatus turns an error into what ttrpc sends. One that has a status already
// (a request that could not be decoded) keeps it.
func toStatus(err error) error {
	if err == nil {
		return nil
	}
	kind := fault.KindOf(err)
	var has interface{ GRPCStatus() *status.Status }
	if kind == fault.Unknown && errors.As(err, &has) {
		return err
	}
	code, ok := kindCodes[kind]
	if !ok {
		code = codes.Unknown
	}
	return status.Error(code, err.Error())
}

// Interceptor wraps every call: it turns panics and faults into statuses, logs
// the call with its duration, and calls seen, which may be nil.
func Interceptor(log *slog.Logger, seen func()) ttrpc.UnaryServerInterceptor {
	return func(ctx context.Context, unmarshal ttrpc.Unmarshaler, info *ttrpc.UnaryServerInfo, call ttrpc.Method) (resp any, err error) {
		if seen != nil {
			seen()
		}
		start := time.Now()
		c := &logged{name: path.Base(info.FullMethod)}
		defer func() {
			if p := recover(); p != nil {
				log.Error("a call panicked", "method", c.name, "id", c.id, "panic", p, "stack", string(debug.Stack()))
				resp, err = nil, status.Errorf(codes.Internal, "%s %s: isol failed inside: %v (its log holds the stack)", c.name, c.id, p)
			}
			c.tell(ctx, log, time.Since(start), err)
		}()
		resp, err = call(ctx, func(req any) error {
			err := unmarshal(req)
			c.note(req)
			return err
		})
		return resp, toStatus(err)
	}
}

// logged is what the log says of a call.
type logged struct{ name, id, exec string }

func (c *logged) note(req any) {
	if r, ok := req.(interface{ GetID() string }); ok {
		c.id = r.GetID()
	}
	if r, ok := req.(interface{ GetSandboxId() string }); ok {
		c.id = r.GetSandboxId()
	}
	if r, ok := req.(interface{ GetExecID() string }); ok {
		c.exec = r.GetExecID()
	}
}

func (c *logged) tell(ctx context.Context, log *slog.Logger, took time.Duration, err error) {
	args := []any{"method", c.name, "id", c.id, "took", took.Round(time.Microsecond)}
	if c.exec != "" {
		args = append(args, "exec", c.exec)
	}
	switch code := status.Code(err); {
	case err == nil:
		log.DebugContext(ctx, "call", args...)
	case code == codes.NotFound || code == codes.Canceled:
		// Clients ask for what has just ended as a matter of course.
		log.InfoContext(ctx, "call failed", append(args, "error", err)...)
	default:
		log.WarnContext(ctx, "call failed", append(args, "error", err)...)
	}
}
