// Hyper-V sockets (AF_HYPERV), which Wine lacks, over TCP on the loopback
// interface. The port of a listener is found in a folder that the host's and
// all guests' prefixes share:
//
//	%ISOL_HVSOCK_DIR%\<side>-<vm id>-<service id>.port    the port as decimal text
//
// A process is on the side "guest" if ISOL_HVSOCK_VM holds the id of the VM it
// plays in, on the side "host" otherwise. It listens on its own side and dials
// the other:
//
//	host   listens on (vm, service)       host-<vm>-<service>     ◀── guest dials (parent, service)
//	guest  listens on (any id, service)   guest-<its vm>-<service> ◀── host dials (vm, service)
//
// A host that listens for any VM (the zero id) is found if no listener for the
// VM itself is there; a host that dials an id nobody listens on as guest reaches
// the host's own listener, which is loopback.
//
// The provider's device \\.\HvSocketSystem\AddressInfo\{id}, by which a host maps
// the id of a container in a VM to the VM, is a file of the same folder that is
// there while a handle to it is open:
//
//	%ISOL_HVSOCK_DIR%\address-{id}       the ADDRESS_INFO that the host has set
//
// Source of addresses and well-known ids:
// https://learn.microsoft.com/virtualization/hyper-v-on-windows/user-guide/make-integration-service
#define WIN32_LEAN_AND_MEAN
#define _WIN32_WINNT 0x0A00
#include <winsock2.h>
#include <ws2tcpip.h>
#include <mswsock.h>

#include "compatibility.h"
#include "export_table.h"
#include <stdio.h>
#include <stdlib.h>

#define FAMILY_HYPERV 34

struct hyperv_address {
    USHORT family, reserved;
    GUID vm, service;
};

struct bound {
    struct bound *next;
    SOCKET socket;
    GUID vm, service;
    WCHAR file[MAX_PATH]; // the port's file, empty unless listening
};

static struct {
    SRWLOCK lock;
    struct bound *bound;
    WCHAR folder[MAX_PATH];
    BOOL guest;
    WCHAR vm[64]; // the guest's id
} hvsock = {.lock = SRWLOCK_INIT};

static SOCKET(WSAAPI *socket_original)(int, int, int);
static SOCKET(WSAAPI *wsasocket_original)(int, int, int, WSAPROTOCOL_INFOW *, GROUP, DWORD);
static int(WSAAPI *bind_original)(SOCKET, const struct sockaddr *, int);
static int(WSAAPI *listen_original)(SOCKET, int);
static int(WSAAPI *connect_original)(SOCKET, const struct sockaddr *, int);
static int(WSAAPI *close_original)(SOCKET);
static BOOL(WINAPI *close_handle_original)(HANDLE);
static int(WSAAPI *ioctl_original)(SOCKET, DWORD, void *, DWORD, void *, DWORD, DWORD *, WSAOVERLAPPED *,
                                   LPWSAOVERLAPPED_COMPLETION_ROUTINE);
static int(WSAAPI *getsockname_original)(SOCKET, struct sockaddr *, int *);
static LPFN_CONNECTEX connectex_original;
static HANDLE(WINAPI *createfile_original)(PCWSTR, DWORD, DWORD, SECURITY_ATTRIBUTES *, DWORD, DWORD, HANDLE);
static BOOL(WINAPI *devicecontrol_original)(HANDLE, DWORD, void *, DWORD, void *, DWORD, DWORD *, OVERLAPPED *);

// Nothing here is linked to ws2_32.dll, so that programs without sockets need
// not carry it; a socket error is the thread's last error (WSASetLastError).

// ---- ports

static void guid_text(const GUID *g, WCHAR text[64])
{
    swprintf(text, 64, L"%08lx-%04x-%04x-%02x%02x-%02x%02x%02x%02x%02x%02x", g->Data1, g->Data2, g->Data3, g->Data4[0],
             g->Data4[1], g->Data4[2], g->Data4[3], g->Data4[4], g->Data4[5], g->Data4[6], g->Data4[7]);
}

