// vmcompute.dll: the older HCS interface; its layer functions are in layers.c.
//
// It has no public documentation; the signatures are those that hcsshim calls
// (internal/vmcompute/vmcompute.go). Calls that take long return 0xC0370103 and
// a notification follows, to the callbacks of the handle. The service gives
// this DLL the older codes.
#include "process_information.h"
#include <stdlib.h>
#include <string.h>

const WCHAR front_name[] = L"vmcompute.dll";

#define OPERATION_PENDING ((HRESULT)0xC0370103)

typedef HANDLE_VALUE HCS_SYSTEM;
typedef HANDLE_VALUE HCS_PROCESS;

// ---- notifications of the older interface

// As runhcs relies on it: hcsshim v0.14.1, internal/hcs/callback.go.
#define NOTIFY_SYSTEM_EXITED 0x00000001u
#define NOTIFY_CREATE_COMPLETED 0x00000002u
#define NOTIFY_START_COMPLETED 0x00000003u
#define NOTIFY_PAUSE_COMPLETED 0x00000004u
#define NOTIFY_RESUME_COMPLETED 0x00000005u
#define NOTIFY_CRASH_REPORT 0x00000006u
#define NOTIFY_SAVE_COMPLETED 0x00000008u
#define NOTIFY_CRASH_INITIATED 0x0000000Du
#define NOTIFY_CONNECTION_CLOSED 0x0000000Eu
#define NOTIFY_PROCESS_EXITED 0x00010000u
#define NOTIFY_DISCONNECT 0x01000000u

typedef void(CALLBACK *NOTIFICATION_CALLBACK)(DWORD type, void *context, HRESULT status, PCWSTR data);

// A completion that came before anyone listened waits in the list for the
// registration of its handle, as the service holds it back.
struct completion_note {
    struct completion_note *next;
    HANDLE_VALUE handle;
    DWORD type;
    HRESULT status;
    PWSTR data;
};

struct registration {
    struct registration *next;
    HANDLE_VALUE handle;
    NOTIFICATION_CALLBACK callback;
    void *context;
    LONG running;
    BOOL closed;
};

static struct {
    SRWLOCK lock;
    CONDITION_VARIABLE idle;
    struct registration *registrations;
    struct completion_note *notes;
} notifications = {.lock = SRWLOCK_INIT, .idle = CONDITION_VARIABLE_INIT};

static __thread struct registration *on_this_thread;

static struct registration *registration_of(HANDLE_VALUE handle)
{
    struct registration *g = notifications.registrations;
    while (g && (g->handle != handle || g->closed))
        g = g->next;
    return g;
}

// notify calls the registration's callback. The lock is held, and given up
// around the call.
static void notify(struct registration *g, DWORD type, HRESULT status, PCWSTR data)
{
    struct registration *outer = on_this_thread;
    g->running++;
    ReleaseSRWLockExclusive(&notifications.lock);
    on_this_thread = g;
    g->callback(type, g->context, status, data);
    on_this_thread = outer;
    AcquireSRWLockExclusive(&notifications.lock);
    g->running--;
    WakeAllConditionVariable(&notifications.idle);
}

static DWORD WINAPI deliver_notes(void *unused)
{
    (void)unused;
    AcquireSRWLockExclusive(&notifications.lock);
    struct completion_note **at = &notifications.notes;
    while (*at) {
        struct completion_note *note = *at;
        struct registration *g = registration_of(note->handle);
        if (!g) {
            at = &note->next;
            continue;
        }
        *at = note->next;
        notify(g, note->type, note->status, note->data);
        task_free(note->data);
        free(note);
        at = &notifications.notes; // the list may have changed meanwhile
    }
    ReleaseSRWLockExclusive(&notifications.lock);
    return 0;
}

// call_completed runs on the reader thread; callbacks may not.
static void call_completed(void *context, struct reply *r)
{
    struct completion_note *note = context;
    note->status = r->result;
    note->data = reply_string(r);
    AcquireSRWLockExclusive(&notifications.lock);
    note->next = notifications.notes;
    notifications.notes = note;
    ReleaseSRWLockExclusive(&notifications.lock);
    QueueUserWorkItem(deliver_notes, NULL, WT_EXECUTELONGFUNCTION);
}

