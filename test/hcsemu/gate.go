package hcsemu

import (
	"cmp"
	"context"
	"errors"
	"strings"
)

// request is one call before it is carried out.
type request struct {
	function string
	about    Handle // the system or process it is about, 0 if none
	system   string // its id, where there is no handle
	args     Args
	offline  bool                  // not the compute service's: works while that is down
	undo     func(context.Context) // takes the call's effect back if its caller never learns of it
}

// do carries out a call: it passes the fault plan, runs f, passes the fault
// plan again and is recorded. f returns what the record shows as the result.
// If the call fails after f succeeded, what f made is undone.
func (c *Client) do(ctx context.Context, req request, f func(ctx context.Context) (any, error)) error {
	e := c.e
	call := Call{
		Seq: e.record.begin(), Time: e.config.Now(), Caller: c.caller,
		DLL: dllOf(req.function, c.api), Function: req.function, System: req.system, Args: req.args,
		offline: req.offline,
	}
	if req.about != 0 {
		call.System, call.Process = c.subjectOf(req.about)
	}
	ctx, cancel := c.bound(ctx)
	defer cancel()

	err := cmp.Or(ended(c.ctx), ended(ctx))
	if err == nil {
		e.watch(&call, whenBefore)
		err = c.applyFaults(ctx, &call, whenBefore)
	}
	if err == nil {
		err = c.available(req)
	}
	if err == nil {
		call.Result, err = f(ctx)
		e.watch(&call, whenAfter)
		if err == nil {
			if err = c.applyFaults(ctx, &call, whenAfter); err != nil {
				call.Result = nil
				if req.undo != nil {
					req.undo(context.WithoutCancel(ctx))
				}
			}
		}
	}
	err = c.dialect(err)
	call.Duration = e.config.Now().Sub(call.Time)
	if err != nil {
		call.Code, call.Error = CodeOf(err), err.Error()
	}
	e.record.end(call)
	return err
}

func (e *Emulator) watch(call *Call, when When) {
	if e.config.Watch != nil {
		e.config.Watch(*call, when)
	}
}

// available says whether the service that answers req is there.
func (c *Client) available(req request) error {
	c.e.mu.Lock()
	defer c.e.mu.Unlock()
	if !c.e.down || req.offline {
		return nil
	}
	if req.about != 0 {
		if _, err := c.lookupLocked(req.about); err != nil {
			return err
		}
	}
	return fail(EServiceNotAvailable, "the compute service is not running")
}

// dialect gives err the code that the client's family of functions returns.
func (c *Client) dialect(err error) error {
	if err == nil {
		return nil
	}
	var known *Error
	if !errors.As(err, &known) {
		known = &Error{Code: CodeOf(err), Message: err.Error()}
	}
	return &Error{Code: known.Code.For(c.api), Message: known.Message}
}

// Note records a call that a front answers by itself, such as
// HcsCreateOperation, and lets the fault plan see it.
func (c *Client) Note(ctx context.Context, function string, args Args) error {
	req := request{function: function, args: args, offline: true}
	return c.simple(ctx, req, func(context.Context) error { return nil })
}

// simple carries out a call whose only outcome is success or failure.
func (c *Client) simple(ctx context.Context, req request, f func(ctx context.Context) error) error {
	return c.do(ctx, req, func(ctx context.Context) (any, error) { return nil, f(ctx) })
}

// ask carries out a call that returns a document.
func (c *Client) ask(ctx context.Context, req request, f func(ctx context.Context) (string, error)) (string, error) {
	var answer string
	err := c.do(ctx, req, func(ctx context.Context) (_ any, err error) {
		answer, err = f(ctx)
		return document(answer), err
	})
	if err != nil {
		return "", err
	}
	return answer, nil
}

// dllOf returns the library that has the function.
func dllOf(function string, api API) string {
	if dll := hostFunctions[function]; dll != "" {
		return dll
	}
	switch {
	case storageFunctions[function]:
		return "computestorage.dll"
	case len(function) > 3 && function[:3] == "Hcn":
		return "computenetwork.dll"
	case strings.HasPrefix(function, bridgePrefix):
		return "guest bridge"
	case len(function) > 2 && function[:2] == "Bf":
		return "bindfltapi.dll"
	case len(function) > 3 && function[:3] == "Hcs" && api == ComputeCore:
		return "computecore.dll"
	}
	return "vmcompute.dll"
}
