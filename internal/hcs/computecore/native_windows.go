package computecore

import (
	"errors"
	"io"
	"syscall"
	"unsafe"

	"github.com/Microsoft/go-winio"
	"golang.org/x/sys/windows"
)

const (
	// eventOptionNone is HcsEventOptionNone
	// (https://learn.microsoft.com/virtualization/api/hcs/reference/hcs_event_options).
	eventOptionNone uint32 = 0

	// genericAll is GENERIC_ALL, the one access that HcsOpenComputeSystem takes
	// (https://learn.microsoft.com/virtualization/api/hcs/reference/hcsopencomputesystem).
	genericAll uint32 = 0x10000000
)

// library is computecore.dll in the system directory.
type library struct {
	callback uintptr // the one C function for events
}

// newNative loads the library. Functions that can't fail by themselves are
// looked for here, because a call of an absent one would panic.
func newNative(events *registry) (native, error) {
	if err := modcomputecore.Load(); err != nil {
		return nil, err
	}
	for _, p := range []*windows.LazyProc{procHcsCloseOperation, procHcsCloseComputeSystem, procHcsCloseProcess} {
		if err := p.Find(); err != nil {
			return nil, err
		}
	}
	return &library{callback: windows.NewCallback(func(ev *event, id uintptr) uintptr {
		if ev != nil {
			events.deliver(id, ev.Type, windows.UTF16PtrToString((*uint16)(ev.EventData)))
		}
		return 0
	})}, nil
}

// code makes an hresult of what a binding returned. Only the lower half of the
// register is the HRESULT, and one that is not negative is a success.
func code(err error) error {
	var e syscall.Errno
	if !errors.As(err, &e) {
		return err
	}
	if int32(uint32(e)) >= 0 {
		return nil
	}
	return hresult(uint32(e))
}

// invalidArgument is E_INVALIDARG.
const invalidArgument hresult = 0x80070057

// wide makes a string of Windows. No document holds a NUL: encoding/json
// escapes it; an id or a path that does is refused here.
func wide(s string) (*uint16, error) {
	p, err := windows.UTF16PtrFromString(s)
	if err != nil {
		return nil, invalidArgument
	}
	return p, nil
}

// taken copies a string that the service allocated, and frees it with LocalFree,
// which is what the reference asks for:
// https://learn.microsoft.com/virtualization/api/hcs/reference/hcswaitforoperationresult
// Production's CoTaskMemFree gives back to the same heap, the process's, but
// brings ole32.dll, and with it user32.dll and gdi32.dll, into every shim.
func taken(p *uint16) string {
	if p == nil {
		return ""
	}
	defer windows.LocalFree(windows.Handle(unsafe.Pointer(p))) //nolint:errcheck // it fails only for what is no memory
	return windows.UTF16PtrToString(p)
}

func (*library) createOperation() (handle, error) {
	op, err := hcsCreateOperation(0, 0)
	var e syscall.Errno
	if errors.As(err, &e) { // a Win32 error: there is no HRESULT
		return 0, hresult(0x80070000 | uint32(e)&0xFFFF)
	}
	return op, err
}

func (*library) closeOperation(op handle) { hcsCloseOperation(op) }

func (*library) cancelOperation(op handle) error { return code(hcsCancelOperation(op)) }

func (*library) operationResult(op handle) (string, error) {
	var doc *uint16
	err := code(hcsGetOperationResult(op, &doc))
	return taken(doc), err
}

func (*library) waitResult(op handle, ms uint32) (string, error) {
	var doc *uint16
	err := code(hcsWaitForOperationResult(op, ms, &doc))
	return taken(doc), err
}

func (*library) waitProcess(op handle, ms uint32) (processInformation, string, error) {
	var info processInformation
	var doc *uint16
	err := code(hcsWaitForOperationResultAndProcessInfo(op, ms, &info, &doc))
	return info, taken(doc), err
}

func (*library) createSystem(id, doc string, op handle) (handle, error) {
	wid, err := wide(id)
	if err != nil {
		return 0, err
	}
	wdoc, err := wide(doc)
	if err != nil {
		return 0, err
	}
	var system handle
	err = code(hcsCreateComputeSystem(wid, wdoc, op, 0, &system))
	return system, err
}

