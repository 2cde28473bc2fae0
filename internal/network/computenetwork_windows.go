package network

import (
	"errors"
	"syscall"
	"unsafe"

	"golang.org/x/sys/windows"

	"github.com/isolrun/isol/internal/fault"
)

// Windows returns the driver over computenetwork.dll, which is loaded by the
// first call.
func Windows() Driver { return computenetwork{} }

type computenetwork struct{}

// Enumerate implements Driver.
func (computenetwork) Enumerate(kind Kind, query string) (ids string, err error) {
	enumerate := hcnEnumerateNamespaces
	if kind == KindEndpoint {
		enumerate = hcnEnumerateEndpoints
	}
	return call("HcnEnumerate"+kind.String()+"s", "", query, func(query *uint16, a *answer) error {
		return enumerate(query, &a.document, &a.failure)
	})
}

// Properties implements Driver.
func (computenetwork) Properties(kind Kind, id, query string) (document string, err error) {
	ask := hcnQueryNamespace
	if kind == KindEndpoint {
		ask = hcnQueryEndpoint
	}
	err = with(kind, id, func(object uintptr) (err error) {
		document, err = call("HcnQuery"+kind.String()+"Properties", id, query, func(query *uint16, a *answer) error {
			return ask(object, query, &a.document, &a.failure)
		})
		return err
	})
	return document, err
}

// CreateNamespace implements Driver.
func (computenetwork) CreateNamespace(id, settings string) error {
	var object uintptr
	_, err := call("HcnCreateNamespace", id, settings, func(settings *uint16, a *answer) error {
		g, err := windows.GUIDFromString("{" + id + "}")
		if err != nil {
			return err
		}
		return hcnCreateNamespace(&g, settings, &object, &a.failure)
	})
	if object != 0 {
		err = errors.Join(err, failed("HcnCloseNamespace", id, hcnCloseNamespace(object), ""))
	}
	return err
}

// ModifyNamespace implements Driver.
func (computenetwork) ModifyNamespace(id, request string) error {
	return with(KindNamespace, id, func(object uintptr) error {
		_, err := call("HcnModifyNamespace", id, request, func(request *uint16, a *answer) error {
			return hcnModifyNamespace(object, request, &a.failure)
		})
		return err
	})
}

// DeleteNamespace implements Driver.
func (computenetwork) DeleteNamespace(id string) error {
	_, err := call("HcnDeleteNamespace", id, "", func(_ *uint16, a *answer) error {
		g, err := windows.GUIDFromString("{" + id + "}")
		if err != nil {
			return err
		}
		return hcnDeleteNamespace(&g, &a.failure)
	})
	return err
}

// with opens an object for f and closes it whatever f returns.
func with(kind Kind, id string, f func(object uintptr) error) error {
	open, closeObject := hcnOpenNamespace, hcnCloseNamespace
	if kind == KindEndpoint {
		open, closeObject = hcnOpenEndpoint, hcnCloseEndpoint
	}
	var object uintptr
	_, err := call("HcnOpen"+kind.String(), id, "", func(_ *uint16, a *answer) error {
		g, err := windows.GUIDFromString("{" + id + "}")
		if err != nil {
			return err
		}
		return open(&g, &object, &a.failure)
	})
	if err != nil {
		return err
	}
	return errors.Join(f(object), failed("HcnClose"+kind.String(), id, closeObject(object), ""))
}

// answer is what a call hands out: strings of the task allocator, which are
// ours.
type answer struct{ document, failure *uint16 }

// call makes one call with a text. A call that succeeds and all the same says
// why it failed counts as failed (as hcsshim's hcn does).
func call(name, id, text string, f func(text *uint16, a *answer) error) (document string, err error) {
	in, err := windows.UTF16PtrFromString(text)
	if err != nil {
		return "", failed(name, id, err, "")
	}
	var a answer
	err = f(in, &a)
	document = take(a.document)
	return document, failed(name, id, err, take(a.failure))
}

// take copies a string of the task allocator and frees it.
func take(s *uint16) string {
	if s == nil {
		return ""
	}
	defer windows.CoTaskMemFree(unsafe.Pointer(s))
	return windows.UTF16PtrToString(s)
}

// failed makes a CallError of what a call returned. An HRESULT that stands for
// a Win32 code becomes that code: the standard library knows what it means.
func failed(name, id string, err error, said string) error {
	if err == nil && said == "" {
		return nil
	}
	e := &CallError{Call: name, ID: id, Said: said, Err: err}
	var code syscall.Errno
	if errors.As(err, &code) {
		e.Code = fault.Win32(uint32(code))
		if e.Code != uint32(code) {
			e.Err = syscall.Errno(e.Code)
		}
	}
	return e
}
