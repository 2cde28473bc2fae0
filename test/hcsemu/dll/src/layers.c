// The layer store and what else vmcompute.dll has beside HCS. The functions
// have no public documentation; their signatures are those that hcsshim calls
// (internal/wclayer/wclayer.go, internal/hns/hns.go).
#include "transport.h"
#include <string.h>

struct driver_info {
    INT32 flavour;
    PCWSTR home;
};

struct layer_descriptor {
    GUID id;
    DWORD flags;
    PCWSTR path;
};

static void layer_begin(struct request *r, PCWSTR function, const struct driver_info *info, PCWSTR id)
{
    request_begin(r, function);
    request_string(r, info ? info->home : NULL);
    request_string(r, id);
}

static void add_descriptors(struct request *r, const struct layer_descriptor *descriptors, DWORD count)
{
    request_number(r, count);
    for (DWORD i = 0; i < count; i++) {
        request_blob(r, &descriptors[i].id, sizeof descriptors[i].id);
        request_number(r, descriptors[i].flags);
        request_string(r, descriptors[i].path);
    }
}

static HRESULT layer_call(PCWSTR function, const struct driver_info *info, PCWSTR id)
{
    struct request r;
    layer_begin(&r, function, info, id);
    return call_plain(&r, NULL);
}

HRESULT WINAPI ActivateLayer(const struct driver_info *info, PCWSTR id)
{
    return layer_call(L"ActivateLayer", info, id);
}

HRESULT WINAPI DeactivateLayer(const struct driver_info *info, PCWSTR id)
{
    return layer_call(L"DeactivateLayer", info, id);
}

HRESULT WINAPI UnprepareLayer(const struct driver_info *info, PCWSTR id)
{
    return layer_call(L"UnprepareLayer", info, id);
}

HRESULT WINAPI DestroyLayer(const struct driver_info *info, PCWSTR id)
{
    return layer_call(L"DestroyLayer", info, id);
}

HRESULT WINAPI PrepareLayer(const struct driver_info *info, PCWSTR id, const struct layer_descriptor *descriptors,
                            DWORD count)
{
    struct request r;
    layer_begin(&r, L"PrepareLayer", info, id);
    add_descriptors(&r, descriptors, count);
    return call_plain(&r, NULL);
}

HRESULT WINAPI CreateSandboxLayer(const struct driver_info *info, PCWSTR id, ULONG_PTR parent,
                                  const struct layer_descriptor *descriptors, DWORD count)
{
    (void)parent; // hcsshim always passes 0
    struct request r;
    layer_begin(&r, L"CreateSandboxLayer", info, id);
    add_descriptors(&r, descriptors, count);
    return call_plain(&r, NULL);
}

HRESULT WINAPI CreateLayer(const struct driver_info *info, PCWSTR id, PCWSTR parent)
{
    struct request r;
    layer_begin(&r, L"CreateLayer", info, id);
    request_string(&r, parent);
    return call_plain(&r, NULL);
}

static HRESULT copy_call(PCWSTR function, const struct driver_info *info, PCWSTR id, PCWSTR path,
                         const struct layer_descriptor *descriptors, DWORD count)
{
    struct request r;
    layer_begin(&r, function, info, id);
    request_string(&r, path);
    add_descriptors(&r, descriptors, count);
    return call_plain(&r, NULL);
}

HRESULT WINAPI CopyLayer(const struct driver_info *info, PCWSTR source, PCWSTR target,
                         const struct layer_descriptor *descriptors, DWORD count)
{
    return copy_call(L"CopyLayer", info, source, target, descriptors, count);
}

HRESULT WINAPI ImportLayer(const struct driver_info *info, PCWSTR id, PCWSTR path,
                           const struct layer_descriptor *descriptors, DWORD count)
{
    return copy_call(L"ImportLayer", info, id, path, descriptors, count);
}

HRESULT WINAPI ExportLayer(const struct driver_info *info, PCWSTR id, PCWSTR path,
                           const struct layer_descriptor *descriptors, DWORD count)
{
    return copy_call(L"ExportLayer", info, id, path, descriptors, count);
}

HRESULT WINAPI ExpandSandboxSize(const struct driver_info *info, PCWSTR id, UINT64 size)
{
    struct request r;
    layer_begin(&r, L"ExpandSandboxSize", info, id);
    request_number(&r, size);
    return call_plain(&r, NULL);
}

// Called twice by hcsshim: without buffer for the length, then with one. The
// length counts the terminator.
HRESULT WINAPI GetLayerMountPath(const struct driver_info *info, PCWSTR id, SIZE_T *length, PWSTR buffer)
{
    if (!length)
        return E_INVALIDARG;
    struct request r;
    layer_begin(&r, L"GetLayerMountPath", info, id);
    PWSTR path;
    HRESULT hr = call_plain(&r, &path);
    if (SUCCEEDED(hr)) {
        SIZE_T needed = path ? wcslen(path) + 1 : 1;
        if (buffer && *length < needed)
            hr = HRESULT_FROM_WIN32(ERROR_INSUFFICIENT_BUFFER);
        else if (buffer)
            memcpy(buffer, path ? path : L"", needed * sizeof(WCHAR));
        *length = needed;
    }
    task_free(path);
    return hr;
}

HRESULT WINAPI LayerExists(const struct driver_info *info, PCWSTR id, DWORD *exists)
{
    struct request r;
    layer_begin(&r, L"LayerExists", info, id);
    struct reply reply;
    HRESULT hr = call_wait(&r, &reply);
    task_free(reply_string(&reply));
    if (exists)
        *exists = (DWORD)reply_number(&reply);
    reply_free(&reply);
    return hr;
}

HRESULT WINAPI NameToGuid(PCWSTR name, GUID *guid)
{
    struct request r;
    request_begin(&r, L"NameToGuid");
    request_string(&r, name);
    struct reply reply;
    HRESULT hr = call_wait(&r, &reply);
    task_free(reply_string(&reply));
    if (SUCCEEDED(hr) && reply_blob(&reply, guid, sizeof *guid) != sizeof *guid)
        hr = E_UNEXPECTED;
    reply_free(&reply);
    return hr;
}

static HRESULT path_call(PCWSTR function, PCWSTR path)
{
    struct request r;
    request_begin(&r, function);
    request_string(&r, path);
    return call_plain(&r, NULL);
}

HRESULT WINAPI ProcessBaseImage(PCWSTR path)
{
    return path_call(L"ProcessBaseImage", path);
}

HRESULT WINAPI ProcessUtilityImage(PCWSTR path)
{
    return path_call(L"ProcessUtilityImage", path);
}

HRESULT WINAPI GetBaseImages(PWSTR *images)
{
    struct request r;
    request_begin(&r, L"GetBaseImages");
    return call_plain(&r, images);
}

HRESULT WINAPI GrantVmAccess(PCWSTR vm, PCWSTR path)
{
    struct request r;
    request_begin(&r, L"GrantVmAccess");
    request_string(&r, vm);
    request_string(&r, path);
    return call_plain(&r, NULL);
}

HRESULT WINAPI HNSCall(PCWSTR method, PCWSTR path, PCWSTR body, PWSTR *response)
{
    struct request r;
    request_begin(&r, L"HNSCall");
    request_string(&r, method);
    request_string(&r, path);
    request_string(&r, body);
    return call_plain(&r, response);
}
