// bcryptprimitives.dll: what Go programs need under a Wine that lacks it. The
// Go runtime loads this DLL before anything else of a program runs, for
// ProcessPrng; so its entry point is also the place to mend what Wine does
// differently from Windows (ntdll.c, jobs.c, control_events.c, host.c, processes.c) and to add what it
// does not have (hvsock.c).
#include "compatibility.h"
#include <ntsecapi.h>

// Source: https://learn.microsoft.com/windows/win32/seccng/processprng
BOOL WINAPI ProcessPrng(BYTE *data, SIZE_T size)
{
    while (size) {
        ULONG chunk = size < 0x10000000 ? (ULONG)size : 0x10000000;
        if (!RtlGenRandom(data, chunk))
            return FALSE; // documented never to happen; callers check
        data += chunk;
        size -= chunk;
    }
    return TRUE;
}

BOOL WINAPI DllMain(HINSTANCE instance, DWORD reason, void *reserved)
{
    (void)reserved;
    if (reason == DLL_PROCESS_ATTACH) {
        DisableThreadLibraryCalls(instance);
        mend_ntdll();
        mend_jobs();
        mend_control_events();
        mend_host();
        mend_processes();
        add_hvsock();
    }
    return TRUE;
}
