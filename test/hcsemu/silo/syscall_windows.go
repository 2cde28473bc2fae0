package silo

//go:generate go run golang.org/x/sys/windows/mkwinsyscall -output zsyscall_windows.go syscall_windows.go

// https://learn.microsoft.com/windows/win32/api/namedpipeapi/nf-namedpipeapi-peeknamedpipe
//sys	peekNamedPipe(pipe windows.Handle, buffer *byte, size uint32, read *uint32, available *uint32, left *uint32) (err error) = kernel32.PeekNamedPipe

// https://learn.microsoft.com/windows/win32/api/psapi/nf-psapi-getprocessmemoryinfo
//sys	getProcessMemoryInfo(process windows.Handle, counters *memoryCounters, size uint32) (err error) = kernel32.K32GetProcessMemoryInfo

// https://learn.microsoft.com/windows/win32/api/winbase/nf-winbase-getprocessiocounters
//sys	getProcessIoCounters(process windows.Handle, counters *windows.IO_COUNTERS) (err error) = kernel32.GetProcessIoCounters

// https://learn.microsoft.com/windows-hardware/drivers/ddi/ntifs/nf-ntifs-ntcreatejobobject
//sys	ntCreateJobObject(job *windows.Handle, access uint32, attributes *windows.OBJECT_ATTRIBUTES) (status error) = ntdll.NtCreateJobObject

// https://learn.microsoft.com/windows/win32/api/processthreadsapi/nf-processthreadsapi-createremotethread
//sys	createRemoteThread(process windows.Handle, attributes *windows.SecurityAttributes, stack uintptr, start uintptr, parameter uintptr, flags uint32, id *uint32) (thread windows.Handle, err error) = kernel32.CreateRemoteThread
// https://learn.microsoft.com/windows/win32/api/winbase/nf-winbase-setprocessaffinitymask
//sys	setProcessAffinityMask(process windows.Handle, mask uintptr) (err error) = kernel32.SetProcessAffinityMask
