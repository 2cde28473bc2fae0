package silo

import (
	"errors"
	"strings"
	"unsafe"

	"github.com/isolrun/isol/test/hcsemu"
	"golang.org/x/sys/windows"
)

// controlEvents are the numbers that a control handler gets.
// https://learn.microsoft.com/windows/console/handlerroutine
var controlEvents = map[hcsemu.Signal]uintptr{
	hcsemu.CtrlC: 0, hcsemu.CtrlBreak: 1, hcsemu.CtrlClose: 2, hcsemu.CtrlLogOff: 5, hcsemu.CtrlShutdown: 6,
}

// listenerDLL is what every program has loaded that may handle control events
// here: Go's runtime loads it before anything else, and the one of
// test/hcsemu/dll gives events that are not handled the right exit code.
const listenerDLL = "bcryptprimitives.dll"

var errNoHandlers = errors.New("the process has no handlers yet, or is no Go program")

// sendControlEvent runs the handlers of a process as the system does for a
// console: in a new thread, with the routine of kernelbase.dll that calls one
// handler after another and ends the process if none takes the event. It needs
// no console and reaches one process only, which GenerateConsoleCtrlEvent
// does not. System DLLs lie at the same address in every process.
func sendControlEvent(process windows.Handle, signal hcsemu.Signal) error {
	event, known := controlEvents[signal]
	if !known {
		return &hcsemu.Error{Code: hcsemu.EInvalidArg, Message: "no signal " + string(signal)}
	}
	if !loaded(process, listenerDLL) {
		return errNoHandlers
	}
	routine := windows.NewLazySystemDLL("kernelbase.dll").NewProc("CtrlRoutine")
	if err := routine.Find(); err != nil {
		return err
	}
	thread, err := createRemoteThread(process, nil, 0, routine.Addr(), event, 0, nil)
	if err != nil {
		return err
	}
	return windows.CloseHandle(thread)
}

// loaded says whether a process has loaded a DLL.
func loaded(process windows.Handle, dll string) bool {
	var modules [256]windows.Handle
	var size uint32
	err := windows.EnumProcessModules(process, &modules[0], uint32(unsafe.Sizeof(modules)), &size)
	if err != nil {
		return false
	}
	name := make([]uint16, windows.MAX_PATH)
	for _, module := range modules[:min(int(size)/int(unsafe.Sizeof(modules[0])), len(modules))] {
		err := windows.GetModuleBaseName(process, module, &name[0], uint32(len(name)))
		if err == nil && strings.EqualFold(windows.UTF16ToString(name), dll) {
			return true
		}
	}
	return false
}