func (*library) openSystem(id string) (handle, error) {
	wid, err := wide(id)
	if err != nil {
		return 0, err
	}
	var system handle
	err = code(hcsOpenComputeSystem(wid, genericAll, &system))
	return system, err
}

func (*library) closeSystem(system handle) { hcsCloseComputeSystem(system) }

func (*library) startSystem(system, op handle) error {
	return code(hcsStartComputeSystem(system, op, nil))
}

func (*library) shutDownSystem(system, op handle) error {
	return code(hcsShutDownComputeSystem(system, op, nil))
}

func (*library) terminateSystem(system, op handle) error {
	return code(hcsTerminateComputeSystem(system, op, nil))
}

func (*library) systemProperties(system, op handle, query string) error {
	w, err := wide(query)
	if err != nil {
		return err
	}
	return code(hcsGetComputeSystemProperties(system, op, w))
}

func (*library) modifySystem(system, op handle, doc string) error {
	w, err := wide(doc)
	if err != nil {
		return err
	}
	return code(hcsModifyComputeSystem(system, op, w, 0))
}

func (*library) enumerateSystems(query string, op handle) error {
	w, err := wide(query)
	if err != nil {
		return err
	}
	return code(hcsEnumerateComputeSystems(w, op))
}

func (l *library) setSystemCallback(system handle, id uintptr) error {
	return code(hcsSetComputeSystemCallback(system, eventOptionNone, id, l.callback))
}

func (*library) createProcess(system handle, params string, op handle) (handle, error) {
	w, err := wide(params)
	if err != nil {
		return 0, err
	}
	var process handle
	err = code(hcsCreateProcess(system, w, op, 0, &process))
	return process, err
}

func (*library) openProcess(system handle, pid uint32) (handle, error) {
	var process handle
	err := code(hcsOpenProcess(system, pid, genericAll, &process))
	return process, err
}

func (*library) closeProcess(process handle) { hcsCloseProcess(process) }

func (*library) terminateProcess(process, op handle) error {
	return code(hcsTerminateProcess(process, op, nil))
}

func (*library) signalProcess(process, op handle, doc string) error {
	w, err := wide(doc)
	if err != nil {
		return err
	}
	return code(hcsSignalProcess(process, op, w))
}

func (*library) modifyProcess(process, op handle, doc string) error {
	w, err := wide(doc)
	if err != nil {
		return err
	}
	return code(hcsModifyProcess(process, op, w))
}

func (*library) processInfo(process, op handle) error { return code(hcsGetProcessInfo(process, op)) }

func (l *library) setProcessCallback(process handle, id uintptr) error {
	return code(hcsSetProcessCallback(process, eventOptionNone, id, l.callback))
}

func (*library) serviceProperties(query string) (string, error) {
	w, err := wide(query)
	if err != nil {
		return "", err
	}
	var doc *uint16
	err = code(hcsGetServiceProperties(w, &doc))
	return taken(doc), err
}

func (*library) modifyService(doc string) (string, error) {
	w, err := wide(doc)
	if err != nil {
		return "", err
	}
	var answer *uint16
	err = code(hcsModifyServiceSettings(w, &answer))
	return taken(answer), err
}

func (*library) grantAccess(id, path string) error { return access(hcsGrantVMAccess, id, path) }

func (*library) revokeAccess(id, path string) error { return access(hcsRevokeVMAccess, id, path) }

func access(call func(id, path *uint16) error, id, path string) error {
	wid, err := wide(id)
	if err != nil {
		return err
	}
	wpath, err := wide(path)
	if err != nil {
		return err
	}
	return code(call(wid, wpath))
}

func (*library) stream(h handle) (io.ReadWriteCloser, error) {
	return winio.NewOpenFile(windows.Handle(h))
}

func (*library) closeFile(h handle) {
	_ = windows.CloseHandle(windows.Handle(h)) // nothing to do about a handle that is not one
}
