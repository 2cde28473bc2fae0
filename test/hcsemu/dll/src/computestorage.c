// computestorage.dll. Each function is documented at
// https://learn.microsoft.com/virtualization/api/hcs/reference/<Name>
//
// A disk is handed over as an open handle; the service gets its path.
#include "transport.h"
#include <stdlib.h>

const WCHAR front_name[] = L"computestorage.dll";

// call_texts sends up to four strings; the list ends with the given count.
static HRESULT call_texts(PCWSTR function, const PCWSTR *texts, int count, PWSTR *result)
{
    struct request r;
    request_begin(&r, function);
    for (int i = 0; i < count; i++)
        request_string(&r, texts[i]);
    return call_plain(&r, result);
}

#define TEXTS(function, result, ...)                                                                                   \
    call_texts(function, (const PCWSTR[]){__VA_ARGS__}, sizeof((const PCWSTR[]){__VA_ARGS__}) / sizeof(PCWSTR), result)

// disk_path returns the path of an open disk, to be freed; NULL if it has none.
static PWSTR disk_path(HANDLE disk)
{
    const DWORD capacity = 32768;
    PWSTR path = malloc(capacity * sizeof(WCHAR));
    DWORD length = path ? GetFinalPathNameByHandleW(disk, path, capacity, FILE_NAME_NORMALIZED | VOLUME_NAME_DOS) : 0;
    if (length == 0 || length >= capacity) {
        free(path);
        return NULL;
    }
    return path;
}

HRESULT WINAPI HcsImportLayer(PCWSTR layer, PCWSTR source, PCWSTR data)
{
    return TEXTS(L"HcsImportLayer", NULL, layer, source, data);
}

HRESULT WINAPI HcsExportLayer(PCWSTR layer, PCWSTR target, PCWSTR data, PCWSTR options)
{
    return TEXTS(L"HcsExportLayer", NULL, layer, target, data, options);
}

HRESULT WINAPI HcsDestroyLayer(PCWSTR layer)
{
    return TEXTS(L"HcsDestroyLayer", NULL, layer);
}

HRESULT WINAPI HcsSetupBaseOSLayer(PCWSTR layer, HANDLE disk, PCWSTR options)
{
    PWSTR path = disk ? disk_path(disk) : NULL;
    HRESULT hr = disk && !path ? E_HANDLE : TEXTS(L"HcsSetupBaseOSLayer", NULL, layer, path, options);
    free(path);
    return hr;
}

HRESULT WINAPI HcsSetupBaseOSVolume(PCWSTR layer, PCWSTR volume, PCWSTR options)
{
    return TEXTS(L"HcsSetupBaseOSVolume", NULL, layer, volume, options);
}

HRESULT WINAPI HcsInitializeWritableLayer(PCWSTR layer, PCWSTR data, PCWSTR options)
{
    return TEXTS(L"HcsInitializeWritableLayer", NULL, layer, data, options);
}

HRESULT WINAPI HcsAttachLayerStorageFilter(PCWSTR layer, PCWSTR data)
{
    return TEXTS(L"HcsAttachLayerStorageFilter", NULL, layer, data);
}

HRESULT WINAPI HcsDetachLayerStorageFilter(PCWSTR layer)
{
    return TEXTS(L"HcsDetachLayerStorageFilter", NULL, layer);
}

HRESULT WINAPI HcsAttachOverlayFilter(PCWSTR volume, PCWSTR data)
{
    return TEXTS(L"HcsAttachOverlayFilter", NULL, volume, data);
}

HRESULT WINAPI HcsDetachOverlayFilter(PCWSTR volume, PCWSTR data)
{
    return TEXTS(L"HcsDetachOverlayFilter", NULL, volume, data);
}

HRESULT WINAPI HcsFormatWritableLayerVhd(HANDLE disk)
{
    PWSTR path = disk_path(disk);
    HRESULT hr = path ? TEXTS(L"HcsFormatWritableLayerVhd", NULL, path) : E_HANDLE;
    free(path);
    return hr;
}

HRESULT WINAPI HcsGetLayerVhdMountPath(HANDLE disk, PWSTR *mount_path)
{
    PWSTR path = disk_path(disk);
    HRESULT hr = path ? TEXTS(L"HcsGetLayerVhdMountPath", mount_path, path) : E_HANDLE;
    free(path);
    return hr;
}
