package main

// The functions of the device tree answer a CONFIGRET:
// https://learn.microsoft.com/windows/win32/api/cfgmgr32/

//sys cmLocateDevNode(node *uint32, id *uint16, flags uint32) (code uint32) = cfgmgr32.CM_Locate_DevNodeW
//sys cmGetChild(child *uint32, node uint32, flags uint32) (code uint32) = cfgmgr32.CM_Get_Child
//sys cmGetSibling(sibling *uint32, node uint32, flags uint32) (code uint32) = cfgmgr32.CM_Get_Sibling
//sys cmGetDevNodeProperty(node uint32, key *devicePropertyKey, kind *uint32, buffer *uint16, size *uint32, flags uint32) (code uint32) = cfgmgr32.CM_Get_DevNode_PropertyW
