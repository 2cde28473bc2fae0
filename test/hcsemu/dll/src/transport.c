// See transport.h.
#include "frame.h"
#include <stdlib.h>
#include <string.h>

// A handle's upper bits hold the generation of the connection it belongs to.
#define GENERATION_SHIFT 40
#define CONNECT_TIMEOUT_MS 30000 // of a service that is there: many may connect at once
// Go's runtime runs callbacks on the stack of the thread that calls them.
#define THREAD_STACK (256 * 1024)

struct pending {
    struct pending *next;
    UINT64 id;
    completion done;
    void *context;
};

struct subscription {
    struct subscription *next;
    HANDLE_VALUE handle;
    event_callback callback;
    void *of_front, *context;
    BOOL running; // its callback is on the event thread
};

// The state of the front. Lock order: write_lock, then lock. Neither is held
// while a completion or a callback runs.
static struct {
    SRWLOCK lock;       // guards all below but write_lock
    SRWLOCK write_lock; // one writer of the calls pipe at a time; also held to connect
    CONDITION_VARIABLE callback_done;
    HANDLE calls, events; // NULL: not connected
    HANDLE write_event;   // of the writer, under write_lock
    UINT64 generation;    // of the connection in calls
    UINT64 event_generation;
    UINT64 token;
    UINT64 last_id; // of calls and handles
    DWORD event_thread;
    struct pending *pending;
    struct subscription *subscriptions;
} front = {.lock = SRWLOCK_INIT, .write_lock = SRWLOCK_INIT, .callback_done = CONDITION_VARIABLE_INIT};

// ---- the pipe

// transfer moves exactly size bytes. The pipes are opened for overlapped I/O
// because a blocking read would hold up every write on the same handle.
static BOOL transfer(HANDLE pipe, HANDLE event, BOOL write, BYTE *bytes, DWORD size)
{
    while (size) {
        OVERLAPPED o = {.hEvent = event};
        DWORD moved = 0;
        BOOL ok = write ? WriteFile(pipe, bytes, size, NULL, &o) : ReadFile(pipe, bytes, size, NULL, &o);
        if (!ok && GetLastError() != ERROR_IO_PENDING)
            return FALSE;
        if (!GetOverlappedResult(pipe, &o, &moved, TRUE) || moved == 0)
            return FALSE;
        bytes += moved;
        size -= moved;
    }
    return TRUE;
}

// receive_frame returns the bytes after the length, NULL at the end.
static BYTE *receive_frame(HANDLE pipe, HANDLE event, DWORD *size)
{
    if (!transfer(pipe, event, FALSE, (BYTE *)size, 4) || *size < WIRE_HEADER_SIZE || *size > WIRE_MAX_FRAME)
        return NULL;
    BYTE *body = malloc(*size);
    if (body && !transfer(pipe, event, FALSE, body, *size)) {
        free(body);
        body = NULL;
    }
    return body;
}

static HANDLE open_pipe(void)
{
    ULONGLONG deadline = GetTickCount64() + CONNECT_TIMEOUT_MS;
    for (;;) {
        HANDLE pipe = CreateFileW(WIRE_PIPE_NAME, GENERIC_READ | GENERIC_WRITE, 0, NULL, OPEN_EXISTING,
                                  FILE_FLAG_OVERLAPPED, NULL);
        if (pipe != INVALID_HANDLE_VALUE)
            return pipe;
        // Busy: the service is between two accepts.
        if (GetLastError() != ERROR_PIPE_BUSY || GetTickCount64() > deadline)
            return NULL;
        WaitNamedPipeW(WIRE_PIPE_NAME, 50);
    }
}

static HRESULT say_hello(HANDLE pipe, UINT64 token, UINT64 role)
{
    WCHAR exe[MAX_PATH] = L"";
    GetModuleFileNameW(NULL, exe, MAX_PATH - 1);
    struct request hello;
    frame_begin(&hello, WIRE_KIND_HELLO, token, WIRE_VERSION);
    request_number(&hello, role);
    request_number(&hello, GetCurrentProcessId());
    request_string(&hello, front_name);
    request_string(&hello, exe);
    HRESULT hr = hello.failed;
    HANDLE event = CreateEventW(NULL, TRUE, FALSE, NULL);
    if (hr == HCS_S_OK) {
        frame_end(&hello);
        DWORD size = 0;
        BYTE *body = NULL;
        hr = HCS_E_SERVICE_NOT_AVAILABLE;
        if (event && transfer(pipe, event, TRUE, hello.data, hello.size) && (body = receive_frame(pipe, event, &size)))
            memcpy(&hr, body + 12, 4);
        free(body);
    }
    if (event)
        CloseHandle(event);
    free(hello.data);
    return hr;
}

