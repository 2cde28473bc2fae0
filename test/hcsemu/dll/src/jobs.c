// Job objects that are pinned to processors. Windows applies the limit to every
// process that a job has or gets; Wine 8.0 answers STATUS_NOT_IMPLEMENTED. Here
// the job's processes are pinned one by one, and the mask is left in the
// registry, where the emulator finds it for the processes that it starts in the
// job later.
// Source: https://learn.microsoft.com/windows/win32/api/jobapi2/nf-jobapi2-setinformationjobobject
#include "compatibility.h"
#include "export_table.h"
#include <winternl.h>

static const WCHAR masks[] = L"\\Registry\\Machine\\Software\\hcsemu\\affinity";

typedef BOOL(WINAPI *set_information_function)(HANDLE, JOBOBJECTINFOCLASS, void *, DWORD);
typedef NTSTATUS(NTAPI *create_key_function)(ULONG, const WCHAR *);
typedef NTSTATUS(NTAPI *write_value_function)(ULONG, const WCHAR *, const WCHAR *, ULONG, const void *, ULONG);

static set_information_function set_original;

// remember leaves the mask under the job's name. Functions are looked up when
// they are needed: this DLL is in every Go program and links to nothing more.
static BOOL remember(HANDLE job, ULONGLONG mask)
{
    struct {
        UNICODE_STRING name;
        WCHAR text[512];
    } information = {0};
    const OBJECT_INFORMATION_CLASS name_information = 1; // ObjectNameInformation
    HMODULE ntdll = GetModuleHandleW(L"ntdll.dll");
    create_key_function create_key = (create_key_function)(void *)GetProcAddress(ntdll, "RtlCreateRegistryKey");
    write_value_function write_value = (write_value_function)(void *)GetProcAddress(ntdll, "RtlWriteRegistryValue");
    ULONG size = 0;
    if (NtQueryObject(job, name_information, &information, sizeof information - sizeof(WCHAR), &size) != 0 ||
        !information.name.Buffer || !create_key || !write_value)
        return FALSE;
    information.name.Buffer[information.name.Length / sizeof(WCHAR)] = 0;
    create_key(0, L"\\Registry\\Machine\\Software\\hcsemu");
    create_key(0, masks);
    return write_value(0, masks, information.name.Buffer, REG_QWORD, &mask, sizeof mask) == 0;
}

// pin moves the processes that the job has.
static void pin(HANDLE job, DWORD_PTR mask)
{
    struct {
        DWORD assigned, listed;
        ULONG_PTR ids[256];
    } list = {0};
    if (!QueryInformationJobObject(job, JobObjectBasicProcessIdList, &list, sizeof list, NULL))
        return;
    for (DWORD i = 0; i < list.listed; i++) {
        HANDLE process = OpenProcess(PROCESS_SET_INFORMATION, FALSE, (DWORD)list.ids[i]);
        if (process) {
            SetProcessAffinityMask(process, mask);
            CloseHandle(process);
        }
    }
}

static BOOL WINAPI set_information(HANDLE job, JOBOBJECTINFOCLASS class, void *data, DWORD size)
{
    const JOBOBJECTINFOCLASS group_information_ex = 14; // JobObjectGroupInformationEx
    if (class != group_information_ex)
        return set_original(job, class, data, size);
    const GROUP_AFFINITY *groups = data;
    DWORD_PTR mine, machine;
    if (size != sizeof *groups || !GetProcessAffinityMask(GetCurrentProcess(), &mine, &machine) || groups->Group != 0 ||
        !groups->Mask || (groups->Mask & ~machine)) {
        SetLastError(ERROR_INVALID_PARAMETER); // Wine's machine has one group
        return FALSE;
    }
    if (!remember(job, groups->Mask)) {
        SetLastError(ERROR_ACCESS_DENIED);
        return FALSE;
    }
    pin(job, groups->Mask);
    return TRUE;
}

void mend_jobs(void)
{
    set_original = (set_information_function)replace_export(GetModuleHandleW(L"kernel32.dll"), "SetInformationJobObject",
                                                            (void *)set_information);
}
