package hcsemu

import "github.com/isolrun/isol/internal/hcs"

// NewHost returns the hcs port of a process of the emulated machine.
func NewHost(e *Emulator, caller Caller) hcs.Host { return nil }