// open_connection returns a connection that has said hello.
static HRESULT open_connection(UINT64 token, UINT64 role, HANDLE *out)
{
    HANDLE pipe = open_pipe();
    if (!pipe)
        return HCS_E_SERVICE_NOT_AVAILABLE;
    HRESULT hr = say_hello(pipe, token, role);
    if (FAILED(hr)) {
        CloseHandle(pipe);
        return hr;
    }
    *out = pipe;
    return HCS_S_OK;
}

static BOOL start_thread(LPTHREAD_START_ROUTINE f, void *argument, DWORD *id)
{
    HANDLE thread = CreateThread(NULL, THREAD_STACK, f, argument, STACK_SIZE_PARAM_IS_A_RESERVATION, id);
    if (!thread)
        return FALSE;
    CloseHandle(thread);
    return TRUE;
}

// ---- calls

static struct pending *pending_take(UINT64 id)
{
    struct pending *found = NULL;
    AcquireSRWLockExclusive(&front.lock);
    for (struct pending **at = &front.pending; *at; at = &(*at)->next) {
        if ((*at)->id == id) {
            found = *at;
            *at = found->next;
            break;
        }
    }
    ReleaseSRWLockExclusive(&front.lock);
    return found;
}

// lose ends the connection: what was pending fails and every subscription
// hears of it. The event thread, whose pipe is closed by the service too, tells.
static void lose(HANDLE pipe)
{
    AcquireSRWLockExclusive(&front.write_lock);
    AcquireSRWLockExclusive(&front.lock);
    struct pending *list = front.pending;
    front.pending = NULL;
    front.calls = NULL;
    ReleaseSRWLockExclusive(&front.lock);
    CloseHandle(pipe);
    ReleaseSRWLockExclusive(&front.write_lock);
    while (list) {
        struct pending *p = list;
        list = p->next;
        struct reply gone = {.result = HCS_E_SERVICE_DISCONNECT};
        p->done(p->context, &gone);
        free(p);
    }
}

static DWORD WINAPI reader_thread(void *argument)
{
    HANDLE pipe = argument, event = CreateEventW(NULL, TRUE, FALSE, NULL);
    DWORD size;
    BYTE *body;
    while (event && (body = receive_frame(pipe, event, &size))) {
        UINT64 id;
        struct reply r = {.buffer = body, .next = body + WIRE_HEADER_SIZE, .end = body + size};
        memcpy(&id, body + 4, 8);
        memcpy(&r.result, body + 12, 4);
        struct pending *p = body[0] == WIRE_KIND_REPLY ? pending_take(id) : NULL;
        if (p) {
            p->done(p->context, &r);
            free(p);
        }
        reply_free(&r);
    }
    if (event)
        CloseHandle(event);
    lose(pipe);
    return 0;
}

// connect_calls makes sure of a connection. write_lock is held.
static HRESULT connect_calls(void)
{
    if (front.calls)
        return HCS_S_OK;
    if (!front.write_event && !(front.write_event = CreateEventW(NULL, TRUE, FALSE, NULL)))
        return E_OUTOFMEMORY;
    HANDLE pipe;
    LARGE_INTEGER now;
    QueryPerformanceCounter(&now);
    UINT64 token = (UINT64)GetCurrentProcessId() << 32 ^ (UINT64)now.QuadPart;
    HRESULT hr = open_connection(token, WIRE_ROLE_CALLS, &pipe);
    if (FAILED(hr))
        return hr;
    AcquireSRWLockExclusive(&front.lock);
    front.calls = pipe;
    front.token = token;
    front.generation++;
    ReleaseSRWLockExclusive(&front.lock);
    DWORD id;
    if (!start_thread(reader_thread, pipe, &id)) {
        front.calls = NULL;
        CloseHandle(pipe);
        return E_OUTOFMEMORY;
    }
    return HCS_S_OK;
}

void request_handle(struct request *r, HANDLE_VALUE handle)
{
    AcquireSRWLockShared(&front.lock);
    if (r->failed == HCS_S_OK && (handle >> GENERATION_SHIFT != front.generation || !front.calls))
        r->failed = handle >> GENERATION_SHIFT ? HCS_E_SERVICE_DISCONNECT : E_HANDLE;
    ReleaseSRWLockShared(&front.lock);
    request_number(r, handle);
}