static void port_file(WCHAR path[MAX_PATH], BOOL guest_side, PCWSTR vm, const GUID *service)
{
    WCHAR service_text[64];
    guid_text(service, service_text);
    swprintf(path, MAX_PATH, L"%ls\\%ls-%ls-%ls.port", hvsock.folder, guest_side ? L"guest" : L"host", vm,
             service_text);
}

static BOOL write_port(PCWSTR path, USHORT port)
{
    WCHAR half_written[MAX_PATH + 16];
    char text[16];
    DWORD written;
    swprintf(half_written, MAX_PATH + 16, L"%ls.%lu", path, GetCurrentThreadId());
    int length = sprintf(text, "%u\n", port);
    HANDLE file = CreateFileW(half_written, GENERIC_WRITE, 0, NULL, CREATE_ALWAYS, 0, NULL);
    if (file == INVALID_HANDLE_VALUE)
        return FALSE;
    BOOL ok = WriteFile(file, text, (DWORD)length, &written, NULL);
    CloseHandle(file);
    return ok && MoveFileExW(half_written, path, MOVEFILE_REPLACE_EXISTING);
}

static USHORT read_port(PCWSTR path)
{
    char text[16] = "";
    DWORD length = 0;
    HANDLE file = CreateFileW(path, GENERIC_READ, FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE, NULL,
                              OPEN_EXISTING, 0, NULL);
    if (file == INVALID_HANDLE_VALUE)
        return 0;
    BOOL ok = ReadFile(file, text, sizeof text - 1, &length, NULL);
    CloseHandle(file);
    return ok ? (USHORT)strtoul(text, NULL, 10) : 0;
}

// find_port looks where a listener for the address may be, see the top.
static USHORT find_port(const struct hyperv_address *to)
{
    static const GUID any = {0};
    WCHAR vm[64], any_text[64], path[MAX_PATH];
    guid_text(hvsock.guest ? &any : &to->vm, vm);
    guid_text(&any, any_text);
    struct {
        BOOL guest_side;
        PCWSTR vm;
    } places[] = {
        {!hvsock.guest, hvsock.guest ? hvsock.vm : vm},
        {FALSE, hvsock.guest ? hvsock.vm : vm},
        {FALSE, any_text},
    };
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        port_file(path, places[i].guest_side, places[i].vm, &to->service);
        USHORT port = read_port(path);
        if (port)
            return port;
    }
    return 0;
}

static struct sockaddr_in loopback(USHORT port)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = (USHORT)(port << 8 | port >> 8)};
    to.sin_addr.S_un.S_addr = 0x0100007f; // 127.0.0.1
    return to;
}

// translate fills to with the TCP address of a listener. No listener is a
// refused connection.
static BOOL translate(const struct sockaddr *name, int length, struct sockaddr_in *to)
{
    USHORT port = length >= (int)sizeof(struct hyperv_address) ? find_port((const struct hyperv_address *)name) : 0;
    if (!port) {
        SetLastError(WSAECONNREFUSED);
        return FALSE;
    }
    *to = loopback(port);
    return TRUE;
}

// ---- the bound sockets

static struct bound *find_bound(SOCKET s)
{
    struct bound *b = hvsock.bound;
    while (b && b->socket != s)
        b = b->next;
    return b;
}

static void forget(SOCKET s)
{
    AcquireSRWLockShared(&hvsock.lock);
    BOOL known = find_bound(s) != NULL;
    ReleaseSRWLockShared(&hvsock.lock);
    if (!known)
        return;
    AcquireSRWLockExclusive(&hvsock.lock);
    for (struct bound **at = &hvsock.bound; *at; at = &(*at)->next) {
        struct bound *b = *at;
        if (b->socket == s) {
            *at = b->next;
            if (b->file[0])
                DeleteFileW(b->file);
            free(b);
            break;
        }
    }
    ReleaseSRWLockExclusive(&hvsock.lock);
}

// ---- the replacements

