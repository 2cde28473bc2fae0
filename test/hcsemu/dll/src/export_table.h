// Replacing an exported function of a loaded module.
#ifndef HCSEMU_EXPORT_TABLE_H
#define HCSEMU_EXPORT_TABLE_H

#include <windows.h>

// replace_export makes GetProcAddress(module, name) return replacement from
// now on and returns the function it returned before, NULL if that can't be
// done. Callers that were linked to the function before are not touched. That is
// enough for Go programs, which find every function with GetProcAddress.
void *replace_export(HMODULE module, const char *name, void *replacement);

#endif
