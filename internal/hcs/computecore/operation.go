package computecore

import (
	"context"
	"errors"
	"time"

	"github.com/isolrun/isol/internal/hcs"
)

// maxWait bounds a call whose context has no deadline. It is what the reference
// gives the slowest call, creating a system.
const maxWait = 4 * time.Minute

const (
	// operationTimeout is HCS_E_OPERATION_TIMEOUT: the wait ended, the operation did not.
	operationTimeout hresult = 0x80370118

	// operationPending says that the service has begun and will go on.
	operationPending hresult = 0xC0370103
)

// result is what an operation answers.
type result struct {
	doc  string
	info processInformation // of operations on processes
}

// call is one function that tracks an operation.
type call struct {
	name    string                // of the function, for errors
	id      string                // of the system or process, for errors
	invoke  func(op handle) error // makes the call
	process bool                  // the result has process information
}

// object is what systems and processes have in common: a native handle and how
// an operation on it is made.
type object struct {
	n     native
	calls *hcs.CallTable
	ref   ref
	id    string // for errors
}

// operate makes a call on the object's handle and waits for its result until
// ctx ends.
func (o *object) operate(ctx context.Context, name string, invoke func(h, op handle) error) (result, error) {
	return await(ctx, o.calls, name, o.id, func() (result, error) {
		h, err := o.ref.use()
		if err != nil {
			return result{}, failure(name, o.id, err, "")
		}
		defer o.ref.done()
		return track(ctx, o.n, call{name: name, id: o.id, invoke: func(op handle) error { return invoke(h, op) }})
	}, nil)
}

// refusalWait is how long a refusal of a shutdown may take to come. An
// operation that is still pending then is one that the service works at.
const refusalWait = 2 * time.Second

// submit makes a call whose operation is closed without waiting for its end:
// the service goes on with it, and its end is seen as an event of the system.
// As runhcs does for shutdown and terminate. With a patience, a refusal is
// waited for that long.
func (o *object) submit(ctx context.Context, name string, invoke func(h, op handle) error, patience time.Duration) error {
	_, err := await(ctx, o.calls, name, o.id, func() (struct{}, error) {
		h, err := o.ref.use()
		if err != nil {
			return struct{}{}, failure(name, o.id, err, "")
		}
		defer o.ref.done()
		return struct{}{}, send(o.n, call{name: name, id: o.id, invoke: func(op handle) error { return invoke(h, op) }}, patience)
	}, nil)
	return err
}

// send makes a call and closes its operation, after a refusal or patience.
func send(n native, c call, patience time.Duration) error {
	op, err := n.createOperation()
	if err != nil {
		return failure("HcsCreateOperation", c.id, err, "")
	}
	defer n.closeOperation(op)
	if err := c.invoke(op); err != nil && !errors.Is(err, operationPending) {
		doc, _ := n.operationResult(op) // best effort: says more about err
		return failure(c.name, c.id, err, doc)
	}
	if patience == 0 {
		return nil
	}
	doc, err := n.waitResult(op, uint32(patience.Milliseconds()))
	if err == nil || errors.Is(err, operationTimeout) || errors.Is(err, operationPending) {
		return nil
	}
	return failure(c.name, c.id, err, doc)
}

// track makes a call and waits for its result: create, call, wait, close. It
// blocks for as long as the service does; ctx only bounds the wait.
func track(ctx context.Context, n native, c call) (result, error) {
	op, err := n.createOperation()
	if err != nil {
		return result{}, failure("HcsCreateOperation", c.id, err, "")
	}
	defer n.closeOperation(op)
	if err := c.invoke(op); err != nil {
		doc, _ := n.operationResult(op) // best effort: says more about err
		return result{}, failure(c.name, c.id, err, doc)
	}
	cancelled := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(cancelled)
		_ = n.cancelOperation(op) // best effort: the wait below has its own limit
	})
	var r result
	if c.process {
		r.info, r.doc, err = n.waitProcess(op, waitMillis(ctx))
	} else {
		r.doc, err = n.waitResult(op, waitMillis(ctx))
	}
	if !stop() {
		<-cancelled // the operation must not be closed while it is being cancelled
	} else if errors.Is(err, operationTimeout) {
		_ = n.cancelOperation(op) // as above
	}
	if err != nil {
		return r, failure(c.name, c.id, err, r.doc)
	}
	return r, nil
}

// waitMillis is how long ctx leaves for a wait.
func waitMillis(ctx context.Context) uint32 {
	left := maxWait
	if deadline, ok := ctx.Deadline(); ok {
		left = min(left, max(0, time.Until(deadline)))
	}
	return uint32(left.Milliseconds())
}

// await runs body in a goroutine and returns its result, or ctx's error as soon
// as ctx ends. What body returns after that goes to late.
func await[T any](ctx context.Context, calls *hcs.CallTable, name, id string, body func() (T, error), late func(T, error)) (T, error) {
	type answer struct {
		value T
		err   error
	}
	var none T
	if ctx.Err() != nil {
		return none, expired(ctx, name, id)
	}
	answers := make(chan answer)
	gone := make(chan struct{})
	defer hcs.Waiting(ctx)()
	ended := calls.Begin(name, id)
	go func() {
		v, err := body()
		ended()
		select {
		case answers <- answer{v, err}:
		case <-gone:
			if late != nil {
				late(v, err)
			}
		}
	}()
	select {
	case a := <-answers:
		return a.value, a.err
	case <-ctx.Done():
		close(gone)
		return none, expired(ctx, name, id)
	}
}

// expired is the error of a call whose context has ended.
func expired(ctx context.Context, name, id string) error {
	cause := context.Cause(ctx)
	if errors.Is(cause, context.DeadlineExceeded) {
		cause = hcs.ErrTimeout
	}
	return &hcs.Error{Op: name, ID: id, Err: cause}
}

// failure is the error of a call that did not succeed. An error that is no
// code means that the function could not be called: an older Windows lacks it.
func failure(name, id string, err error, doc string) error {
	var code hresult
	if errors.As(err, &code) {
		return hcs.NewError(name, id, uint32(code), doc)
	}
	if errors.Is(err, hcs.ErrClosed) {
		return &hcs.Error{Op: name, ID: id, Err: hcs.ErrClosed}
	}
	return &hcs.Error{Op: name, ID: id, Result: err.Error(), Err: hcs.ErrNotSupported}
}
