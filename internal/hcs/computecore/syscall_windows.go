package computecore

// Every function answers an HRESULT; the generator's name for "the return value
// is the code" is regerrno. A "?" makes an absent function an error of its call:
// Windows of 1809 lacks some. Strings are passed as pointers because the caller
// also has to pass none.

// https://learn.microsoft.com/virtualization/api/hcs/reference/hcscreateoperation
//sys hcsCreateOperation(context uintptr, callback uintptr) (op handle, err error) = computecore.HcsCreateOperation?

// https://learn.microsoft.com/virtualization/api/hcs/reference/hcscloseoperation
//sys hcsCloseOperation(op handle) = computecore.HcsCloseOperation

// https://learn.microsoft.com/virtualization/api/hcs/reference/hcscanceloperation
//sys hcsCancelOperation(op handle) (regerrno error) = computecore.HcsCancelOperation?

// https://learn.microsoft.com/virtualization/api/hcs/reference/hcsgetoperationresult
//sys hcsGetOperationResult(op handle, doc **uint16) (regerrno error) = computecore.HcsGetOperationResult?

// https://learn.microsoft.com/virtualization/api/hcs/reference/hcswaitforoperationresult
//sys hcsWaitForOperationResult(op handle, ms uint32, doc **uint16) (regerrno error) = computecore.HcsWaitForOperationResult?

// https://learn.microsoft.com/virtualization/api/hcs/reference/hcswaitforoperationresultandprocessinfo
//sys hcsWaitForOperationResultAndProcessInfo(op handle, ms uint32, info *processInformation, doc **uint16) (regerrno error) = computecore.HcsWaitForOperationResultAndProcessInfo?

// https://learn.microsoft.com/virtualization/api/hcs/reference/hcscreatecomputesystem
//sys hcsCreateComputeSystem(id *uint16, doc *uint16, op handle, securityDescriptor uintptr, system *handle) (regerrno error) = computecore.HcsCreateComputeSystem?

// https://learn.microsoft.com/virtualization/api/hcs/reference/hcsopencomputesystem
//sys hcsOpenComputeSystem(id *uint16, access uint32, system *handle) (regerrno error) = computecore.HcsOpenComputeSystem?

// https://learn.microsoft.com/virtualization/api/hcs/reference/hcsclosecomputesystem
//sys hcsCloseComputeSystem(system handle) = computecore.HcsCloseComputeSystem

// https://learn.microsoft.com/virtualization/api/hcs/reference/hcsstartcomputesystem
//sys hcsStartComputeSystem(system handle, op handle, options *uint16) (regerrno error) = computecore.HcsStartComputeSystem?

// https://learn.microsoft.com/virtualization/api/hcs/reference/hcsshutdowncomputesystem
//sys hcsShutDownComputeSystem(system handle, op handle, options *uint16) (regerrno error) = computecore.HcsShutDownComputeSystem?

// https://learn.microsoft.com/virtualization/api/hcs/reference/hcsterminatecomputesystem
//sys hcsTerminateComputeSystem(system handle, op handle, options *uint16) (regerrno error) = computecore.HcsTerminateComputeSystem?

// https://learn.microsoft.com/virtualization/api/hcs/reference/hcsgetcomputesystemproperties
//sys hcsGetComputeSystemProperties(system handle, op handle, query *uint16) (regerrno error) = computecore.HcsGetComputeSystemProperties?

// https://learn.microsoft.com/virtualization/api/hcs/reference/hcsmodifycomputesystem
//sys hcsModifyComputeSystem(system handle, op handle, doc *uint16, identity uintptr) (regerrno error) = computecore.HcsModifyComputeSystem?

// https://learn.microsoft.com/virtualization/api/hcs/reference/hcsenumeratecomputesystems
//sys hcsEnumerateComputeSystems(query *uint16, op handle) (regerrno error) = computecore.HcsEnumerateComputeSystems?

// https://learn.microsoft.com/virtualization/api/hcs/reference/hcssetcomputesystemcallback
//sys hcsSetComputeSystemCallback(system handle, options uint32, context uintptr, callback uintptr) (regerrno error) = computecore.HcsSetComputeSystemCallback?

// https://learn.microsoft.com/virtualization/api/hcs/reference/hcscreateprocess
//sys hcsCreateProcess(system handle, params *uint16, op handle, securityDescriptor uintptr, process *handle) (regerrno error) = computecore.HcsCreateProcess?

// https://learn.microsoft.com/virtualization/api/hcs/reference/hcsopenprocess
//sys hcsOpenProcess(system handle, pid uint32, access uint32, process *handle) (regerrno error) = computecore.HcsOpenProcess?

// https://learn.microsoft.com/virtualization/api/hcs/reference/hcscloseprocess
//sys hcsCloseProcess(process handle) = computecore.HcsCloseProcess

// https://learn.microsoft.com/virtualization/api/hcs/reference/hcsterminateprocess
//sys hcsTerminateProcess(process handle, op handle, options *uint16) (regerrno error) = computecore.HcsTerminateProcess?

// https://learn.microsoft.com/virtualization/api/hcs/reference/hcssignalprocess
//sys hcsSignalProcess(process handle, op handle, options *uint16) (regerrno error) = computecore.HcsSignalProcess?

// https://learn.microsoft.com/virtualization/api/hcs/reference/hcsmodifyprocess
//sys hcsModifyProcess(process handle, op handle, doc *uint16) (regerrno error) = computecore.HcsModifyProcess?

// https://learn.microsoft.com/virtualization/api/hcs/reference/hcsgetprocessinfo
//sys hcsGetProcessInfo(process handle, op handle) (regerrno error) = computecore.HcsGetProcessInfo?

// https://learn.microsoft.com/virtualization/api/hcs/reference/hcssetprocesscallback
//sys hcsSetProcessCallback(process handle, options uint32, context uintptr, callback uintptr) (regerrno error) = computecore.HcsSetProcessCallback?

// https://learn.microsoft.com/virtualization/api/hcs/reference/hcsgetserviceproperties
//sys hcsGetServiceProperties(query *uint16, doc **uint16) (regerrno error) = computecore.HcsGetServiceProperties?

// https://learn.microsoft.com/virtualization/api/hcs/reference/hcsmodifyservicesettings
//sys hcsModifyServiceSettings(doc *uint16, answer **uint16) (regerrno error) = computecore.HcsModifyServiceSettings?

// https://learn.microsoft.com/virtualization/api/hcs/reference/hcsgrantvmaccess
//sys hcsGrantVMAccess(id *uint16, path *uint16) (regerrno error) = computecore.HcsGrantVmAccess?

// https://learn.microsoft.com/virtualization/api/hcs/reference/hcsrevokevmaccess
//sys hcsRevokeVMAccess(id *uint16, path *uint16) (regerrno error) = computecore.HcsRevokeVmAccess?
