package hcs

import (
	"errors"
	"strings"
	"testing"
)

// What ended a VM decides whom an operator turns to, and whether a dump is
// looked for: every form in which Windows versions tell it must be understood.
func TestReadEnding(t *testing.T) {
	crash := &Bugcheck{Parameters: []uint64{0xd1, 0x28}, Dump: `C:\dumps\p`}
	for _, tc := range []struct {
		name  string
		data  string
		crash *Bugcheck
		how   How
		err   error
		text  string
	}{
		{"graceful", `{"Status":0,"ExitType":"GracefulExit"}`, nil, EndGraceful, nil, ""},
		{"forced", `{"Status":-1070137081,"ExitType":"ForcedExit"}`, nil, EndForced, nil, ""},
		{"unexpected", `{"Status":-1070137082,"ExitType":"UnexpectedExit"}`, nil, EndCrash, ErrUnexpectedExit, "0xc0370106"},
		{"unexpected, without a type", `{"Status":-1070137082}`, nil, EndCrash, ErrUnexpectedExit, ""},
		{"terminated, without a type", `{"Status":-1070137081}`, nil, EndUnknown, nil, ""},
		{"a type that is new", `{"ExitType":"Melted"}`, nil, EndUnknown, nil, ""},
		{"no data", ``, nil, EndUnknown, nil, ""},
		{"other data", `<xml>`, nil, EndUnknown, ErrUnknown, "<xml>"},
		{"crash attributed", `{"ExitType":"UnexpectedExit","Attribution":[{"GuestCrash":{"CrashParameters":[226,0]}}]}`, nil, EndBugcheck, ErrGuestCrash, "bugcheck 0xe2 (0x0)"},
		{"crash and events", `{"ExitType":"UnexpectedExit","Attribution":[{"GuestCrash":{"CrashParameters":[226]}}]}`, crash, EndBugcheck, ErrGuestCrash, `bugcheck 0xd1 (0x28), dump in C:\dumps\p`},
		{"crash by events alone, as before 20348", `{"ExitType":"UnexpectedExit"}`, crash, EndBugcheck, ErrGuestCrash, "0xd1"},
		{"reset after a crash", `{"Status":0,"ExitType":"GracefulExit"}`, crash, EndBugcheck, ErrGuestCrash, "0xd1"},
		{"worker says so", `{"ExitType":"UnexpectedExit","Attribution":[{"WorkerExit":{"Type":"StoppedOnReset","Detail":"GuestCrash"}}]}`, nil, EndBugcheck, ErrGuestCrash, "bugcheck"},
		{"status says so", `{"Status":-2143878884,"ExitType":"UnexpectedExit"}`, nil, EndBugcheck, ErrGuestCrash, ""},
		{"worker died", `{"ExitType":"UnexpectedExit","Attribution":[{"WorkerExit":{"ExitCode":5,"Type":"UnexpectedStop","Detail":"ProcessUnexpectedExit"}}]}`, nil, EndCrash, ErrUnexpectedExit, "UnexpectedStop, ProcessUnexpectedExit, exit code 5"},
		{"triple fault", `{"ExitType":"UnexpectedExit","Attribution":[{"TripleFault":{"ErrorType":1}}]}`, nil, EndCrash, ErrUnexpectedExit, "triple fault"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := ReadEnding("p@vm", tc.data, tc.crash)
			if got.How != tc.how || !errors.Is(got.Err, tc.err) || (got.Err == nil) != (tc.err == nil) {
				t.Errorf("%v, %v; want %v, %v", got.How, got.Err, tc.how, tc.err)
			}
			if got.Err != nil && (!strings.Contains(got.Err.Error(), tc.text) || !strings.Contains(got.Err.Error(), "p@vm")) {
				t.Errorf("%q does not say %q", got.Err, tc.text)
			}
			if (got.Bugcheck != nil) != (tc.how == EndBugcheck) {
				t.Errorf("bugcheck %v", got.Bugcheck)
			}
		})
	}
}

// A dump is named only when it is whole, and the second event must not lose
// what the first said.
func TestReadCrash(t *testing.T) {
	first := ReadCrash(nil, `{"SystemId":"p@vm","CrashParameters":[209,40,2]}`)
	if got := first.String(); got != "bugcheck 0xd1 (0x28, 0x2)" {
		t.Errorf("first event: %s", got)
	}
	half := ReadCrash(first, `{"WindowsCrashInfo":{"DumpFile":"C:\\d","FinalPhase":"Writing"}}`)
	if half.Dump != "" || len(half.Parameters) != 3 {
		t.Errorf("half a dump: %+v", half)
	}
	whole := ReadCrash(half, `{"WindowsCrashInfo":{"DumpFile":"C:\\d","FinalPhase":"Complete"}}`)
	if got := whole.String(); got != `bugcheck 0xd1 (0x28, 0x2), dump in C:\d` {
		t.Errorf("whole: %s", got)
	}
	if b := ReadCrash(nil, `garbage`); b == nil || b.String() != "bugcheck" {
		t.Errorf("data that cannot be read: %v", b)
	}
	if first.Dump != "" {
		t.Error("a later event changed what was handed out")
	}
}

// Whatever the service says, an ending is read without a panic and is an error
// exactly if it is a crash or cannot be read.
func FuzzReadEnding(f *testing.F) {
	f.Add(`{"Status":0,"ExitType":"GracefulExit"}`, `{"CrashParameters":[1,2]}`)
	f.Add(`{"Attribution":[{"GuestCrash":null},{}]}`, ``)
	f.Add(`{"Attribution":null,"Status":-2143878884}`, `[]`)
	f.Fuzz(func(t *testing.T, exit, crash string) {
		for _, c := range []*Bugcheck{nil, ReadCrash(nil, crash)} {
			e := ReadEnding("s", exit, c)
			if bad := e.How == EndCrash || e.How == EndBugcheck; bad && e.Err == nil {
				t.Errorf("%v without an error", e.How)
			}
			if c != nil && e.Err == nil {
				t.Error("a crash was reported and the end is fine")
			}
			if e.Err != nil && e.Err.Error() == "" {
				t.Error("an error without words")
			}
		}
	})
}
