package network

// Functions of computenetwork.dll:
// https://learn.microsoft.com/windows-server/networking/technologies/hcn/hcn-top
// They answer an HRESULT; the generator's name for "the return value is the
// code" is regerrno. They are not called through hcsshim's package hcn, because
// that brings OpenTelemetry and an HTTP client with it (see
// docs/dependencies.md), and because its types drop what they do not know.

//sys hcnEnumerateNamespaces(query *uint16, ids **uint16, failure **uint16) (regerrno error) = computenetwork.HcnEnumerateNamespaces?
//sys hcnEnumerateEndpoints(query *uint16, ids **uint16, failure **uint16) (regerrno error) = computenetwork.HcnEnumerateEndpoints?
//sys hcnOpenNamespace(id *windows.GUID, object *uintptr, failure **uint16) (regerrno error) = computenetwork.HcnOpenNamespace?
//sys hcnOpenEndpoint(id *windows.GUID, object *uintptr, failure **uint16) (regerrno error) = computenetwork.HcnOpenEndpoint?
//sys hcnQueryNamespace(object uintptr, query *uint16, document **uint16, failure **uint16) (regerrno error) = computenetwork.HcnQueryNamespaceProperties?
//sys hcnQueryEndpoint(object uintptr, query *uint16, document **uint16, failure **uint16) (regerrno error) = computenetwork.HcnQueryEndpointProperties?
//sys hcnCloseNamespace(object uintptr) (regerrno error) = computenetwork.HcnCloseNamespace?
//sys hcnCloseEndpoint(object uintptr) (regerrno error) = computenetwork.HcnCloseEndpoint?
//sys hcnCreateNamespace(id *windows.GUID, settings *uint16, object *uintptr, failure **uint16) (regerrno error) = computenetwork.HcnCreateNamespace?
//sys hcnModifyNamespace(object uintptr, request *uint16, failure **uint16) (regerrno error) = computenetwork.HcnModifyNamespace?
//sys hcnDeleteNamespace(id *windows.GUID, failure **uint16) (regerrno error) = computenetwork.HcnDeleteNamespace?