static DWORD older_type(DWORD type)
{
    switch (type) {
    case 0x00000002: return NOTIFY_CRASH_INITIATED;
    case 0x00000003: return NOTIFY_CRASH_REPORT;
    case 0x00000006: return NOTIFY_CONNECTION_CLOSED;
    case HCS_EVENT_SERVICE_DISCONNECT: return NOTIFY_DISCONNECT;
    }
    return type; // exits of systems and processes have the same number in both
}

static void pass_event(void *registration, void *context, DWORD type, HRESULT status, PCWSTR data)
{
    struct registration *g = registration;
    (void)context; // the registration has its caller's
    AcquireSRWLockExclusive(&notifications.lock);
    if (!g->closed)
        notify(g, older_type(type), status, data);
    ReleaseSRWLockExclusive(&notifications.lock);
}

static void registration_remove(struct registration *g)
{
    AcquireSRWLockExclusive(&notifications.lock);
    g->closed = TRUE;
    while (g->running && on_this_thread != g)
        SleepConditionVariableSRW(&notifications.idle, &notifications.lock, INFINITE, 0);
    struct registration **at = &notifications.registrations;
    while (*at && *at != g)
        at = &(*at)->next;
    if (*at)
        *at = g->next;
    BOOL inside = g->running != 0;
    ReleaseSRWLockExclusive(&notifications.lock);
    if (!inside) // a callback that unregisters itself still needs it
        free(g);
}

static HRESULT register_callback(PCWSTR function, HANDLE_VALUE handle, NOTIFICATION_CALLBACK callback, void *context,
                                 struct registration **out)
{
    if (!callback || !out)
        return E_INVALIDARG;
    struct registration *g = calloc(1, sizeof *g);
    if (!g)
        return E_OUTOFMEMORY;
    *g = (struct registration){.handle = handle, .callback = callback, .context = context};
    AcquireSRWLockExclusive(&notifications.lock);
    g->next = notifications.registrations;
    notifications.registrations = g;
    ReleaseSRWLockExclusive(&notifications.lock);
    HRESULT hr = subscribe(function, handle, pass_event, g, NULL);
    if (FAILED(hr)) {
        registration_remove(g);
        return hr;
    }
    *out = g;
    QueueUserWorkItem(deliver_notes, NULL, WT_EXECUTELONGFUNCTION);
    return HCS_S_OK;
}

static HRESULT unregister_callback(struct registration *g)
{
    if (!g)
        return E_INVALIDARG;
    unsubscribe(g->handle);
    registration_remove(g);
    return HCS_S_OK;
}

HRESULT WINAPI HcsRegisterComputeSystemCallback(HCS_SYSTEM system, NOTIFICATION_CALLBACK callback, void *context,
                                                struct registration **out)
{
    return register_callback(L"HcsRegisterComputeSystemCallback", system, callback, context, out);
}

HRESULT WINAPI HcsUnregisterComputeSystemCallback(struct registration *registration)
{
    return unregister_callback(registration);
}

HRESULT WINAPI HcsRegisterProcessCallback(HCS_PROCESS process, NOTIFICATION_CALLBACK callback, void *context,
                                          struct registration **out)
{
    return register_callback(L"HcsRegisterProcessCallback", process, callback, context, out);
}

HRESULT WINAPI HcsUnregisterProcessCallback(struct registration *registration)
{
    return unregister_callback(registration);
}

// ---- the older HCS interface

// start_call sends r and returns "pending"; the notification of the given type
// follows.
static HRESULT start_call(struct request *r, HANDLE_VALUE handle, DWORD type)
{
    struct completion_note *note = calloc(1, sizeof *note);
    if (!note) {
        free(r->data);
        return E_OUTOFMEMORY;
    }
    note->handle = handle;
    note->type = type;
    HRESULT hr = call_start(r, call_completed, note, NULL);
    if (FAILED(hr)) {
        free(note);
        return hr;
    }
    return OPERATION_PENDING;
}

static void forget_notes(HANDLE_VALUE handle)
{
    AcquireSRWLockExclusive(&notifications.lock);
    for (struct completion_note **at = &notifications.notes; *at;) {
        struct completion_note *note = *at;
        if (note->handle != handle) {
            at = &note->next;
            continue;
        }
        *at = note->next;
        task_free(note->data);
        free(note);
    }
    ReleaseSRWLockExclusive(&notifications.lock);
}

static HRESULT handle_call(PCWSTR function, HANDLE_VALUE handle, PCWSTR document, PWSTR *answer)
{
    struct request r;
    request_begin(&r, function);
    request_handle(&r, handle);
    request_string(&r, document);
    return call_plain(&r, answer);
}

