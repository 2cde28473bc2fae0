package pod

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/isolrun/isol/internal/fault"
	"github.com/isolrun/isol/internal/hcs/schema"
)

// A signal is what one number of the Task API means for a process of a Windows
// container.
type signal struct {
	number  uint32
	name    string
	deliver schema.Signal // empty: the process is ended at once
}

// signals is the reference's map. A Windows process knows console control
// events, https://learn.microsoft.com/windows/console/handlerroutine, and HCS
// delivers all of them (ProcessSignal of the published schema). TERM is a
// shutdown because that is the one that services and servercore's shells
// handle, with a grace period.
var signals = []signal{
	{0x0, "CTRLC", schema.CtrlC},
	{0x1, "CTRLBREAK", schema.CtrlBreak},
	{0x2, "CTRLCLOSE", schema.CtrlClose},
	{0x5, "CTRLLOGOFF", schema.CtrlLogOff},
	{0x6, "CTRLSHUTDOWN", schema.CtrlShutdown},
	{0x9, "KILL", ""},
	{0xf, "TERM", schema.CtrlShutdown},
}

// isKill reports whether the signal ends the process without asking it.
func (s signal) isKill() bool { return s.deliver == "" }

// SignalKill is the number of the signal that ends a process at once,
// SignalTerm that of the one that asks it to end.
const (
	SignalKill = 0x9
	SignalTerm = 0xf
)

// lookupSignal returns the signal with the given number.
func lookupSignal(number uint32) (signal, error) {
	for _, s := range signals {
		if s.number == number {
			return s, nil
		}
	}
	var allowed []string
	for _, s := range signals {
		allowed = append(allowed, fmt.Sprintf("%s (%d)", s.name, s.number))
	}
	return signal{}, &fault.Error{Kind: fault.InvalidArgument, Op: "signal", Subject: strconv.FormatUint(uint64(number), 10),
		Detail: "a Windows container does not know this signal: allowed are " + strings.Join(allowed, ", ")}
}
