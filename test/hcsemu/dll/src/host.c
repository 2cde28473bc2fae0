// Functions of the host that Wine 8.0 has as stubs which say that all went well
// (accounts, volumes on folders, links), or not at all (limits of job objects).
// What HostProcess containers need of them goes to the emulator, through
// bindfltapi.dll, which is loaded by the first such call.
#include "compatibility.h"
#include "export_table.h"
#include <winternl.h>

typedef HRESULT(WINAPI *call_function)(PCWSTR function, DWORD count, const PCWSTR *texts, UINT64 number);
typedef HRESULT(WINAPI *job_function)(HANDLE job, DWORD class, const void *settings, DWORD size);

static FARPROC front(const char *name)
{
    HMODULE module = LoadLibraryW(L"bindfltapi.dll");
    return module ? GetProcAddress(module, name) : NULL;
}

static HRESULT call(PCWSTR function, DWORD count, const PCWSTR *texts, UINT64 number)
{
    call_function f = (call_function)(void *)front("HcsemuCall");
    return f ? f(function, count, texts, number) : E_NOTIMPL;
}

// said gives an HRESULT as BOOL functions do.
static BOOL said(HRESULT hr)
{
    if (SUCCEEDED(hr))
        return TRUE;
    SetLastError((DWORD)hr & 0xFFFF);
    return FALSE;
}

// ---- volumes on folders, and links below them

static WCHAR mounted[MAX_PATH]; // the folder that this process has mounted last

// Source: https://learn.microsoft.com/windows/win32/api/winbase/nf-winbase-setvolumemountpointw
static BOOL WINAPI set_volume_mount_point(PCWSTR folder, PCWSTR volume)
{
    const PCWSTR texts[] = {folder, volume};
    BOOL ok = said(call(L"SetVolumeMountPointW", 2, texts, 0));
    if (ok)
        lstrcpynW(mounted, folder, MAX_PATH);
    return ok;
}

// Source: https://learn.microsoft.com/windows/win32/api/fileapi/nf-fileapi-deletevolumemountpointw
static BOOL WINAPI delete_volume_mount_point(PCWSTR folder)
{
    return said(call(L"DeleteVolumeMountPointW", 1, &folder, 0));
}

typedef BOOLEAN(WINAPI *link_function)(PCWSTR, PCWSTR, DWORD);
static link_function link_original;

// Links elsewhere stay what they are in Wine: containerd makes one per task.
// Source: https://learn.microsoft.com/windows/win32/api/winbase/nf-winbase-createsymboliclinkw
static BOOLEAN WINAPI create_symbolic_link(PCWSTR link, PCWSTR target, DWORD flags)
{
    int length = lstrlenW(mounted);
    if (!length || CompareStringOrdinal(link, min(length, lstrlenW(link)), mounted, length, TRUE) != CSTR_EQUAL)
        return link_original(link, target, flags);
    const PCWSTR texts[] = {link, target};
    return (BOOLEAN)said(call(L"CreateSymbolicLinkW", 2, texts, 0));
}

// ---- limits of job objects

typedef BOOL(WINAPI *set_job_function)(HANDLE, JOBOBJECTINFOCLASS, void *, DWORD);
static set_job_function set_job_original;

// Wine keeps what it knows (classes 2 to 9); of the rest the emulator takes
// processor rates (15), affinity (14) and the counting of storage (42). A silo
// (35) is refused by Wine, as a Windows refuses that has none.
// Source: https://learn.microsoft.com/windows/win32/api/jobapi2/nf-jobapi2-setinformationjobobject
static BOOL WINAPI set_information_job_object(HANDLE job, JOBOBJECTINFOCLASS class, void *settings, DWORD size)
{
    BOOL ours = class == 14 || class == 15 || class == 42;
    if (ours || class == JobObjectExtendedLimitInformation) {
        job_function f = (job_function)(void *)front("HcsemuSetJob");
        HRESULT hr = f ? f(job, class, settings, size) : S_FALSE;
        if (ours && hr != S_FALSE) // S_FALSE: not a HostProcess container's
            return said(hr);
    }
    return set_job_original(job, class, settings, size);
}

// ---- accounts

// The token of whoever may log on is this process's own: under Wine there is
// one user. Source: https://learn.microsoft.com/windows/win32/api/winbase/nf-winbase-logonuserw
static BOOL WINAPI logon_user(PCWSTR name, PCWSTR domain, PCWSTR password, DWORD type, DWORD provider, HANDLE *token)
{
    (void)provider;
    const PCWSTR texts[] = {domain, name, password};
    if (!said(call(L"LogonUserW", 3, texts, type)))
        return FALSE;
    return OpenProcessToken(GetCurrentProcess(), TOKEN_ALL_ACCESS, token);
}

