package job

// A function whose return value is the code of its failure has the generator's
// "status error"; the others say it with GetLastError.

// https://learn.microsoft.com/windows/win32/api/winbase/nf-winbase-logonuserw
//sys logonUser(name *uint16, domain *uint16, password *uint16, kind uint32, provider uint32, token *windows.Token) (err error) = advapi32.LogonUserW

// https://learn.microsoft.com/windows/win32/api/lmaccess/nf-lmaccess-netlocalgroupgetinfo
//sys netLocalGroupGetInfo(server *uint16, group *uint16, level uint32, info **byte) (status error) = netapi32.NetLocalGroupGetInfo

// https://learn.microsoft.com/windows/win32/api/lmaccess/nf-lmaccess-netuseradd
//sys netUserAdd(server *uint16, level uint32, info *userInfo1, wrong *uint32) (status error) = netapi32.NetUserAdd

// https://learn.microsoft.com/windows/win32/api/lmaccess/nf-lmaccess-netuserdel
//sys netUserDel(server *uint16, name *uint16) (status error) = netapi32.NetUserDel

// https://learn.microsoft.com/windows/win32/api/lmaccess/nf-lmaccess-netlocalgroupaddmembers
//sys netLocalGroupAddMembers(server *uint16, group *uint16, level uint32, members *groupMember3, count uint32) (status error) = netapi32.NetLocalGroupAddMembers

// https://learn.microsoft.com/windows/win32/api/winbase/nf-winbase-openjobobjectw
//sys openJobObject(access uint32, inherit bool, name *uint16) (job windows.Handle, err error) = kernel32.OpenJobObjectW

// https://learn.microsoft.com/windows/win32/api/jobapi/nf-jobapi-isprocessinjob
//sys isProcessInJob(process windows.Handle, job windows.Handle, result *int32) (err error) = kernel32.IsProcessInJob

// https://learn.microsoft.com/windows/win32/api/processthreadsapi/nf-processthreadsapi-createremotethread
//sys createRemoteThread(process windows.Handle, attributes *windows.SecurityAttributes, stack uintptr, start uintptr, parameter uintptr, flags uint32, id *uint32) (thread windows.Handle, err error) = kernel32.CreateRemoteThread

// https://learn.microsoft.com/windows/win32/api/winbase/nf-winbase-registerwaitforsingleobject
//sys registerWaitForSingleObject(wait *windows.Handle, object windows.Handle, callback uintptr, context uintptr, milliseconds uint32, flags uint32) (err error) = kernel32.RegisterWaitForSingleObject

// https://learn.microsoft.com/windows/win32/api/threadpoollegacyapiset/nf-threadpoollegacyapiset-unregisterwaitex
//sys unregisterWaitEx(wait windows.Handle, completion windows.Handle) (err error) = kernel32.UnregisterWaitEx

// https://learn.microsoft.com/windows/win32/api/psapi/nf-psapi-getprocessmemoryinfo
//sys getProcessMemoryInfo(process windows.Handle, counters *memoryCounters, size uint32) (err error) = kernel32.K32GetProcessMemoryInfo

// https://learn.microsoft.com/windows/win32/api/winbase/nf-winbase-getprocessiocounters
//sys getProcessIoCounters(process windows.Handle, counters *windows.IO_COUNTERS) (err error) = kernel32.GetProcessIoCounters

// The bind filter has no public page; the signature is the one that go-winio
// (pkg/bindfilter) and hcsshim call.
//sys bfSetupFilter(job windows.Handle, flags uint32, root *uint16, target *uint16, exceptions **uint16, count uint32) (hr error) = bindfltapi.BfSetupFilter?
