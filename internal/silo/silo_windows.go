package silo

import (
	"errors"
	"fmt"
	"unsafe"

	"golang.org/x/sys/windows"

	"github.com/isolrun/isol/internal/fault"
)

const jobObjectSetAttributes = 0x0002 // of winnt.h

// setGroups pins the named job to the processors of the list.
// https://learn.microsoft.com/windows/win32/api/jobapi2/nf-jobapi2-setinformationjobobject
func setGroups(name string, list []GroupAffinity) error {
	job, err := open(name)
	if err != nil {
		return err
	}
	_, err = windows.SetInformationJobObject(job, windows.JobObjectGroupInformationEx,
		uintptr(unsafe.Pointer(&list[0])), uint32(len(list))*uint32(unsafe.Sizeof(list[0])))
	if errors.Is(err, windows.ERROR_INVALID_PARAMETER) {
		err = &fault.Error{Kind: fault.InvalidArgument, Detail: fmt.Sprintf("this machine does not have the processors %+v", list),
			Hint: "windows.resources.cpu.affinity names processors by bit and group", Err: err}
	}
	return errors.Join(err, windows.CloseHandle(job))
}

// open opens a job by its name in the kernel's namespace, where the Win32
// function does not look.
func open(name string) (windows.Handle, error) {
	text, err := windows.NewNTUnicodeString(name)
	if err != nil {
		return 0, err
	}
	attributes := windows.OBJECT_ATTRIBUTES{ObjectName: text}
	attributes.Length = uint32(unsafe.Sizeof(attributes))
	var job windows.Handle
	if err := ntOpenJobObject(&job, jobObjectSetAttributes, &attributes); err != nil {
		kind := fault.Internal
		switch {
		case errors.Is(err, windows.STATUS_OBJECT_NAME_NOT_FOUND):
			kind = fault.NotFound
		case errors.Is(err, windows.STATUS_ACCESS_DENIED):
			kind = fault.PermissionDenied
		}
		return 0, &fault.Error{Kind: kind, Op: "open job object", Subject: name, Err: err}
	}
	return job, nil
}