// Functions of netapi32.dll return their code.
static DWORD code_of(HRESULT hr)
{
    return SUCCEEDED(hr) ? 0 : (DWORD)hr & 0xFFFF;
}

typedef DWORD(WINAPI *allocate_function)(DWORD, void **);

static DWORD WINAPI local_group_get_info(PCWSTR server, PCWSTR group, DWORD level, void **info)
{
    (void)server;
    (void)level;
    DWORD code = code_of(call(L"NetLocalGroupGetInfo", 1, &group, 0));
    if (code)
        return code;
    // LOCALGROUP_INFO_0 and _1 begin with the name; nobody reads it here.
    allocate_function allocate =
        (allocate_function)(void *)GetProcAddress(GetModuleHandleW(L"netapi32.dll"), "NetApiBufferAllocate");
    return allocate ? allocate(2 * sizeof(PWSTR), info) : ERROR_CALL_NOT_IMPLEMENTED;
}

// user_info_1 begins as USER_INFO_1 does.
struct user_info_1 {
    PCWSTR name, password;
};

static DWORD WINAPI user_add(PCWSTR server, DWORD level, const struct user_info_1 *info, DWORD *wrong)
{
    (void)server;
    if (level != 1)
        return ERROR_INVALID_LEVEL;
    if (wrong)
        *wrong = 0;
    const PCWSTR texts[] = {info->name, info->password};
    return code_of(call(L"NetUserAdd", 2, texts, 0));
}

static DWORD WINAPI user_del(PCWSTR server, PCWSTR name)
{
    (void)server;
    return code_of(call(L"NetUserDel", 1, &name, 0));
}

// Members come by name (level 3) only, as MACHINE\name.
static DWORD WINAPI local_group_add_members(PCWSTR server, PCWSTR group, DWORD level, const PCWSTR *members, DWORD count)
{
    (void)server;
    if (level != 3)
        return ERROR_INVALID_LEVEL;
    for (DWORD i = 0; i < count; i++) {
        PCWSTR name = members[i];
        for (PCWSTR c = name; *c; c++)
            if (*c == L'\\')
                name = c + 1;
        const PCWSTR texts[] = {group, name};
        DWORD code = code_of(call(L"NetLocalGroupAddMembers", 2, texts, 0));
        if (code)
            return code;
    }
    return 0;
}

static void mend_netapi32(HMODULE module)
{
    replace_export(module, "NetLocalGroupGetInfo", (void *)local_group_get_info);
    replace_export(module, "NetUserAdd", (void *)user_add);
    replace_export(module, "NetUserDel", (void *)user_del);
    replace_export(module, "NetLocalGroupAddMembers", (void *)local_group_add_members);
}

// ---- netapi32.dll is not loaded yet when a program starts

// Source: https://learn.microsoft.com/windows/win32/devnotes/ldrdllnotification
struct loaded_data {
    ULONG flags;
    const UNICODE_STRING *path, *name;
    void *base;
    ULONG size;
};

typedef void(CALLBACK *notification)(ULONG reason, const struct loaded_data *data, void *context);
typedef NTSTATUS(NTAPI *register_function)(ULONG flags, notification callback, void *context, void **cookie);

static void CALLBACK loaded(ULONG reason, const struct loaded_data *data, void *context)
{
    const ULONG is_loaded = 1; // LDR_DLL_NOTIFICATION_REASON_LOADED
    static const WCHAR name[] = L"netapi32.dll";
    const int length = sizeof name / sizeof *name - 1;
    (void)context;
    if (reason == is_loaded && CompareStringOrdinal(data->name->Buffer, data->name->Length / sizeof(WCHAR), name, length,
                                                    TRUE) == CSTR_EQUAL)
        mend_netapi32(data->base);
}

void mend_host(void)
{
    HMODULE kernel32 = GetModuleHandleW(L"kernel32.dll"), advapi32 = GetModuleHandleW(L"advapi32.dll");
    replace_export(kernel32, "SetVolumeMountPointW", (void *)set_volume_mount_point);
    replace_export(kernel32, "DeleteVolumeMountPointW", (void *)delete_volume_mount_point);
    link_original = (link_function)replace_export(kernel32, "CreateSymbolicLinkW", (void *)create_symbolic_link);
    set_job_original =
        (set_job_function)replace_export(kernel32, "SetInformationJobObject", (void *)set_information_job_object);
    replace_export(advapi32, "LogonUserW", (void *)logon_user);
    register_function notify =
        (register_function)(void *)GetProcAddress(GetModuleHandleW(L"ntdll.dll"), "LdrRegisterDllNotification");
    void *cookie;
    if (notify)
        notify(0, loaded, NULL, &cookie);
}
