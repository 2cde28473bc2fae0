// See export_table.h.
#include "export_table.h"
#include <string.h>

#define GRANULARITY 0x10000u
#define JUMP_SIZE 14
#define PAGE_SIZE 0x1000u

// The table holds 32-bit offsets from the module's start, so the way to the
// replacement starts on a page not far behind the module. Replacements of one
// module that come one after another share a page: each process pays for it.
static BYTE *allocate_behind(BYTE *base, SIZE_T image_size)
{
    static BYTE *last_base, *last_page;
    static SIZE_T used;
    if (base == last_base && used + JUMP_SIZE <= PAGE_SIZE) {
        used += JUMP_SIZE;
        return last_page + used - JUMP_SIZE;
    }
    BYTE *at = base + (image_size + GRANULARITY - 1) / GRANULARITY * GRANULARITY;
    for (; at < base + 0x7fff0000; at += GRANULARITY) {
        BYTE *page = VirtualAlloc(at, PAGE_SIZE, MEM_RESERVE | MEM_COMMIT, PAGE_EXECUTE_READWRITE);
        if (page) {
            last_base = base;
            last_page = page;
            used = JUMP_SIZE;
            return page;
        }
    }
    return NULL;
}

// find_slot returns the table's entry for name, NULL if there is none.
static DWORD *find_slot(BYTE *base, const IMAGE_NT_HEADERS *headers, const char *name)
{
    const IMAGE_DATA_DIRECTORY *directory =
        &headers->OptionalHeader.DataDirectory[IMAGE_DIRECTORY_ENTRY_EXPORT];
    if (!directory->VirtualAddress)
        return NULL;
    const IMAGE_EXPORT_DIRECTORY *exports = (IMAGE_EXPORT_DIRECTORY *)(base + directory->VirtualAddress);
    const DWORD *names = (DWORD *)(base + exports->AddressOfNames);
    const WORD *ordinals = (WORD *)(base + exports->AddressOfNameOrdinals);
    DWORD *functions = (DWORD *)(base + exports->AddressOfFunctions);
    for (DWORD i = 0; i < exports->NumberOfNames; i++) {
        if (strcmp((const char *)base + names[i], name) == 0)
            return &functions[ordinals[i]];
    }
    return NULL;
}

void *replace_export(HMODULE module, const char *name, void *replacement)
{
    BYTE *base = (BYTE *)module;
    const IMAGE_NT_HEADERS *headers = (IMAGE_NT_HEADERS *)(base + ((IMAGE_DOS_HEADER *)base)->e_lfanew);
    DWORD *slot = find_slot(base, headers, name);
    // Asked for, not computed: the entry may forward to another module.
    void *original = slot ? (void *)GetProcAddress(module, name) : NULL;
    BYTE *jump = original ? allocate_behind(base, headers->OptionalHeader.SizeOfImage) : NULL;
    DWORD before;
    if (!jump || !VirtualProtect(slot, sizeof *slot, PAGE_READWRITE, &before))
        return NULL;
    static const BYTE jump_indirect[6] = {0xff, 0x25, 0, 0, 0, 0}; // jmp [rip+0], the address follows
    memcpy(jump, jump_indirect, sizeof jump_indirect);
    memcpy(jump + sizeof jump_indirect, &replacement, sizeof replacement);
    *slot = (DWORD)(jump - base);
    VirtualProtect(slot, sizeof *slot, before, &before);
    return original;
}
