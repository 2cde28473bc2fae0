// See operation.h. Each function is documented at
// https://learn.microsoft.com/virtualization/api/hcs/reference/<Name>
#include "operation.h"
#include <stdlib.h>
#include <string.h>

#define OPERATION_MAGIC 0x6F435348u

enum state { FRESH, PENDING, DONE };

struct operation {
    DWORD magic; // told apart from rubbish that a caller hands in
    LONG references;
    UINT64 id;
    SRWLOCK lock; // guards what follows
    HANDLE completed;
    enum state state;
    enum operation_type type;
    UINT64 call; // the pending call, to cancel it
    void *context;
    HCS_OPERATION_COMPLETION callback;
    HANDLE_VALUE system, process;
    HRESULT result;
    PWSTR document;
    BOOL has_information; // and nobody has taken it
    struct process_information information;
};

static volatile LONG64 last_id;

static BOOL valid(HCS_OPERATION o)
{
    return o && o->magic == OPERATION_MAGIC;
}

static void forget_result(HCS_OPERATION o)
{
    task_free(o->document);
    o->document = NULL;
    if (o->has_information)
        close_process_information(&o->information);
    o->has_information = FALSE;
}

static void release(HCS_OPERATION o)
{
    if (InterlockedDecrement(&o->references))
        return;
    forget_result(o);
    CloseHandle(o->completed);
    o->magic = 0;
    free(o);
}

static DWORD WINAPI run_callback(void *argument)
{
    HCS_OPERATION o = argument;
    AcquireSRWLockShared(&o->lock);
    HCS_OPERATION_COMPLETION callback = o->callback;
    void *context = o->context;
    ReleaseSRWLockShared(&o->lock);
    if (callback)
        callback(o, context);
    release(o);
    return 0;
}

// operation_done runs on the reader thread.
static void operation_done(void *context, struct reply *r)
{
    HCS_OPERATION o = context;
    AcquireSRWLockExclusive(&o->lock);
    o->result = r->result;
    o->document = reply_string(r);
    if (SUCCEEDED(r->result) && (o->type == OPERATION_CREATE_PROCESS || o->type == OPERATION_GET_PROCESS_INFO)) {
        read_process_information(r, &o->information);
        o->has_information = TRUE;
    }
    o->state = DONE;
    BOOL call_back = o->callback != NULL;
    ReleaseSRWLockExclusive(&o->lock);
    SetEvent(o->completed);
    // A callback may call HCS and wait: not on the thread that reads replies.
    if (!call_back || !QueueUserWorkItem(run_callback, o, WT_EXECUTELONGFUNCTION))
        release(o);
}

HRESULT operation_start(HCS_OPERATION o, struct request *r, enum operation_type type, HANDLE_VALUE system,
                        HANDLE_VALUE process)
{
    if (!valid(o)) {
        free(r->data);
        return E_INVALIDARG;
    }
    AcquireSRWLockExclusive(&o->lock);
    HRESULT hr = o->state == PENDING ? HCS_E_OPERATION_ALREADY_STARTED : HCS_S_OK;
    if (SUCCEEDED(hr)) {
        forget_result(o);
        o->type = type;
        o->system = system;
        o->process = process;
        o->state = PENDING;
        ResetEvent(o->completed);
        InterlockedIncrement(&o->references);
    }
    ReleaseSRWLockExclusive(&o->lock);
    if (FAILED(hr)) {
        free(r->data);
        return hr;
    }
    hr = call_start(r, operation_done, o, &o->call);
    if (FAILED(hr)) {
        // Completed as failed too: callers may look in either place.
        AcquireSRWLockExclusive(&o->lock);
        o->result = hr;
        o->state = DONE;
        ReleaseSRWLockExclusive(&o->lock);
        SetEvent(o->completed);
        release(o);
    }
    return hr;
}

HCS_OPERATION WINAPI HcsCreateOperation(void *context, HCS_OPERATION_COMPLETION callback)
{
    HCS_OPERATION o = calloc(1, sizeof *o);
    HANDLE completed = CreateEventW(NULL, TRUE, FALSE, NULL);
    if (!o || !completed) {
        free(o);
        if (completed)
            CloseHandle(completed);
        SetLastError(ERROR_NOT_ENOUGH_MEMORY);
        return NULL;
    }
    *o = (struct operation){.magic = OPERATION_MAGIC,
                            .references = 1,
                            .completed = completed,
                            .type = OPERATION_NONE,
                            .id = (UINT64)InterlockedIncrement64(&last_id),
                            .context = context,
                            .callback = callback};
    InitializeSRWLock(&o->lock);
    return o;
}

// Event types other than the operation's own completion are delivered to
// callbacks of systems only, so the mask adds nothing here.
HCS_OPERATION WINAPI HcsCreateOperationWithNotifications(DWORD types, void *context, HCS_OPERATION_COMPLETION callback)
{
    (void)types;
    return HcsCreateOperation(context, callback);
}

void WINAPI HcsCloseOperation(HCS_OPERATION o)
{
    if (valid(o))
        release(o);
}