static HRESULT long_handle_call(PCWSTR function, HANDLE_VALUE handle, PCWSTR document, DWORD type)
{
    struct request r;
    request_begin(&r, function);
    request_handle(&r, handle);
    request_string(&r, document);
    return start_call(&r, handle, type);
}

// split gives the answer's document to whom it belongs: the caller's answer
// if the call succeeded, the caller's result if it failed.
static HRESULT split(HRESULT hr, PWSTR document, PWSTR *answer, PWSTR *result)
{
    PWSTR *taker = SUCCEEDED(hr) ? answer : result, *other = SUCCEEDED(hr) ? result : answer;
    if (other)
        *other = NULL;
    if (taker)
        *taker = document;
    else
        task_free(document);
    return hr;
}

static void no_result(PWSTR *result)
{
    if (result)
        *result = NULL;
}

HRESULT WINAPI HcsEnumerateComputeSystems(PCWSTR query, PWSTR *systems, PWSTR *result)
{
    struct request r;
    request_begin(&r, L"HcsEnumerateComputeSystems");
    request_string(&r, query);
    PWSTR document;
    HRESULT hr = call_plain(&r, &document);
    return split(hr, document, systems, result);
}

HRESULT WINAPI HcsCreateComputeSystem(PCWSTR id, PCWSTR configuration, HANDLE identity, HCS_SYSTEM *system,
                                      PWSTR *result)
{
    (void)identity;
    no_result(result);
    if (!id || !configuration || !system)
        return E_INVALIDARG;
    struct request r;
    request_begin(&r, L"HcsCreateComputeSystem");
    HANDLE_VALUE handle = request_new_handle(&r);
    request_string(&r, id);
    request_string(&r, configuration);
    HRESULT hr = start_call(&r, handle, NOTIFY_CREATE_COMPLETED);
    *system = hr == OPERATION_PENDING ? handle : 0;
    return hr;
}

HRESULT WINAPI HcsOpenComputeSystem(PCWSTR id, HCS_SYSTEM *system, PWSTR *result)
{
    no_result(result);
    if (!id || !system)
        return E_INVALIDARG;
    struct request r;
    request_begin(&r, L"HcsOpenComputeSystem");
    *system = request_new_handle(&r);
    request_string(&r, id);
    PWSTR document;
    HRESULT hr = call_plain(&r, &document);
    if (FAILED(hr))
        *system = 0;
    return split(hr, document, NULL, result);
}

HRESULT WINAPI HcsCloseComputeSystem(HCS_SYSTEM system)
{
    unsubscribe(system);
    HRESULT hr = handle_call(L"HcsCloseComputeSystem", system, NULL, NULL);
    forget_notes(system);
    return hr;
}

HRESULT WINAPI HcsStartComputeSystem(HCS_SYSTEM system, PCWSTR options, PWSTR *result)
{
    no_result(result);
    return long_handle_call(L"HcsStartComputeSystem", system, options, NOTIFY_START_COMPLETED);
}

HRESULT WINAPI HcsPauseComputeSystem(HCS_SYSTEM system, PCWSTR options, PWSTR *result)
{
    no_result(result);
    return long_handle_call(L"HcsPauseComputeSystem", system, options, NOTIFY_PAUSE_COMPLETED);
}

HRESULT WINAPI HcsResumeComputeSystem(HCS_SYSTEM system, PCWSTR options, PWSTR *result)
{
    no_result(result);
    return long_handle_call(L"HcsResumeComputeSystem", system, options, NOTIFY_RESUME_COMPLETED);
}

HRESULT WINAPI HcsSaveComputeSystem(HCS_SYSTEM system, PCWSTR options, PWSTR *result)
{
    no_result(result);
    return long_handle_call(L"HcsSaveComputeSystem", system, options, NOTIFY_SAVE_COMPLETED);
}

// Shutdown and termination have no completion of their own: the system's exit
// is what callers wait for, so acceptance is reported at once.
static HRESULT end_call(PCWSTR function, HCS_SYSTEM system, PCWSTR options, PWSTR *result)
{
    PWSTR document;
    HRESULT hr = handle_call(function, system, options, &document);
    split(hr, document, NULL, result);
    return SUCCEEDED(hr) ? OPERATION_PENDING : hr;
}

