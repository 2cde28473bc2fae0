package oci

import (
	"fmt"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/isolrun/isol/internal/fault"
)

// readResources takes the container's limits from its annotations, else from
// the spec, as runhcs does, else from the default annotations of the runtime's
// options, which in runhcs beat the spec. What loses against another value is
// recorded.
func (r *Request) readResources(spec *specs.Spec) error {
	var fromSpec Resources
	if spec.Windows != nil && spec.Windows.Resources != nil {
		var err error
		if fromSpec, err = resourcesFromSpec(spec.Windows.Resources); err != nil {
			return err
		}
	}
	v := r.Annotations
	r.Resources = Resources{
		Affinity:   fromSpec.Affinity,
		MemoryMB:   r.stronger(v.Uint(keyMemoryMB), fromSpec.MemoryMB),
		IOPS:       r.stronger(v.Uint(keyIOPS), fromSpec.IOPS),
		Bandwidth:  r.stronger(v.Uint(keyBandwidth), fromSpec.Bandwidth),
		ScratchMin: fromSpec.ScratchMin,
	}
	r.readCPU(fromSpec)
	// A sandbox may be a utility VM, which takes all three together: its spec is
	// judged when the mode is known.
	if r.Role == RoleSandbox {
		return nil
	}
	return r.Resources.CheckCPU()
}

// readCPU reads the three processor limits. They exclude each other, so a
// default is overruled by each of them and not only by its own kind.
func (r *Request) readCPU(fromSpec Resources) {
	a := r.Annotations
	limits := []struct {
		annotation, spec Value[uint64]
		to               *Value[uint64]
	}{
		{a.Uint(keyProcessorCount), fromSpec.CPUCount, &r.Resources.CPUCount},
		{a.Uint(keyProcessorLimit), fromSpec.CPULimit, &r.Resources.CPULimit},
		{a.Uint(keyProcessorWeight), fromSpec.CPUWeight, &r.Resources.CPUWeight},
	}
	var winner Source
	for _, l := range limits {
		if l.annotation.Set() && !l.annotation.Source.isDefault() {
			winner = l.annotation.Source
		} else if l.spec.Set() && winner == "" {
			winner = l.spec.Source
		}
	}
	for _, l := range limits {
		if winner != "" && !l.spec.Set() && l.annotation.Source.isDefault() {
			r.Overruled = append(r.Overruled, Overruled{Input: l.annotation.Source, Said: fmt.Sprint(l.annotation.V), By: winner})
			continue
		}
		*l.to = r.stronger(l.annotation, l.spec)
	}
}

// stronger returns the annotation's value if there is one, else the spec's; a
// default annotation only where the spec has none.
func (r *Request) stronger(annotation, spec Value[uint64]) Value[uint64] {
	win, lose := annotation, spec
	if !win.Set() || win.Source.isDefault() && lose.Set() {
		win, lose = lose, win
	}
	if lose.Set() && lose.V != win.V {
		r.Overruled = append(r.Overruled, Overruled{Input: lose.Source, Said: fmt.Sprint(lose.V), By: win.Source})
	}
	return win
}

// CheckCPU refuses more than one of count, limit and weight: the document of a
// Windows container takes only one. Parse has checked it for every role but
// the sandbox, which may become a utility VM that takes all three.
func (r Resources) CheckCPU() error {
	var said []string
	for _, v := range []struct {
		name string
		v    Value[uint64]
	}{{"count", r.CPUCount}, {"limit", r.CPULimit}, {"weight", r.CPUWeight}} {
		if v.v.Set() {
			said = append(said, fmt.Sprintf("%s %d (%s)", v.name, v.v.V, v.v.Source))
		}
	}
	if len(said) < 2 {
		return nil
	}
	return &fault.Error{
		Kind: fault.InvalidArgument, Op: opRead, Subject: "processor limits",
		Detail: strings.Join(said, ", ") + " are mutually exclusive in a Windows container",
		Hint:   "keep one of them",
	}
}

const specResources = "spec.windows.resources."

// resourcesFromSpec checks and copies spec.windows.resources. 0 means "not
// said" everywhere, as runhcs reads it.
func resourcesFromSpec(w *specs.WindowsResources) (Resources, error) {
	var r Resources
	if m := w.Memory; m != nil && m.Limit != nil && *m.Limit != 0 {
		if *m.Limit < mib {
			return r, invalid("windows.resources.memory.limit", fmt.Sprintf("%d bytes are less than 1 MiB", *m.Limit), "the limit is in bytes")
		}
		r.MemoryMB = Value[uint64]{*m.Limit / mib, specResources + "memory.limit"}
	}
	if s := w.Storage; s != nil {
		r.IOPS = optional(s.Iops, "storage.iops")
		r.Bandwidth = optional(s.Bps, "storage.bps")
		r.ScratchMin = optional(s.SandboxSize, "storage.sandboxSize")
	}
	if w.CPU == nil {
		return r, nil
	}
	r.CPUCount = optional(w.CPU.Count, "cpu.count")
	r.CPUWeight = optional(w.CPU.Shares, "cpu.shares")
	r.CPULimit = optional(w.CPU.Maximum, "cpu.maximum")
	for _, v := range []Value[uint64]{r.CPUWeight, r.CPULimit} {
		if v.V > 10000 {
			return r, invalid(strings.TrimPrefix(string(v.Source), "spec."), fmt.Sprintf("%d is not from 1 to 10000", v.V), "")
		}
	}
	for i, a := range w.CPU.Affinity {
		if a.Mask == 0 {
			return r, invalid(fmt.Sprintf("windows.resources.cpu.affinity[%d]", i), "the mask is 0", "name at least one processor, or remove the entry")
		}
		r.Affinity = append(r.Affinity, Affinity{Mask: a.Mask, Group: a.Group})
	}
	return r, nil
}

func optional[T uint16 | uint64](p *T, name Source) Value[uint64] {
	if p == nil || *p == 0 {
		return Value[uint64]{}
	}
	return Value[uint64]{uint64(*p), specResources + name}
}