void *WINAPI HcsGetOperationContext(HCS_OPERATION o)
{
    return valid(o) ? o->context : NULL;
}

HRESULT WINAPI HcsSetOperationContext(HCS_OPERATION o, void *context)
{
    if (!valid(o))
        return E_INVALIDARG;
    AcquireSRWLockExclusive(&o->lock);
    o->context = context;
    ReleaseSRWLockExclusive(&o->lock);
    return HCS_S_OK;
}

HRESULT WINAPI HcsSetOperationCallback(HCS_OPERATION o, void *context, HCS_OPERATION_COMPLETION callback)
{
    if (!valid(o))
        return E_INVALIDARG;
    AcquireSRWLockExclusive(&o->lock);
    HRESULT hr = o->state == PENDING ? HCS_E_OPERATION_ALREADY_STARTED : HCS_S_OK;
    if (SUCCEEDED(hr)) {
        o->context = context;
        o->callback = callback;
    }
    ReleaseSRWLockExclusive(&o->lock);
    return hr;
}

HANDLE_VALUE WINAPI HcsGetComputeSystemFromOperation(HCS_OPERATION o)
{
    return valid(o) ? o->system : 0;
}

HANDLE_VALUE WINAPI HcsGetProcessFromOperation(HCS_OPERATION o)
{
    return valid(o) ? o->process : 0;
}

LONG WINAPI HcsGetOperationType(HCS_OPERATION o)
{
    return valid(o) ? o->type : OPERATION_NONE;
}

UINT64 WINAPI HcsGetOperationId(HCS_OPERATION o)
{
    return valid(o) ? o->id : 0;
}

HRESULT WINAPI HcsGetOperationResultAndProcessInfo(HCS_OPERATION o, struct process_information *information,
                                                   PWSTR *document)
{
    if (document)
        *document = NULL;
    if (information)
        memset(information, 0, sizeof *information);
    if (!valid(o))
        return E_INVALIDARG;
    AcquireSRWLockExclusive(&o->lock);
    HRESULT hr = o->result;
    if (o->state != DONE) {
        hr = o->state == FRESH ? HCS_E_OPERATION_NOT_STARTED : HCS_E_OPERATION_PENDING;
    } else {
        if (document) {
            *document = o->document;
            o->document = NULL;
        }
        if (information && SUCCEEDED(hr)) {
            if (o->has_information)
                *information = o->information;
            else
                hr = HCS_E_PROCESS_INFO_NOT_AVAILABLE;
            o->has_information = FALSE; // the handles are the caller's now
        }
    }
    ReleaseSRWLockExclusive(&o->lock);
    return hr;
}

HRESULT WINAPI HcsGetOperationResult(HCS_OPERATION o, PWSTR *document)
{
    return HcsGetOperationResultAndProcessInfo(o, NULL, document);
}

HRESULT WINAPI HcsWaitForOperationResultAndProcessInfo(HCS_OPERATION o, DWORD timeout_ms,
                                                       struct process_information *information, PWSTR *document)
{
    if (document)
        *document = NULL;
    if (!valid(o))
        return E_INVALIDARG;
    AcquireSRWLockShared(&o->lock);
    BOOL fresh = o->state == FRESH;
    ReleaseSRWLockShared(&o->lock);
    if (fresh)
        return HCS_E_OPERATION_NOT_STARTED;
    if (WaitForSingleObject(o->completed, timeout_ms) == WAIT_TIMEOUT)
        return HCS_E_OPERATION_TIMEOUT;
    return HcsGetOperationResultAndProcessInfo(o, information, document);
}

HRESULT WINAPI HcsWaitForOperationResult(HCS_OPERATION o, DWORD timeout_ms, PWSTR *document)
{
    return HcsWaitForOperationResultAndProcessInfo(o, timeout_ms, NULL, document);
}

static void ignore_reply(void *context, struct reply *r)
{
    (void)context;
    (void)r;
}

// The call's own reply says whether the cancellation came in time.
HRESULT WINAPI HcsCancelOperation(HCS_OPERATION o)
{
    if (!valid(o))
        return E_INVALIDARG;
    AcquireSRWLockShared(&o->lock);
    UINT64 call = o->state == PENDING ? o->call : 0;
    ReleaseSRWLockShared(&o->lock);
    if (!call)
        return HCS_S_OK;
    struct request r;
    request_begin(&r, L"HcsCancelOperation");
    request_number(&r, call);
    return call_start(&r, ignore_reply, NULL, NULL);
}

HRESULT WINAPI HcsGetOperationProperties(HCS_OPERATION o, PCWSTR options, PWSTR *document)
{
    (void)options;
    if (document)
        *document = NULL;
    return valid(o) ? E_NOTIMPL : E_INVALIDARG;
}

HRESULT WINAPI HcsAddResourceToOperation(HCS_OPERATION o, DWORD type, PCWSTR uri, HANDLE handle)
{
    (void)type;
    (void)uri;
    (void)handle;
    return valid(o) ? E_NOTIMPL : E_INVALIDARG;
}
