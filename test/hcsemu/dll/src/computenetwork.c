// computenetwork.dll: the Host Compute Network service. Each function is
// documented at
// https://learn.microsoft.com/windows-server/networking/technologies/hcn/hcn-top
//
// Five kinds of objects have the same seven functions; one macro writes them.
// Errors come with a document in the last parameter, results in the one before.
#include "transport.h"

const WCHAR front_name[] = L"computenetwork.dll";

static HRESULT finish(HRESULT hr, PWSTR document, PWSTR *answer, PWSTR *error)
{
    if (answer)
        *answer = NULL;
    if (error)
        *error = NULL;
    PWSTR *taker = SUCCEEDED(hr) ? answer : error;
    if (taker)
        *taker = document;
    else
        task_free(document);
    return hr;
}

static HRESULT enumerate(PCWSTR function, PCWSTR query, PWSTR *objects, PWSTR *error)
{
    struct request r;
    request_begin(&r, function);
    request_string(&r, query);
    PWSTR document;
    HRESULT hr = call_plain(&r, &document);
    return finish(hr, document, objects, error);
}

// make is Create and Open: both give a handle. parent is 0 but for endpoints.
static HRESULT make(PCWSTR function, HANDLE_VALUE parent, const GUID *id, PCWSTR settings, HANDLE_VALUE *object,
                    PWSTR *error)
{
    if (!id || !object)
        return E_INVALIDARG;
    struct request r;
    request_begin(&r, function);
    if (parent)
        request_handle(&r, parent);
    else
        request_number(&r, 0);
    *object = request_new_handle(&r);
    request_blob(&r, id, sizeof *id);
    request_string(&r, settings);
    PWSTR document;
    HRESULT hr = call_plain(&r, &document);
    if (FAILED(hr))
        *object = 0;
    return finish(hr, document, NULL, error);
}

static HRESULT on_handle(PCWSTR function, HANDLE_VALUE object, PCWSTR text, PWSTR *answer, PWSTR *error)
{
    struct request r;
    request_begin(&r, function);
    request_handle(&r, object);
    request_string(&r, text);
    PWSTR document;
    HRESULT hr = call_plain(&r, &document);
    return finish(hr, document, answer, error);
}

static HRESULT delete_object(PCWSTR function, const GUID *id, PWSTR *error)
{
    if (!id)
        return E_INVALIDARG;
    struct request r;
    request_begin(&r, function);
    request_blob(&r, id, sizeof *id);
    PWSTR document;
    HRESULT hr = call_plain(&r, &document);
    return finish(hr, document, NULL, error);
}

#define OBJECT(KIND, KINDS)                                                                                            \
    HRESULT WINAPI HcnEnumerate##KINDS(PCWSTR query, PWSTR *objects, PWSTR *error)                                     \
    {                                                                                                                  \
        return enumerate(L"HcnEnumerate" #KINDS, query, objects, error);                                              \
    }                                                                                                                  \
    HRESULT WINAPI HcnOpen##KIND(const GUID *id, HANDLE_VALUE *object, PWSTR *error)                                   \
    {                                                                                                                  \
        return make(L"HcnOpen" #KIND, 0, id, NULL, object, error);                                                     \
    }                                                                                                                  \
    HRESULT WINAPI HcnModify##KIND(HANDLE_VALUE object, PCWSTR settings, PWSTR *error)                                 \
    {                                                                                                                  \
        return on_handle(L"HcnModify" #KIND, object, settings, NULL, error);                                           \
    }                                                                                                                  \
    HRESULT WINAPI HcnQuery##KIND##Properties(HANDLE_VALUE object, PCWSTR query, PWSTR *properties, PWSTR *error)      \
    {                                                                                                                  \
        return on_handle(L"HcnQuery" #KIND "Properties", object, query, properties, error);                            \
    }                                                                                                                  \
    HRESULT WINAPI HcnDelete##KIND(const GUID *id, PWSTR *error)                                                       \
    {                                                                                                                  \
        return delete_object(L"HcnDelete" #KIND, id, error);                                                           \
    }                                                                                                                  \
    HRESULT WINAPI HcnClose##KIND(HANDLE_VALUE object)                                                                 \
    {                                                                                                                  \
        return on_handle(L"HcnClose" #KIND, object, NULL, NULL, NULL);                                                 \
    }

#define CREATED_ALONE(KIND)                                                                                            \
    HRESULT WINAPI HcnCreate##KIND(const GUID *id, PCWSTR settings, HANDLE_VALUE *object, PWSTR *error)                \
    {                                                                                                                  \
        return make(L"HcnCreate" #KIND, 0, id, settings, object, error);                                               \
    }

OBJECT(Network, Networks)
OBJECT(Endpoint, Endpoints)
OBJECT(Namespace, Namespaces)
OBJECT(LoadBalancer, LoadBalancers)
OBJECT(SdnRoute, SdnRoutes)

CREATED_ALONE(Network)
CREATED_ALONE(Namespace)
CREATED_ALONE(LoadBalancer)
CREATED_ALONE(SdnRoute)

HRESULT WINAPI HcnCreateEndpoint(HANDLE_VALUE network, const GUID *id, PCWSTR settings, HANDLE_VALUE *object,
                                 PWSTR *error)
{
    return make(L"HcnCreateEndpoint", network, id, settings, object, error);
}
