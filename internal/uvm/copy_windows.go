package uvm

import (
	"unsafe"

	"golang.org/x/sys/windows"
)

var procCopyFileW = windows.NewLazySystemDLL("kernel32.dll").NewProc("CopyFileW")

// copyFile copies with CopyFileW, which clones blocks where the volume can and
// keeps sparse regions: a system template is tens of megabytes and mostly
// empty. It fails if the target exists.
// https://learn.microsoft.com/windows/win32/api/winbase/nf-winbase-copyfilew
func copyFile(from, to string) error {
	f, err := windows.UTF16PtrFromString(from)
	if err != nil {
		return err
	}
	t, err := windows.UTF16PtrFromString(to)
	if err != nil {
		return err
	}
	const failIfExists = 1
	ok, _, err := procCopyFileW.Call(uintptr(unsafe.Pointer(f)), uintptr(unsafe.Pointer(t)), failIfExists)
	if ok == 0 {
		return err
	}
	return nil
}
