//go:build !windows

package network

import "errors"

// Windows returns a driver whose every call fails: the network service exists
// on Windows only.
func Windows() Driver { return unassigned{} }

var errNotWindows = errors.New("network namespaces of this kind exist on Windows only")

type unassigned struct{}

func (unassigned) Enumerate(Kind, string) (string, error) { return "", failed("HcnEnumerate") }

func (unassigned) Properties(Kind, string, string) (string, error) { return "", failed("HcnQuery") }

func (unassigned) CreateNamespace(string, string) error { return failed("HcnCreateNamespace") }
func (unassigned) ModifyNamespace(string, string) error { return failed("HcnModifyNamespace") }
func (unassigned) DeleteNamespace(string) error         { return failed("HcnDeleteNamespace") }

func failed(call string) error { return &CallError{Call: call, Err: errNotWindows} }
