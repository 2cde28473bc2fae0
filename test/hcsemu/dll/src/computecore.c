// computecore.dll: the Host Compute Service's documented interface. Each
// function is documented at
// https://learn.microsoft.com/virtualization/api/hcs/reference/<Name>
//
// Operations are in operation.c. Handles are numbers (transport.h); a call that
// makes one returns it at once, and the service knows it from the order of the
// calls.
#include "operation.h"
#include <stdlib.h>

const WCHAR front_name[] = L"computecore.dll";

typedef HANDLE_VALUE HCS_SYSTEM;
typedef HANDLE_VALUE HCS_PROCESS;

// HCS_EVENT. Source: https://learn.microsoft.com/virtualization/api/hcs/reference/hcs_event
struct hcs_event {
    DWORD type;
    PCWSTR data;
    HCS_OPERATION operation;
};
typedef void(CALLBACK *HCS_EVENT_CALLBACK)(struct hcs_event *event, void *context);

// ---- calls that an operation tracks

static HRESULT system_call(PCWSTR name, HCS_SYSTEM system, HCS_OPERATION operation, enum operation_type type,
                           PCWSTR document)
{
    struct request r;
    request_begin(&r, name);
    request_handle(&r, system);
    request_string(&r, document);
    return operation_start(operation, &r, type, system, 0);
}

static HRESULT process_call(PCWSTR name, HCS_PROCESS process, HCS_OPERATION operation, enum operation_type type,
                            PCWSTR document)
{
    struct request r;
    request_begin(&r, name);
    request_handle(&r, process);
    request_string(&r, document);
    return operation_start(operation, &r, type, 0, process);
}

HRESULT WINAPI HcsEnumerateComputeSystems(PCWSTR query, HCS_OPERATION operation)
{
    struct request r;
    request_begin(&r, L"HcsEnumerateComputeSystems");
    request_string(&r, query);
    return operation_start(operation, &r, OPERATION_ENUMERATE, 0, 0);
}

HRESULT WINAPI HcsEnumerateComputeSystemsInNamespace(PCWSTR name_space, PCWSTR query, HCS_OPERATION operation)
{
    return name_space && *name_space ? E_NOTIMPL : HcsEnumerateComputeSystems(query, operation);
}

HRESULT WINAPI HcsCreateComputeSystem(PCWSTR id, PCWSTR configuration, HCS_OPERATION operation,
                                      const SECURITY_DESCRIPTOR *descriptor, HCS_SYSTEM *system)
{
    (void)descriptor; // one user in the lab
    if (!id || !configuration || !system)
        return E_INVALIDARG;
    struct request r;
    request_begin(&r, L"HcsCreateComputeSystem");
    *system = request_new_handle(&r);
    request_string(&r, id);
    request_string(&r, configuration);
    HRESULT hr = operation_start(operation, &r, OPERATION_CREATE, *system, 0);
    if (FAILED(hr))
        *system = 0;
    return hr;
}

HRESULT WINAPI HcsCreateComputeSystemInNamespace(PCWSTR name_space, PCWSTR id, PCWSTR configuration,
                                                 HCS_OPERATION operation, const void *options, HCS_SYSTEM *system)
{
    (void)options;
    if (name_space && *name_space)
        return E_NOTIMPL;
    return HcsCreateComputeSystem(id, configuration, operation, NULL, system);
}

HRESULT WINAPI HcsStartComputeSystem(HCS_SYSTEM system, HCS_OPERATION operation, PCWSTR options)
{
    return system_call(L"HcsStartComputeSystem", system, operation, OPERATION_START, options);
}

HRESULT WINAPI HcsShutDownComputeSystem(HCS_SYSTEM system, HCS_OPERATION operation, PCWSTR options)
{
    return system_call(L"HcsShutDownComputeSystem", system, operation, OPERATION_SHUTDOWN, options);
}

HRESULT WINAPI HcsTerminateComputeSystem(HCS_SYSTEM system, HCS_OPERATION operation, PCWSTR options)
{
    return system_call(L"HcsTerminateComputeSystem", system, operation, OPERATION_TERMINATE, options);
}

HRESULT WINAPI HcsCrashComputeSystem(HCS_SYSTEM system, HCS_OPERATION operation, PCWSTR options)
{
    return system_call(L"HcsCrashComputeSystem", system, operation, OPERATION_CRASH, options);
}

HRESULT WINAPI HcsPauseComputeSystem(HCS_SYSTEM system, HCS_OPERATION operation, PCWSTR options)
{
    return system_call(L"HcsPauseComputeSystem", system, operation, OPERATION_PAUSE, options);
}

HRESULT WINAPI HcsResumeComputeSystem(HCS_SYSTEM system, HCS_OPERATION operation, PCWSTR options)
{
    return system_call(L"HcsResumeComputeSystem", system, operation, OPERATION_RESUME, options);
}

