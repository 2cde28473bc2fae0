package computecore

import (
	"fmt"
	"io"
)

// native is computecore.dll, one method per function, strings and handles
// already marshalled. An error of a method is an [hresult], or says why the call
// could not be made at all. Methods may be called from any goroutine and may
// block for as long as the service likes.
type native interface {
	createOperation() (handle, error)
	closeOperation(op handle)
	cancelOperation(op handle) error
	operationResult(op handle) (doc string, err error)
	waitResult(op handle, ms uint32) (doc string, err error)
	waitProcess(op handle, ms uint32) (info processInformation, doc string, err error)

	createSystem(id, doc string, op handle) (handle, error)
	openSystem(id string) (handle, error)
	closeSystem(system handle)
	startSystem(system, op handle) error
	shutDownSystem(system, op handle) error
	terminateSystem(system, op handle) error
	systemProperties(system, op handle, query string) error
	modifySystem(system, op handle, doc string) error
	enumerateSystems(query string, op handle) error

	// setSystemCallback has events of system delivered to the registry's entry id.
	setSystemCallback(system handle, id uintptr) error

	createProcess(system handle, params string, op handle) (handle, error)
	openProcess(system handle, pid uint32) (handle, error)
	closeProcess(process handle)
	terminateProcess(process, op handle) error
	signalProcess(process, op handle, doc string) error
	modifyProcess(process, op handle, doc string) error
	processInfo(process, op handle) error
	setProcessCallback(process handle, id uintptr) error

	serviceProperties(query string) (string, error)
	modifyService(doc string) (string, error)
	grantAccess(id, path string) error
	revokeAccess(id, path string) error

	// stream makes an interruptible file of a pipe's handle and owns it from
	// then on. On failure the handle is still the caller's.
	stream(h handle) (io.ReadWriteCloser, error)
	closeFile(h handle)
}

// hresult is a failure code that a function answered.
type hresult uint32

// Error names the code.
func (h hresult) Error() string { return fmt.Sprintf("HRESULT 0x%08x", uint32(h)) }