HANDLE_VALUE request_new_handle(struct request *r)
{
    HANDLE_VALUE handle = 0;
    AcquireSRWLockExclusive(&front.write_lock);
    HRESULT hr = connect_calls();
    if (FAILED(hr) && r->failed == HCS_S_OK)
        r->failed = hr;
    if (SUCCEEDED(hr)) {
        AcquireSRWLockExclusive(&front.lock);
        handle = front.generation << GENERATION_SHIFT | ++front.last_id;
        ReleaseSRWLockExclusive(&front.lock);
    }
    ReleaseSRWLockExclusive(&front.write_lock);
    request_number(r, handle);
    return handle;
}

HRESULT call_start(struct request *r, completion done, void *context, UINT64 *id)
{
    HRESULT hr = r->failed;
    struct pending *p = SUCCEEDED(hr) ? malloc(sizeof *p) : NULL;
    if (SUCCEEDED(hr) && !p)
        hr = E_OUTOFMEMORY;
    AcquireSRWLockExclusive(&front.write_lock);
    if (SUCCEEDED(hr))
        hr = connect_calls();
    if (SUCCEEDED(hr)) {
        AcquireSRWLockExclusive(&front.lock);
        *p = (struct pending){.next = front.pending, .id = ++front.last_id, .done = done, .context = context};
        front.pending = p;
        UINT64 call = p->id;
        if (id)
            *id = call;
        ReleaseSRWLockExclusive(&front.lock);
        memcpy(r->data + 8, &call, 8);
        frame_end(r);
        // If it can't be sent, the reader thread sees the end of the pipe
        // too and completes everything that is pending, this call included.
        if (!transfer(front.calls, front.write_event, TRUE, r->data, r->size))
            CancelIoEx(front.calls, NULL);
    } else {
        free(p);
    }
    ReleaseSRWLockExclusive(&front.write_lock);
    free(r->data);
    memset(r, 0, sizeof *r);
    return hr;
}

struct waiter {
    HANDLE done;
    struct reply *out;
};

static void waiter_done(void *context, struct reply *r)
{
    struct waiter *w = context;
    *w->out = *r;
    memset(r, 0, sizeof *r); // the waiter owns the values now
    SetEvent(w->done);
}

HRESULT call_wait(struct request *r, struct reply *out)
{
    memset(out, 0, sizeof *out);
    struct waiter w = {.done = CreateEventW(NULL, TRUE, FALSE, NULL), .out = out};
    if (!w.done && r->failed == HCS_S_OK)
        r->failed = E_OUTOFMEMORY;
    HRESULT hr = call_start(r, waiter_done, &w, NULL);
    if (SUCCEEDED(hr)) {
        WaitForSingleObject(w.done, INFINITE);
        hr = out->result;
    }
    out->result = hr;
    if (w.done)
        CloseHandle(w.done);
    return hr;
}

HRESULT call_plain(struct request *r, PWSTR *document)
{
    struct reply reply;
    HRESULT hr = call_wait(r, &reply);
    if (document)
        *document = reply_string(&reply);
    reply_free(&reply);
    return hr;
}

// ---- events

// deliver runs a subscription's callback. front.lock is held, and given up
// around the call; the caller must look the subscription up anew afterwards.
static void deliver(struct subscription *s, DWORD type, HRESULT status, PCWSTR data)
{
    s->running = TRUE;
    event_callback callback = s->callback;
    void *of_front = s->of_front, *context = s->context;
    ReleaseSRWLockExclusive(&front.lock);
    callback(of_front, context, type, status, data);
    AcquireSRWLockExclusive(&front.lock);
}

static struct subscription *find(HANDLE_VALUE handle)
{
    struct subscription *s = front.subscriptions;
    while (s && s->handle != handle)
        s = s->next;
    return s;
}

static void deliver_event(const BYTE *body, DWORD size)
{
    UINT64 handle;
    DWORD type;
    struct reply values = {.next = body + WIRE_HEADER_SIZE, .end = body + size};
    memcpy(&handle, body + 4, 8);
    memcpy(&type, body + 12, 4);
    HRESULT status = (HRESULT)reply_number(&values);
    PWSTR data = reply_string(&values);
    AcquireSRWLockExclusive(&front.lock);
    struct subscription *s = find(handle);
    if (s) {
        deliver(s, type, status, data);
        s = find(handle); // unsubscribed by its own callback?
        if (s)
            s->running = FALSE;
    }
    ReleaseSRWLockExclusive(&front.lock);
    WakeAllConditionVariable(&front.callback_done);
    task_free(data);
}

