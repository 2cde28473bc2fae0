package hcs

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/isolrun/isol/internal/hcs/schema"
)

// How says in one word how a compute system ended.
type How uint8

// The ways to end.
const (
	EndUnknown  How = iota // it can no longer be observed, or the service did not say
	EndGraceful            // by itself, or after it was asked to
	EndForced              // terminated, by whomever
	EndCrash               // unexpectedly: its worker process died, or the machine failed
	EndBugcheck            // the guest's kernel crashed
)

var howNames = [...]string{"unknown", "graceful", "forced", "crash", "bugcheck"}

// String returns the word.
func (h How) String() string { return howNames[h] }

// Ending is how a compute system ended, as the service tells it.
type Ending struct {
	How      How
	Bugcheck *Bugcheck // with EndBugcheck, where the service knows more
	Err      error     // what Compute.Exit returns
}

// Bugcheck is a crash of a guest's kernel.
type Bugcheck struct {
	Parameters []uint64 // the bugcheck code and its parameters
	Dump       string   // file of the host with the guest's memory, if one was asked for and is whole
}

// String returns the code, its parameters and where the dump is:
// "bugcheck 0xd1 (0x28, 0x2, 0x0, 0x0), dump in C:\dumps\x". The codes are at
// https://learn.microsoft.com/windows-hardware/drivers/debugger/bug-check-code-reference2
func (b *Bugcheck) String() string {
	s := "bugcheck"
	if len(b.Parameters) > 0 {
		s += fmt.Sprintf(" 0x%x", b.Parameters[0])
		rest := make([]string, 0, len(b.Parameters))
		for _, p := range b.Parameters[1:] {
			rest = append(rest, fmt.Sprintf("0x%x", p))
		}
		if len(rest) > 0 {
			s += " (" + strings.Join(rest, ", ") + ")"
		}
	}
	if b.Dump != "" {
		s += ", dump in " + b.Dump
	}
	return s
}

// ReadCrash returns what the data of an event of the guest's crash, a
// CrashReport, adds to what earlier events said (nil if there were none). Data
// that cannot be decoded adds nothing: that there was such an event is the news.
func ReadCrash(earlier *Bugcheck, data string) *Bugcheck {
	b := &Bugcheck{}
	if earlier != nil {
		*b = *earlier
	}
	var r schema.CrashReport
	if json.Unmarshal([]byte(data), &r) != nil {
		return b
	}
	if len(r.CrashParameters) > 0 {
		b.Parameters = r.CrashParameters
	}
	if w := r.WindowsCrashInfo; w != nil && w.FinalPhase == schema.CrashPhaseComplete {
		b.Dump = w.DumpFile
	}
	return b
}

// ReadEnding reads the data of the event that a system has exited, a
// SystemExitStatus. crash is what events of a crash have said before, nil if
// there were none. What ended by being asked to is no error, however it was
// asked. A Windows older than 18362 says no type, only a status; one older than
// 20348 attributes nothing, and a bugcheck is known by its events alone. A guest
// that crashed and was reset ends "gracefully" by its document's StopOnReset, so
// the evidence of a crash counts more than the type.
func ReadEnding(id, data string, crash *Bugcheck) Ending {
	const op = "exit of system"
	var s schema.SystemExitStatus
	if err := json.Unmarshal([]byte(data), &s); err != nil && data != "" {
		return Ending{Err: &Error{Op: op, ID: id, Result: data, Err: ErrUnknown}}
	}
	if b := attributed(&s, crash); b != nil {
		return Ending{How: EndBugcheck, Bugcheck: b, Err: &Error{Op: op, ID: id, Code: uint32(s.Status), Result: b.String(), Err: ErrGuestCrash}}
	}
	how := howOf(&s)
	if how != EndCrash {
		return Ending{How: how}
	}
	return Ending{How: how, Err: &Error{Op: op, ID: id, Code: uint32(s.Status), Result: workerText(&s), Err: ErrUnexpectedExit}}
}

// attributed returns the crash of the guest's kernel that an end is due to.
func attributed(s *schema.SystemExitStatus, crash *Bugcheck) *Bugcheck {
	for _, a := range s.Attribution {
		if a.GuestCrash != nil {
			if crash == nil {
				crash = &Bugcheck{}
			}
			if len(crash.Parameters) == 0 {
				crash.Parameters = a.GuestCrash.CrashParameters
			}
		}
		if w := a.WorkerExit; crash == nil && w != nil && (w.Detail == schema.WorkerGuestCrash || w.Detail == schema.WorkerGuestFirmwareCrash) {
			crash = &Bugcheck{}
		}
	}
	if crash == nil && CodeName(uint32(s.Status)) == "HCS_E_GUEST_CRITICAL_ERROR" {
		crash = &Bugcheck{}
	}
	return crash
}

func howOf(s *schema.SystemExitStatus) How {
	switch s.ExitType {
	case schema.ExitUnexpectedExit:
		return EndCrash
	case schema.ExitForcedExit:
		return EndForced
	case schema.ExitGracefulExit:
		return EndGraceful
	case "":
		if CodeName(uint32(s.Status)) == "HCS_E_UNEXPECTED_EXIT" {
			return EndCrash
		}
	}
	return EndUnknown
}

// workerText says what became of the machine's worker process.
func workerText(s *schema.SystemExitStatus) string {
	for _, a := range s.Attribution {
		if w := a.WorkerExit; w != nil {
			return fmt.Sprintf("the worker process ended: %s, %s, exit code %d", w.Type, w.Detail, w.ExitCode)
		}
		if a.TripleFault != nil {
			return "a virtual processor of the guest had a triple fault"
		}
	}
	return ""
}
