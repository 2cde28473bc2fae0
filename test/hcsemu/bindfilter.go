package hcsemu

import (
	"context"
	"slices"
	"strings"
	"time"
)

// bindingKey: a mapping belongs to a job, "" for the whole machine, and a root.
type bindingKey struct{ job, root string }

// binding is one mapping of the bind filter. It is guarded by the emulator's mu.
type binding struct {
	root, target string
	flags        uint32
	owner        Caller
	since        time.Time
}

// SetupFilter maps target to root, for the processes of a job or, if job is "",
// for all. As hcsshim and go-winio rely on it (pkg/bindfilter).
func (c *Client) SetupFilter(ctx context.Context, job string, flags uint32, root, target string, exceptions []string) error {
	args := Args{"job": job, "flags": flags, "root": root, "target": target, "exceptions": exceptions}
	req := request{function: "BfSetupFilter", args: args, offline: true}
	return c.simple(ctx, req, func(context.Context) error {
		if root == "" || target == "" {
			return fail(EInvalidArg, "a mapping needs a root and a target")
		}
		c.e.mu.Lock()
		defer c.e.mu.Unlock()
		key := bindingKey{job, normalPath(root)}
		if c.e.bindings[key] != nil {
			return fail(EAlreadyExists, "%s is mapped", root)
		}
		c.e.bindings[key] = &binding{root: root, target: target, flags: flags, owner: c.caller, since: c.e.config.Now()}
		return nil
	})
}

// RemoveMapping undoes SetupFilter. A root that is not mapped is an invalid
// argument: containerd's unmount takes that for "not a mount point" and runs
// it on every bundle (core/mount/mount_windows.go).
func (c *Client) RemoveMapping(ctx context.Context, job, root string) error {
	req := request{function: "BfRemoveMapping", args: Args{"job": job, "root": root}, offline: true}
	return c.simple(ctx, req, func(context.Context) error {
		c.e.mu.Lock()
		defer c.e.mu.Unlock()
		key := bindingKey{job, normalPath(root)}
		if c.e.bindings[key] == nil {
			return fail(EInvalidArg, "%s is not mapped", root)
		}
		delete(c.e.bindings, key)
		return nil
	})
}

// Binding is one mapping, as BfGetMappings lists it.
type Binding struct {
	Root    string   `json:"root"`
	Flags   uint32   `json:"flags"`
	Targets []string `json:"targets"`
}

// Mappings lists the mappings of a job, or those of the whole machine.
func (c *Client) Mappings(ctx context.Context, job string) ([]Binding, error) {
	var found []Binding
	req := request{function: "BfGetMappings", args: Args{"job": job}, offline: true}
	err := c.do(ctx, req, func(context.Context) (any, error) {
		c.e.mu.Lock()
		defer c.e.mu.Unlock()
		for key, b := range c.e.bindings {
			if key.job == job {
				found = append(found, Binding{Root: b.root, Flags: b.flags, Targets: []string{b.target}})
			}
		}
		slices.SortFunc(found, func(a, b Binding) int { return strings.Compare(a.Root, b.Root) })
		return found, nil
	})
	return found, err
}