// deliver_disconnect tells each subscription of the lost generation, and
// forgets it.
static void deliver_disconnect(UINT64 generation)
{
    AcquireSRWLockExclusive(&front.lock);
    for (;;) {
        struct subscription *s = front.subscriptions;
        while (s && s->handle >> GENERATION_SHIFT != generation)
            s = s->next;
        if (!s)
            break;
        HANDLE_VALUE handle = s->handle;
        deliver(s, HCS_EVENT_SERVICE_DISCONNECT, HCS_E_SERVICE_DISCONNECT, NULL);
        for (struct subscription **at = &front.subscriptions; *at; at = &(*at)->next) {
            if ((*at)->handle == handle) {
                s = *at;
                *at = s->next;
                free(s);
                break;
            }
        }
        WakeAllConditionVariable(&front.callback_done);
    }
    ReleaseSRWLockExclusive(&front.lock);
}

struct event_connection {
    HANDLE pipe;
    UINT64 generation;
};

static DWORD WINAPI event_thread(void *argument)
{
    struct event_connection connection = *(struct event_connection *)argument;
    free(argument);
    HANDLE pipe = connection.pipe, event = CreateEventW(NULL, TRUE, FALSE, NULL);
    DWORD size;
    BYTE *body;
    while (event && (body = receive_frame(pipe, event, &size))) {
        if (body[0] == WIRE_KIND_EVENT)
            deliver_event(body, size);
        free(body);
    }
    if (event)
        CloseHandle(event);
    AcquireSRWLockExclusive(&front.lock);
    if (front.events == pipe)
        front.events = NULL;
    ReleaseSRWLockExclusive(&front.lock);
    CloseHandle(pipe);
    deliver_disconnect(connection.generation);
    return 0;
}

// open_events opens the events connection beside the calls connection and
// starts its thread. write_lock is held.
static HRESULT open_events(void)
{
    struct event_connection *connection = malloc(sizeof *connection);
    if (!connection)
        return E_OUTOFMEMORY;
    HRESULT hr = open_connection(front.token, WIRE_ROLE_EVENTS, &connection->pipe);
    if (FAILED(hr)) {
        free(connection);
        return hr;
    }
    connection->generation = front.generation;
    HANDLE pipe = connection->pipe;
    AcquireSRWLockExclusive(&front.lock);
    front.events = pipe;
    front.event_generation = front.generation;
    BOOL started = start_thread(event_thread, connection, &front.event_thread);
    if (!started)
        front.events = NULL;
    ReleaseSRWLockExclusive(&front.lock);
    if (started)
        return HCS_S_OK;
    CloseHandle(pipe);
    free(connection);
    return E_OUTOFMEMORY;
}

// connect_events makes sure of an events connection.
static HRESULT connect_events(void)
{
    HRESULT hr = HCS_S_OK;
    AcquireSRWLockExclusive(&front.write_lock);
    if (!front.calls)
        hr = HCS_E_SERVICE_DISCONNECT;
    else if (!front.events || front.event_generation != front.generation)
        hr = open_events();
    ReleaseSRWLockExclusive(&front.write_lock);
    return hr;
}

HRESULT subscribe(PCWSTR function, HANDLE_VALUE handle, event_callback callback, void *of_front, void *context)
{
    struct request r;
    request_begin(&r, function);
    request_handle(&r, handle);
    if (r.failed == HCS_S_OK)
        r.failed = connect_events();
    struct subscription *s = malloc(sizeof *s);
    if (!s && r.failed == HCS_S_OK)
        r.failed = E_OUTOFMEMORY;
    if (r.failed == HCS_S_OK) {
        AcquireSRWLockExclusive(&front.lock);
        if (find(handle)) {
            r.failed = HCS_E_OPERATION_SYSTEM_CALLBACK_ALREADY_SET;
        } else {
            *s = (struct subscription){front.subscriptions, handle, callback, of_front, context, FALSE};
            front.subscriptions = s;
            s = NULL;
        }
        ReleaseSRWLockExclusive(&front.lock);
    }
    BOOL added = r.failed == HCS_S_OK;
    free(s);
    // Subscribed here before there, so that no event finds nobody.
    HRESULT hr = call_plain(&r, NULL);
    if (FAILED(hr) && added)
        unsubscribe(handle);
    return hr;
}

void unsubscribe(HANDLE_VALUE handle)
{
    AcquireSRWLockExclusive(&front.lock);
    BOOL inside = front.event_thread == GetCurrentThreadId();
    struct subscription *s;
    while ((s = find(handle)) && s->running && !inside)
        SleepConditionVariableSRW(&front.callback_done, &front.lock, INFINITE, 0);
    for (struct subscription **at = &front.subscriptions; *at; at = &(*at)->next) {
        if (*at == s && s) {
            *at = s->next;
            free(s);
            break;
        }
    }
    ReleaseSRWLockExclusive(&front.lock);
}