HRESULT WINAPI HcsShutdownComputeSystem(HCS_SYSTEM system, PCWSTR options, PWSTR *result)
{
    return end_call(L"HcsShutDownComputeSystem", system, options, result);
}

HRESULT WINAPI HcsTerminateComputeSystem(HCS_SYSTEM system, PCWSTR options, PWSTR *result)
{
    return end_call(L"HcsTerminateComputeSystem", system, options, result);
}

HRESULT WINAPI HcsGetComputeSystemProperties(HCS_SYSTEM system, PCWSTR query, PWSTR *properties, PWSTR *result)
{
    PWSTR document;
    HRESULT hr = handle_call(L"HcsGetComputeSystemProperties", system, query, &document);
    return split(hr, document, properties, result);
}

HRESULT WINAPI HcsModifyComputeSystem(HCS_SYSTEM system, PCWSTR configuration, PWSTR *result)
{
    return handle_call(L"HcsModifyComputeSystem", system, configuration, result);
}

HRESULT WINAPI HcsModifyServiceSettings(PCWSTR settings, PWSTR *result)
{
    struct request r;
    request_begin(&r, L"HcsModifyServiceSettings");
    request_string(&r, settings);
    return call_plain(&r, result);
}

HRESULT WINAPI HcsGetServiceProperties(PCWSTR query, PWSTR *properties, PWSTR *result)
{
    struct request r;
    request_begin(&r, L"HcsGetServiceProperties");
    request_string(&r, query);
    PWSTR document;
    HRESULT hr = call_plain(&r, &document);
    return split(hr, document, properties, result);
}

static HRESULT process_info_call(struct request *r, struct process_information *information, PWSTR *result)
{
    struct reply reply;
    HRESULT hr = call_wait(r, &reply);
    PWSTR document = reply_string(&reply);
    struct process_information found = {0};
    if (SUCCEEDED(hr))
        read_process_information(&reply, &found);
    reply_free(&reply);
    if (information)
        *information = found;
    else
        close_process_information(&found);
    return split(hr, document, NULL, result);
}

HRESULT WINAPI HcsCreateProcess(HCS_SYSTEM system, PCWSTR parameters, struct process_information *information,
                                HCS_PROCESS *process, PWSTR *result)
{
    if (!parameters || !process)
        return E_INVALIDARG;
    struct request r;
    request_begin(&r, L"HcsCreateProcess");
    request_handle(&r, system);
    *process = request_new_handle(&r);
    request_string(&r, parameters);
    HRESULT hr = process_info_call(&r, information, result);
    if (FAILED(hr))
        *process = 0;
    return hr;
}

HRESULT WINAPI HcsGetProcessInfo(HCS_PROCESS process, struct process_information *information, PWSTR *result)
{
    struct request r;
    request_begin(&r, L"HcsGetProcessInfo");
    request_handle(&r, process);
    request_string(&r, NULL);
    return process_info_call(&r, information, result);
}

HRESULT WINAPI HcsOpenProcess(HCS_SYSTEM system, DWORD pid, HCS_PROCESS *process, PWSTR *result)
{
    if (!process)
        return E_INVALIDARG;
    struct request r;
    request_begin(&r, L"HcsOpenProcess");
    request_handle(&r, system);
    *process = request_new_handle(&r);
    request_number(&r, pid);
    HRESULT hr = call_plain(&r, result);
    if (FAILED(hr))
        *process = 0;
    return hr;
}

HRESULT WINAPI HcsCloseProcess(HCS_PROCESS process)
{
    unsubscribe(process);
    return handle_call(L"HcsCloseProcess", process, NULL, NULL);
}

HRESULT WINAPI HcsTerminateProcess(HCS_PROCESS process, PWSTR *result)
{
    return handle_call(L"HcsTerminateProcess", process, NULL, result);
}

HRESULT WINAPI HcsSignalProcess(HCS_PROCESS process, PCWSTR options, PWSTR *result)
{
    return handle_call(L"HcsSignalProcess", process, options, result);
}

HRESULT WINAPI HcsGetProcessProperties(HCS_PROCESS process, PWSTR *properties, PWSTR *result)
{
    PWSTR document;
    HRESULT hr = handle_call(L"HcsGetProcessProperties", process, NULL, &document);
    return split(hr, document, properties, result);
}

HRESULT WINAPI HcsModifyProcess(HCS_PROCESS process, PCWSTR settings, PWSTR *result)
{
    return handle_call(L"HcsModifyProcess", process, settings, result);
}
