package silo

//sys ntOpenJobObject(job *windows.Handle, access uint32, attributes *windows.OBJECT_ATTRIBUTES) (ntstatus error) = ntdll.NtOpenJobObject
