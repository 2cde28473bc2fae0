// The first instance of a named pipe. go-winio's ListenPipe creates it with
// SYNCHRONIZE access only, to reserve the name: on Windows such an instance
// takes no client. Wine 8.0 hands it the first client, which then waits for ever.
#include "compatibility.h"
#include "export_table.h"
#include <winternl.h>

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

void mend_named_pipes(void)
{
    create_original = (create_function)replace_export(GetModuleHandleW(L"ntdll.dll"), "NtCreateNamedPipeFile",
                                                      (void *)create_named_pipe);
}
