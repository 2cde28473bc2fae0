// bindfltapi.dll: the bind filter. It has no public documentation; the
// signatures are those that go-winio calls (pkg/bindfilter/bind_filter.go).
#include "transport.h"
#include <winternl.h>

const WCHAR front_name[] = L"bindfltapi.dll";

// add_job adds the name of a job object; null for the whole machine.
static void add_job(struct request *r, HANDLE job)
{
    struct {
        UNICODE_STRING name;
        WCHAR text[512];
    } information = {0};
    ULONG size = 0;
    const OBJECT_INFORMATION_CLASS name_information = 1; // ObjectNameInformation
    if (!job) {
        request_string(r, NULL);
        return;
    }
    if (NtQueryObject(job, name_information, &information, sizeof information - sizeof(WCHAR), &size) != 0 ||
        !information.name.Buffer) {
        r->failed = E_HANDLE;
        return;
    }
    information.name.Buffer[information.name.Length / sizeof(WCHAR)] = 0;
    request_string(r, information.name.Buffer);
}

HRESULT WINAPI BfSetupFilter(HANDLE job, DWORD flags, PCWSTR root, PCWSTR target, const PCWSTR *exceptions, DWORD count)
{
    struct request r;
    request_begin(&r, L"BfSetupFilter");
    add_job(&r, job);
    request_number(&r, flags);
    request_string(&r, root);
    request_string(&r, target);
    for (DWORD i = 0; exceptions && i < count; i++)
        request_string(&r, exceptions[i]);
    return call_plain(&r, NULL);
}

HRESULT WINAPI BfRemoveMapping(HANDLE job, PCWSTR root)
{
    struct request r;
    request_begin(&r, L"BfRemoveMapping");
    add_job(&r, job);
    request_string(&r, root);
    return call_plain(&r, NULL);
}

HRESULT WINAPI BfGetMappings(DWORD flags, HANDLE job, PCWSTR root, void *sid, DWORD *size, void *buffer)
{
    (void)sid;
    if (!size || !buffer)
        return E_INVALIDARG;
    struct request r;
    request_begin(&r, L"BfGetMappings");
    add_job(&r, job);
    request_number(&r, flags);
    request_string(&r, root);
    struct reply reply;
    HRESULT hr = call_wait(&r, &reply);
    PWSTR document = reply_string(&reply);
    if (SUCCEEDED(hr)) {
        DWORD needed = reply_blob(&reply, buffer, *size);
        if (needed > *size)
            hr = HRESULT_FROM_WIN32(ERROR_MORE_DATA);
        *size = needed;
    }
    task_free(document);
    reply_free(&reply);
    return hr;
}

// ---- for the functions that host.c replaces

// HcsemuCall asks the emulator for a function by its name.
HRESULT WINAPI HcsemuCall(PCWSTR function, DWORD count, const PCWSTR *texts, UINT64 number)
{
    struct request r;
    request_begin(&r, function);
    for (DWORD i = 0; i < count; i++)
        request_string(&r, texts[i]);
    request_number(&r, number);
    return call_plain(&r, NULL);
}

// HcsemuSetJob tells the emulator of a limit of a job object, whose name decides
// whether it is a HostProcess container's: S_FALSE if it is not.
HRESULT WINAPI HcsemuSetJob(HANDLE job, DWORD class, const void *settings, DWORD size)
{
    struct {
        UNICODE_STRING name;
        WCHAR text[512];
    } information = {0};
    ULONG length = 0;
    const OBJECT_INFORMATION_CLASS name_information = 1; // ObjectNameInformation
    if (NtQueryObject(job, name_information, &information, sizeof information - sizeof(WCHAR), &length) != 0 ||
        !information.name.Buffer)
        return S_FALSE;
    information.name.Buffer[information.name.Length / sizeof(WCHAR)] = 0;
    PCWSTR name = information.name.Buffer;
    for (PCWSTR c = name; *c; c++)
        if (*c == L'\\')
            name = c + 1;
    static const WCHAR prefix[] = L"JobContainer_";
    for (int i = 0; prefix[i]; i++)
        if (name[i] != prefix[i])
            return S_FALSE;
    struct request r;
    request_begin(&r, L"SetInformationJobObject");
    request_string(&r, name);
    request_number(&r, class);
    request_blob(&r, settings, size);
    return call_plain(&r, NULL);
}
