// Calls from a DLL front to the emulator's service. The protocol is drawn in
// the package doc of test/hcsemu/wire; the constants below repeat it.
//
// Threads: each DLL that is used has one reader thread, started by the first
// call, and one event thread, started by the first subscription. Any thread may
// call anything here, but a completion function (call_start) runs on the reader
// thread and must not call the service itself.
#ifndef HCSEMU_TRANSPORT_H
#define HCSEMU_TRANSPORT_H

#define WIN32_LEAN_AND_MEAN
#define _WIN32_WINNT 0x0A00
#include <windows.h>

#define WIRE_PIPE_NAME L"\\\\.\\pipe\\hcsemu"
#define WIRE_VERSION 1
#define WIRE_MAX_FRAME (16u << 20)
#define WIRE_HEADER_SIZE 20u

#define WIRE_KIND_HELLO 1
#define WIRE_KIND_REQUEST 2
#define WIRE_KIND_REPLY 3
#define WIRE_KIND_EVENT 4

#define WIRE_TAG_NULL 0
#define WIRE_TAG_NUMBER 1
#define WIRE_TAG_STRING 2
#define WIRE_TAG_BLOB 3

#define WIRE_ROLE_CALLS 1
#define WIRE_ROLE_EVENTS 2

// Codes that the fronts return by themselves.
// Source: https://learn.microsoft.com/virtualization/api/hcs/reference/hcshresult
#define HCS_S_OK ((HRESULT)0)
#define HCS_E_SERVICE_NOT_AVAILABLE ((HRESULT)0x80370114)
#define HCS_E_OPERATION_NOT_STARTED ((HRESULT)0x80370115)
#define HCS_E_OPERATION_ALREADY_STARTED ((HRESULT)0x80370116)
#define HCS_E_OPERATION_PENDING ((HRESULT)0x80370117)
#define HCS_E_OPERATION_TIMEOUT ((HRESULT)0x80370118)
#define HCS_E_OPERATION_SYSTEM_CALLBACK_ALREADY_SET ((HRESULT)0x80370119)
#define HCS_E_PROCESS_INFO_NOT_AVAILABLE ((HRESULT)0x8037011D)
#define HCS_E_SERVICE_DISCONNECT ((HRESULT)0x8037011E)

// HCS_EVENT_TYPE of a lost service.
#define HCS_EVENT_SERVICE_DISCONNECT 0x02000000u

// The name under which a front says hello; each .c with exports defines it.
extern const WCHAR front_name[];

// A HANDLE_VALUE is what the fronts hand out as HCS_SYSTEM, HCS_PROCESS and
// HCN_*: a number chosen here, which carries the connection it belongs to.
typedef UINT64 HANDLE_VALUE;

// request is a call under construction. Its functions may be called in any
// number; running out of memory is remembered and reported by call_start.
struct request {
    BYTE *data;
    DWORD size, capacity;
    WORD count;
    HRESULT failed; // S_OK until something went wrong
};

void request_begin(struct request *r, PCWSTR function);
void request_number(struct request *r, UINT64 number);
void request_string(struct request *r, PCWSTR text); // NULL is null
void request_blob(struct request *r, const void *bytes, DWORD size);
// request_handle adds a handle. One of a connection that was lost since makes
// the call fail with HCS_E_SERVICE_DISCONNECT.
void request_handle(struct request *r, HANDLE_VALUE handle);
// request_new_handle chooses a handle, adds it and returns it; 0 if the
// service is not there, and then the call fails with the reason.
HANDLE_VALUE request_new_handle(struct request *r);

// reply is the answer to a call. Values are read in order; reading one that is
// not there or is of another type gives 0 or NULL.
struct reply {
    HRESULT result;
    BYTE *buffer; // owns the values
    const BYTE *next, *end;
};

UINT64 reply_number(struct reply *r);
// Strings that callers own come from the process's heap, to which CoTaskMemFree
// and LocalFree both give back. ole32.dll itself stays out: it brings user32,
// gdi32 and, under Wine, the host's fonts, which would count as memory of
// every shim that uses these DLLs.
static inline void *task_alloc(SIZE_T size) { return HeapAlloc(GetProcessHeap(), 0, size); }
static inline void task_free(void *memory) { HeapFree(GetProcessHeap(), 0, memory); }

// reply_string returns a copy that the caller owns, NULL for null.
PWSTR reply_string(struct reply *r);
// reply_blob copies at most size bytes and returns how many there were.
DWORD reply_blob(struct reply *r, void *bytes, DWORD size);
void reply_free(struct reply *r);

typedef void (*completion)(void *context, struct reply *r);

// call_start sends r, frees it, and returns S_OK if done will be called: once,
// on the reader thread, with the reply or with HCS_E_SERVICE_DISCONNECT. It
// never calls done itself. id, if not NULL, is set before done can run.
HRESULT call_start(struct request *r, completion done, void *context, UINT64 *id);

// call_wait sends r, frees it, and waits for the reply, which the caller frees
// whatever is returned. It returns the reply's result.
HRESULT call_wait(struct request *r, struct reply *out);

// call_plain is call_wait for a reply of which only the result matters, and,
// if document is not NULL, the document that comes first in every reply.
HRESULT call_plain(struct request *r, PWSTR *document);

// An event of the system or process named by handle. data is valid during the
// call. It runs on the event thread and may call the service.
typedef void (*event_callback)(void *of_front, void *context, DWORD type, HRESULT status, PCWSTR data);

// subscribe makes callback get the events of handle, by sending function, with
// two values: one of the front's and one of its caller's. A handle has one
// subscription at most.
HRESULT subscribe(PCWSTR function, HANDLE_VALUE handle, event_callback callback, void *of_front, void *context);

// unsubscribe returns once callback does not run and will not run again; on
// the event thread itself it does not wait. A handle without subscription is fine.
void unsubscribe(HANDLE_VALUE handle);

#endif
