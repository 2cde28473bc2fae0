// Where Wine's ntdll.dll differs from Windows in what Go programs rely on.
#include "compatibility.h"
#include "export_table.h"
#include <winternl.h>

// ---- the first instance of a named pipe

// go-winio's ListenPipe creates it with
// SYNCHRONIZE access only, to reserve the name: on Windows such an instance
// takes no client. Wine 8.0 hands it the first client, which then waits for ever.

typedef NTSTATUS(NTAPI *create_function)(HANDLE *, ULONG, OBJECT_ATTRIBUTES *, IO_STATUS_BLOCK *, ULONG, ULONG, ULONG,
                                         ULONG, ULONG, ULONG, ULONG, ULONG, ULONG, LARGE_INTEGER *);

static create_function create_original;

// The instance is made with full access, and a client end is opened and closed
// at once: from then on it is no longer listening.
static NTSTATUS NTAPI create_named_pipe(HANDLE *handle, ULONG access, OBJECT_ATTRIBUTES *attributes,
                                        IO_STATUS_BLOCK *status, ULONG share, ULONG disposition, ULONG options,
                                        ULONG type, ULONG read_mode, ULONG completion_mode, ULONG instances,
                                        ULONG inbound, ULONG outbound, LARGE_INTEGER *timeout)
{
    const ULONG data_access = GENERIC_READ | GENERIC_WRITE | GENERIC_ALL | FILE_READ_DATA | FILE_WRITE_DATA;
    BOOL reserve_only = !(access & data_access);
    if (reserve_only)
        access |= GENERIC_READ | GENERIC_WRITE;
    NTSTATUS result = create_original(handle, access, attributes, status, share, disposition, options, type, read_mode,
                                      completion_mode, instances, inbound, outbound, timeout);
    if (result == 0 && reserve_only) {
        HANDLE client;
        IO_STATUS_BLOCK ignored;
        if (NtOpenFile(&client, GENERIC_READ | SYNCHRONIZE, attributes, &ignored, FILE_SHARE_READ | FILE_SHARE_WRITE,
                       0) == 0)
            NtClose(client);
    }
    return result;
}

// ---- information classes of files

typedef NTSTATUS(NTAPI *set_information_function)(HANDLE, IO_STATUS_BLOCK *, void *, ULONG, ULONG);

static set_information_function set_information_original;

// Windows answers a class that it does not know with STATUS_INVALID_INFO_CLASS,
// Wine 8.0 with STATUS_NOT_IMPLEMENTED. Go's os.RemoveAll asks for POSIX
// deletion (class 64) and takes the older way only if told the former.
static NTSTATUS NTAPI set_information(HANDLE file, IO_STATUS_BLOCK *status, void *data, ULONG size, ULONG class)
{
    const NTSTATUS not_implemented = (NTSTATUS)0xC0000002, invalid_class = (NTSTATUS)0xC0000003;
    NTSTATUS result = set_information_original(file, status, data, size, class);
    return result == not_implemented ? invalid_class : result;
}

void mend_ntdll(void)
{
    HMODULE ntdll = GetModuleHandleW(L"ntdll.dll");
    create_original =
        (create_function)replace_export(ntdll, "NtCreateNamedPipeFile", (void *)create_named_pipe);
    set_information_original =
        (set_information_function)replace_export(ntdll, "NtSetInformationFile", (void *)set_information);
}
