package pod

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/isolrun/isol/internal/fault"
	"github.com/isolrun/isol/internal/hcs/schema"
)

// A signal is what one number or name of the Task API means for a process of a
// Windows container.
type signal struct {
	number  uint32
	names   []string
	deliver schema.Signal // empty: the process is ended at once
}

// signals is the reference's map. A Windows process knows console control
// events, https://learn.microsoft.com/windows/console/handlerroutine, and HCS
// delivers all of them (ProcessSignal of the published schema). TERM is a
// shutdown because that is the one that services and servercore's shells
// handle, with a grace period.
var signals = []signal{
	{0x0, []string{"CTRLC"}, schema.CtrlC},
	{0x1, []string{"CTRLBREAK"}, schema.CtrlBreak},
	{0x2, []string{"CTRLCLOSE"}, schema.CtrlClose},
	{0x5, []string{"CTRLLOGOFF"}, schema.CtrlLogOff},
	{0x6, []string{"CTRLSHUTDOWN"}, schema.CtrlShutdown},
	{0x9, []string{"KILL"}, ""},
	{0xf, []string{"TERM"}, schema.CtrlShutdown},
}

// isKill reports whether the signal ends the process without asking it.
func (s signal) isKill() bool { return s.deliver == "" }

// SignalKill is the number of the signal that ends a process at once,
// SignalTerm that of the one that asks it to end.
const (
	SignalKill = 0x9
	SignalTerm = 0xf
)

// ParseSignal returns the number that Kill takes for a signal's name, with or
// without SIG and in any case, or number. Errors: InvalidArgument naming what
// is allowed.
func ParseSignal(s string) (uint32, error) {
	if n, err := strconv.ParseUint(s, 0, 32); err == nil {
		sig, err := lookupSignal(uint32(n))
		return sig.number, err
	}
	name := strings.TrimPrefix(strings.ToUpper(s), "SIG")
	for _, sig := range signals {
		for _, n := range sig.names {
			if n == name {
				return sig.number, nil
			}
		}
	}
	return 0, unsupportedSignal(fmt.Sprintf("%q", s))
}

// lookupSignal returns the signal with the given number.
func lookupSignal(number uint32) (signal, error) {
	for _, s := range signals {
		if s.number == number {
			return s, nil
		}
	}
	return signal{}, unsupportedSignal(strconv.FormatUint(uint64(number), 10))
}

func unsupportedSignal(given string) error {
	var allowed []string
	for _, s := range signals {
		allowed = append(allowed, fmt.Sprintf("%s (%d)", s.names[0], s.number))
	}
	return &fault.Error{Kind: fault.InvalidArgument, Op: "signal", Subject: given,
		Detail: "a Windows container does not know this signal: allowed are " + strings.Join(allowed, ", ")}
}
