// Processes that die before they have begun: once in some thousands of times, and
// more often on a machine with much to do, Wine 8.0 loses a new process while it
// starts, and tells whoever made it ERROR_INTERNAL_ERROR. Windows does not, and so
// no Go program tries again.
#include "compatibility.h"
#include "export_table.h"

#define ATTEMPTS 4
#define PAUSE_MS 20

typedef BOOL(WINAPI *create_function)(const WCHAR *, WCHAR *, SECURITY_ATTRIBUTES *, SECURITY_ATTRIBUTES *, BOOL, DWORD,
                                      void *, const WCHAR *, STARTUPINFOW *, PROCESS_INFORMATION *);
typedef BOOL(WINAPI *create_as_function)(HANDLE, const WCHAR *, WCHAR *, SECURITY_ATTRIBUTES *, SECURITY_ATTRIBUTES *,
                                         BOOL, DWORD, void *, const WCHAR *, STARTUPINFOW *, PROCESS_INFORMATION *);

static create_function create_original;
static create_as_function create_as_original;

// lost says whether the outcome is the loss of a process, and waits a little.
static BOOL lost(BOOL made)
{
    if (made || GetLastError() != ERROR_INTERNAL_ERROR)
        return FALSE;
    Sleep(PAUSE_MS);
    SetLastError(ERROR_INTERNAL_ERROR);
    return TRUE;
}

static BOOL WINAPI create_process(const WCHAR *program, WCHAR *line, SECURITY_ATTRIBUTES *process,
                                  SECURITY_ATTRIBUTES *thread, BOOL inherit, DWORD flags, void *environment,
                                  const WCHAR *folder, STARTUPINFOW *startup, PROCESS_INFORMATION *info)
{
    BOOL made;
    int attempt = 1;
    do
        made = create_original(program, line, process, thread, inherit, flags, environment, folder, startup, info);
    while (lost(made) && attempt++ < ATTEMPTS);
    return made;
}

static BOOL WINAPI create_process_as(HANDLE user, const WCHAR *program, WCHAR *line, SECURITY_ATTRIBUTES *process,
                                     SECURITY_ATTRIBUTES *thread, BOOL inherit, DWORD flags, void *environment,
                                     const WCHAR *folder, STARTUPINFOW *startup, PROCESS_INFORMATION *info)
{
    BOOL made;
    int attempt = 1;
    do
        made = create_as_original(user, program, line, process, thread, inherit, flags, environment, folder, startup, info);
    while (lost(made) && attempt++ < ATTEMPTS);
    return made;
}

void mend_processes(void)
{
    create_as_original = (create_as_function)replace_export(GetModuleHandleW(L"advapi32.dll"), "CreateProcessAsUserW",
                                                            (void *)create_process_as);
    create_original = (create_function)replace_export(GetModuleHandleW(L"kernel32.dll"), "CreateProcessW",
                                                      (void *)create_process);
}