HRESULT WINAPI HcsSaveComputeSystem(HCS_SYSTEM system, HCS_OPERATION operation, PCWSTR options)
{
    return system_call(L"HcsSaveComputeSystem", system, operation, OPERATION_SAVE, options);
}

HRESULT WINAPI HcsGetComputeSystemProperties(HCS_SYSTEM system, HCS_OPERATION operation, PCWSTR query)
{
    return system_call(L"HcsGetComputeSystemProperties", system, operation, OPERATION_GET_PROPERTIES, query);
}

HRESULT WINAPI HcsModifyComputeSystem(HCS_SYSTEM system, HCS_OPERATION operation, PCWSTR configuration, HANDLE identity)
{
    (void)identity;
    return system_call(L"HcsModifyComputeSystem", system, operation, OPERATION_MODIFY, configuration);
}

HRESULT WINAPI HcsCreateProcess(HCS_SYSTEM system, PCWSTR parameters, HCS_OPERATION operation,
                                const SECURITY_DESCRIPTOR *descriptor, HCS_PROCESS *process)
{
    (void)descriptor;
    if (!parameters || !process)
        return E_INVALIDARG;
    struct request r;
    request_begin(&r, L"HcsCreateProcess");
    request_handle(&r, system);
    *process = request_new_handle(&r);
    request_string(&r, parameters);
    HRESULT hr = operation_start(operation, &r, OPERATION_CREATE_PROCESS, system, *process);
    if (FAILED(hr))
        *process = 0;
    return hr;
}

HRESULT WINAPI HcsTerminateProcess(HCS_PROCESS process, HCS_OPERATION operation, PCWSTR options)
{
    return process_call(L"HcsTerminateProcess", process, operation, OPERATION_TERMINATE, options);
}

HRESULT WINAPI HcsSignalProcess(HCS_PROCESS process, HCS_OPERATION operation, PCWSTR options)
{
    return process_call(L"HcsSignalProcess", process, operation, OPERATION_SIGNAL_PROCESS, options);
}

HRESULT WINAPI HcsGetProcessInfo(HCS_PROCESS process, HCS_OPERATION operation)
{
    return process_call(L"HcsGetProcessInfo", process, operation, OPERATION_GET_PROCESS_INFO, NULL);
}

HRESULT WINAPI HcsGetProcessProperties(HCS_PROCESS process, HCS_OPERATION operation, PCWSTR query)
{
    return process_call(L"HcsGetProcessProperties", process, operation, OPERATION_GET_PROCESS_PROPERTIES, query);
}

HRESULT WINAPI HcsModifyProcess(HCS_PROCESS process, HCS_OPERATION operation, PCWSTR settings)
{
    return process_call(L"HcsModifyProcess", process, operation, OPERATION_MODIFY_PROCESS, settings);
}

// Live migration is outside what the emulator does.
#define NOT_EMULATED(name)                                                                                             \
    HRESULT WINAPI name(HCS_SYSTEM system, HCS_OPERATION operation, PCWSTR options)                                    \
    {                                                                                                                  \
        (void)system;                                                                                                  \
        (void)operation;                                                                                               \
        (void)options;                                                                                                 \
        return E_NOTIMPL;                                                                                              \
    }
NOT_EMULATED(HcsInitializeLiveMigrationOnSource)
NOT_EMULATED(HcsStartLiveMigrationOnSource)
NOT_EMULATED(HcsStartLiveMigrationTransfer)
NOT_EMULATED(HcsFinalizeLiveMigration)
NOT_EMULATED(HcsCancelLiveMigration)

// ---- handles

HRESULT WINAPI HcsOpenComputeSystem(PCWSTR id, DWORD access, HCS_SYSTEM *system)
{
    (void)access;
    if (!id || !system)
        return E_INVALIDARG;
    struct request r;
    request_begin(&r, L"HcsOpenComputeSystem");
    *system = request_new_handle(&r);
    request_string(&r, id);
    HRESULT hr = call_plain(&r, NULL);
    if (FAILED(hr))
        *system = 0;
    return hr;
}

HRESULT WINAPI HcsOpenComputeSystemInNamespace(PCWSTR name_space, PCWSTR id, DWORD access, HCS_SYSTEM *system)
{
    return name_space && *name_space ? E_NOTIMPL : HcsOpenComputeSystem(id, access, system);
}

HRESULT WINAPI HcsOpenProcess(HCS_SYSTEM system, DWORD pid, DWORD access, HCS_PROCESS *process)
{
    (void)access;
    if (!process)
        return E_INVALIDARG;
    struct request r;
    request_begin(&r, L"HcsOpenProcess");
    request_handle(&r, system);
    *process = request_new_handle(&r);
    request_number(&r, pid);
    HRESULT hr = call_plain(&r, NULL);
    if (FAILED(hr))
        *process = 0;
    return hr;
}

// ---- events

