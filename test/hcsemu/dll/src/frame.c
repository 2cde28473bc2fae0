// Encoding and decoding of frames; see transport.h and frame.h.
#include "frame.h"
#include <stdlib.h>
#include <string.h>

// ---- requests

static void *request_grow(struct request *r, DWORD more)
{
    if (r->failed != HCS_S_OK)
        return NULL;
    if (more > WIRE_MAX_FRAME || r->size + more > WIRE_MAX_FRAME) {
        r->failed = E_INVALIDARG;
        return NULL;
    }
    if (r->size + more > r->capacity) {
        DWORD capacity = (r->size + more) * 2;
        BYTE *data = realloc(r->data, capacity);
        if (!data) {
            r->failed = E_OUTOFMEMORY;
            return NULL;
        }
        r->data = data;
        r->capacity = capacity;
    }
    void *at = r->data + r->size;
    r->size += more;
    return at;
}

void frame_begin(struct request *r, BYTE kind, UINT64 id, DWORD code)
{
    memset(r, 0, sizeof *r);
    BYTE *head = request_grow(r, 4 + WIRE_HEADER_SIZE);
    if (!head)
        return;
    memset(head, 0, 4 + WIRE_HEADER_SIZE);
    head[4] = kind;
    memcpy(head + 8, &id, 8);
    memcpy(head + 16, &code, 4);
}

void frame_end(struct request *r)
{
    DWORD length = r->size - 4;
    memcpy(r->data, &length, 4);
    memcpy(r->data + 6, &r->count, 2);
}

static void add(struct request *r, BYTE tag, const void *bytes, DWORD size)
{
    BOOL sized = tag == WIRE_TAG_STRING || tag == WIRE_TAG_BLOB;
    if (size > WIRE_MAX_FRAME) {
        r->failed = E_INVALIDARG;
        return;
    }
    BYTE *at = request_grow(r, 1 + (sized ? 4 : 0) + size);
    if (!at)
        return;
    *at++ = tag;
    if (sized) {
        memcpy(at, &size, 4);
        at += 4;
    }
    if (size)
        memcpy(at, bytes, size);
    r->count++;
}

void request_begin(struct request *r, PCWSTR function)
{
    frame_begin(r, WIRE_KIND_REQUEST, 0, 0);
    request_string(r, function);
}

void request_number(struct request *r, UINT64 number)
{
    add(r, WIRE_TAG_NUMBER, &number, 8);
}

void request_string(struct request *r, PCWSTR text)
{
    if (!text) {
        add(r, WIRE_TAG_NULL, NULL, 0);
        return;
    }
    size_t length = wcslen(text);
    if (length > WIRE_MAX_FRAME)
        r->failed = E_INVALIDARG;
    else
        add(r, WIRE_TAG_STRING, text, (DWORD)(length * sizeof(WCHAR)));
}

void request_blob(struct request *r, const void *bytes, DWORD size)
{
    if (!bytes)
        add(r, WIRE_TAG_NULL, NULL, 0);
    else
        add(r, WIRE_TAG_BLOB, bytes, size);
}

// ---- replies

// take returns the next value if it has the wanted tag, and steps over it.
static const BYTE *take(struct reply *r, BYTE tag, DWORD *size)
{
    *size = 0;
    if (r->next >= r->end)
        return NULL;
    BYTE found = *r->next++;
    const BYTE *at = r->next;
    if (found == WIRE_TAG_NULL)
        return NULL;
    if (found == WIRE_TAG_NUMBER) {
        *size = 8;
    } else {
        if (r->end - at < 4)
            goto malformed;
        memcpy(size, at, 4);
        at += 4;
    }
    if ((size_t)(r->end - at) < *size)
        goto malformed;
    r->next = at + *size;
    return found == tag ? at : NULL;
malformed:
    r->next = r->end;
    return NULL;
}

UINT64 reply_number(struct reply *r)
{
    DWORD size;
    UINT64 number = 0;
    const BYTE *at = take(r, WIRE_TAG_NUMBER, &size);
    if (at)
        memcpy(&number, at, 8);
    return number;
}

PWSTR reply_string(struct reply *r)
{
    DWORD size;
    const BYTE *at = take(r, WIRE_TAG_STRING, &size);
    if (!at)
        return NULL;
    PWSTR text = task_alloc(size + sizeof(WCHAR));
    if (text) {
        memcpy(text, at, size);
        text[size / sizeof(WCHAR)] = 0;
    }
    return text;
}

DWORD reply_blob(struct reply *r, void *bytes, DWORD size)
{
    DWORD found;
    const BYTE *at = take(r, WIRE_TAG_BLOB, &found);
    if (!at)
        return 0;
    memcpy(bytes, at, found < size ? found : size);
    return found;
}

void reply_free(struct reply *r)
{
    free(r->buffer);
    memset(r, 0, sizeof *r);
}