static SOCKET WSAAPI hv_socket(int family, int type, int protocol)
{
    return family == FAMILY_HYPERV ? socket_original(AF_INET, SOCK_STREAM, IPPROTO_TCP)
                                   : socket_original(family, type, protocol);
}

static SOCKET WSAAPI hv_wsasocket(int family, int type, int protocol, WSAPROTOCOL_INFOW *info, GROUP group, DWORD flags)
{
    return family == FAMILY_HYPERV ? wsasocket_original(AF_INET, SOCK_STREAM, IPPROTO_TCP, NULL, group, flags)
                                   : wsasocket_original(family, type, protocol, info, group, flags);
}

static int WSAAPI hv_bind(SOCKET s, const struct sockaddr *name, int length)
{
    forget(s);
    if (!name || length < (int)sizeof(struct hyperv_address) || name->sa_family != FAMILY_HYPERV)
        return bind_original(s, name, length);
    struct sockaddr_in any_port = loopback(0);
    int result = bind_original(s, (struct sockaddr *)&any_port, sizeof any_port);
    struct bound *b = result == 0 ? calloc(1, sizeof *b) : NULL;
    if (b) {
        const struct hyperv_address *address = (const struct hyperv_address *)name;
        b->socket = s;
        b->vm = address->vm;
        b->service = address->service;
        AcquireSRWLockExclusive(&hvsock.lock);
        b->next = hvsock.bound;
        hvsock.bound = b;
        ReleaseSRWLockExclusive(&hvsock.lock);
    }
    return result;
}

// The port is published by listen and not by bind, because dialers bind too.
static int WSAAPI hv_listen(SOCKET s, int backlog)
{
    int result = listen_original(s, backlog);
    if (result != 0)
        return result;
    struct sockaddr_in own = {0};
    int length = sizeof own;
    AcquireSRWLockExclusive(&hvsock.lock);
    struct bound *b = find_bound(s);
    if (b && getsockname_original(s, (struct sockaddr *)&own, &length) == 0) {
        WCHAR vm[64];
        guid_text(&b->vm, vm);
        port_file(b->file, hvsock.guest, hvsock.guest ? hvsock.vm : vm, &b->service);
        if (!write_port(b->file, (USHORT)(own.sin_port << 8 | own.sin_port >> 8))) {
            SetLastError(WSAEADDRNOTAVAIL);
            result = SOCKET_ERROR;
        }
    }
    ReleaseSRWLockExclusive(&hvsock.lock);
    return result;
}

static int WSAAPI hv_connect(SOCKET s, const struct sockaddr *name, int length)
{
    struct sockaddr_in to;
    if (!name || length < 2 || name->sa_family != FAMILY_HYPERV)
        return connect_original(s, name, length);
    if (!translate(name, length, &to))
        return SOCKET_ERROR;
    return connect_original(s, (struct sockaddr *)&to, sizeof to);
}

static BOOL PASCAL hv_connectex(SOCKET s, const struct sockaddr *name, int length, void *data, DWORD size, DWORD *sent,
                                OVERLAPPED *overlapped)
{
    struct sockaddr_in to;
    if (!name || length < 2 || name->sa_family != FAMILY_HYPERV)
        return connectex_original(s, name, length, data, size, sent, overlapped);
    if (!translate(name, length, &to))
        return FALSE;
    return connectex_original(s, (struct sockaddr *)&to, sizeof to, data, size, sent, overlapped);
}

// ConnectEx has no export; programs ask for it here.
static int WSAAPI hv_ioctl(SOCKET s, DWORD code, void *in, DWORD in_size, void *out, DWORD out_size, DWORD *returned,
                           WSAOVERLAPPED *overlapped, LPWSAOVERLAPPED_COMPLETION_ROUTINE routine)
{
    static const GUID connectex_id = WSAID_CONNECTEX;
    int result = ioctl_original(s, code, in, in_size, out, out_size, returned, overlapped, routine);
    if (result == 0 && code == SIO_GET_EXTENSION_FUNCTION_POINTER && in && in_size >= sizeof(GUID) && out &&
        out_size >= sizeof(void *) && memcmp(in, &connectex_id, sizeof connectex_id) == 0) {
        LPFN_CONNECTEX own = hv_connectex;
        memcpy(&connectex_original, out, sizeof connectex_original);
        memcpy(out, &own, sizeof own);
    }
    return result;
}