static void pass_event(void *callback, void *context, DWORD type, HRESULT status, PCWSTR data)
{
    struct hcs_event event = {.type = type, .data = data};
    (void)status;
    ((HCS_EVENT_CALLBACK)callback)(&event, context);
}

static HRESULT set_callback(PCWSTR function, HANDLE_VALUE handle, void *context, HCS_EVENT_CALLBACK callback)
{
    if (!callback) {
        unsubscribe(handle);
        return HCS_S_OK;
    }
    return subscribe(function, handle, pass_event, (void *)callback, context);
}

HRESULT WINAPI HcsSetComputeSystemCallback(HCS_SYSTEM system, DWORD options, void *context, HCS_EVENT_CALLBACK callback)
{
    (void)options; // operation callbacks and live migration events are not emulated
    return set_callback(L"HcsSetComputeSystemCallback", system, context, callback);
}

HRESULT WINAPI HcsSetProcessCallback(HCS_PROCESS process, DWORD options, void *context, HCS_EVENT_CALLBACK callback)
{
    (void)options;
    return set_callback(L"HcsSetProcessCallback", process, context, callback);
}

static void close_handle(PCWSTR function, HANDLE_VALUE handle)
{
    if (!handle)
        return;
    unsubscribe(handle);
    struct request r;
    request_begin(&r, function);
    request_handle(&r, handle);
    call_plain(&r, NULL);
}

void WINAPI HcsCloseComputeSystem(HCS_SYSTEM system)
{
    close_handle(L"HcsCloseComputeSystem", system);
}

void WINAPI HcsCloseProcess(HCS_PROCESS process)
{
    close_handle(L"HcsCloseProcess", process);
}

static HRESULT wait_for_exit(PCWSTR function, HANDLE_VALUE handle, DWORD timeout_ms, PWSTR *result)
{
    struct request r;
    request_begin(&r, function);
    request_handle(&r, handle);
    request_number(&r, timeout_ms);
    return call_plain(&r, result);
}

HRESULT WINAPI HcsWaitForComputeSystemExit(HCS_SYSTEM system, DWORD timeout_ms, PWSTR *result)
{
    return wait_for_exit(L"HcsWaitForComputeSystemExit", system, timeout_ms, result);
}

HRESULT WINAPI HcsWaitForProcessExit(HCS_PROCESS process, DWORD timeout_ms, PWSTR *result)
{
    return wait_for_exit(L"HcsWaitForProcessExit", process, timeout_ms, result);
}

// ---- the service and files

static HRESULT text_call(PCWSTR function, PCWSTR first, PCWSTR second, PWSTR *result)
{
    struct request r;
    request_begin(&r, function);
    request_string(&r, first);
    if (second)
        request_string(&r, second);
    return call_plain(&r, result);
}

HRESULT WINAPI HcsGetServiceProperties(PCWSTR query, PWSTR *result)
{
    return text_call(L"HcsGetServiceProperties", query, NULL, result);
}

HRESULT WINAPI HcsModifyServiceSettings(PCWSTR settings, PWSTR *result)
{
    return text_call(L"HcsModifyServiceSettings", settings, NULL, result);
}

HRESULT WINAPI HcsSubmitWerReport(PCWSTR settings)
{
    (void)settings;
    return E_NOTIMPL;
}

HRESULT WINAPI HcsGrantVmAccess(PCWSTR vm, PCWSTR path)
{
    return vm && path ? text_call(L"HcsGrantVmAccess", vm, path, NULL) : E_INVALIDARG;
}

HRESULT WINAPI HcsRevokeVmAccess(PCWSTR vm, PCWSTR path)
{
    return vm && path ? text_call(L"HcsRevokeVmAccess", vm, path, NULL) : E_INVALIDARG;
}

// The group of all virtual machines has no id of a system.
HRESULT WINAPI HcsGrantVmGroupAccess(PCWSTR path)
{
    return path ? text_call(L"HcsGrantVmAccess", L"", path, NULL) : E_INVALIDARG;
}

HRESULT WINAPI HcsRevokeVmGroupAccess(PCWSTR path)
{
    return path ? text_call(L"HcsRevokeVmAccess", L"", path, NULL) : E_INVALIDARG;
}

HRESULT WINAPI HcsCreateEmptyGuestStateFile(PCWSTR path)
{
    return path ? text_call(L"HcsCreateEmptyGuestStateFile", path, NULL, NULL) : E_INVALIDARG;
}

HRESULT WINAPI HcsCreateEmptyRuntimeStateFile(PCWSTR path)
{
    return path ? text_call(L"HcsCreateEmptyRuntimeStateFile", path, NULL, NULL) : E_INVALIDARG;
}

HRESULT WINAPI HcsGetProcessorCompatibilityFromSavedState(PCWSTR path, PCWSTR *features)
{
    (void)path;
    if (features)
        *features = NULL;
    return E_NOTIMPL;
}