static int WSAAPI hv_close(SOCKET s)
{
    forget(s);
    return close_original(s);
}

// go-winio closes its sockets as handles.
static BOOL WINAPI hv_close_handle(HANDLE handle)
{
    forget((SOCKET)handle);
    return close_handle_original(handle);
}

// ---- the provider's device

static HANDLE WINAPI hv_createfile(PCWSTR name, DWORD access, DWORD share, SECURITY_ATTRIBUTES *security,
                                   DWORD disposition, DWORD attributes, HANDLE template)
{
    static const WCHAR device[] = L"\\\\.\\HvSocketSystem\\AddressInfo\\";
    const size_t length = sizeof device / sizeof device[0] - 1;
    WCHAR path[MAX_PATH];
    if (!name || _wcsnicmp(name, device, length) != 0)
        return createfile_original(name, access, share, security, disposition, attributes, template);
    swprintf(path, MAX_PATH, L"%ls\\address-%ls", hvsock.folder, name + length);
    return createfile_original(path, access, share, security, disposition, attributes | FILE_FLAG_DELETE_ON_CLOSE,
                               template);
}

// As runhcs relies on it: internal/hvsocket sets an entry with this code.
#define IOCTL_UPDATE_ADDRESS_INFO 0x21c004

static BOOL WINAPI hv_devicecontrol(HANDLE file, DWORD code, void *in, DWORD in_size, void *out, DWORD out_size,
                                    DWORD *returned, OVERLAPPED *overlapped)
{
    DWORD written = 0;
    if (code != IOCTL_UPDATE_ADDRESS_INFO)
        return devicecontrol_original(file, code, in, in_size, out, out_size, returned, overlapped);
    if (returned)
        *returned = 0;
    return WriteFile(file, in, in_size, &written, NULL);
}

static void add_device(void)
{
    HMODULE kernel = GetModuleHandleW(L"kernel32.dll");
    createfile_original = (void *)GetProcAddress(kernel, "CreateFileW");
    devicecontrol_original = (void *)GetProcAddress(kernel, "DeviceIoControl");
    replace_export(kernel, "CreateFileW", (void *)hv_createfile);
    replace_export(kernel, "DeviceIoControl", (void *)hv_devicecontrol);
}

void add_hvsock(void)
{
    if (!GetEnvironmentVariableW(L"ISOL_HVSOCK_DIR", hvsock.folder, MAX_PATH - 120))
        return;
    hvsock.guest = GetEnvironmentVariableW(L"ISOL_HVSOCK_VM", hvsock.vm, 64) != 0;
    add_device();
    HMODULE ws2 = LoadLibraryW(L"ws2_32.dll");
    if (!ws2)
        return;
    getsockname_original = (void *)GetProcAddress(ws2, "getsockname");
    struct {
        const char *name;
        void *replacement;
        void **original;
    } functions[] = {
        {"socket", (void *)hv_socket, (void **)&socket_original},
        {"WSASocketW", (void *)hv_wsasocket, (void **)&wsasocket_original},
        {"bind", (void *)hv_bind, (void **)&bind_original},
        {"listen", (void *)hv_listen, (void **)&listen_original},
        {"connect", (void *)hv_connect, (void **)&connect_original},
        {"closesocket", (void *)hv_close, (void **)&close_original},
        {"WSAIoctl", (void *)hv_ioctl, (void **)&ioctl_original},
        {"CloseHandle", (void *)hv_close_handle, (void **)&close_handle_original},
    };
    const size_t count = sizeof functions / sizeof functions[0];
    for (size_t i = 0; i < count; i++) {
        HMODULE module = i == count - 1 ? GetModuleHandleW(L"kernel32.dll") : ws2;
        *functions[i].original = (void *)GetProcAddress(module, functions[i].name);
        replace_export(module, functions[i].name, functions[i].replacement);
    }
}
