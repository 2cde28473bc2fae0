package hcsemu

import (
	"context"
	"slices"
	"strings"
	"time"
)

// hostUser is a local user that a client made. It is guarded by the emulator's mu.
type hostUser struct {
	name, password string
	groups         []string
	owner          Caller
	since          time.Time
}

// localGroups are the local groups that every machine has.
// https://learn.microsoft.com/windows-server/identity/ad-ds/manage/understand-default-user-accounts
var localGroups = []string{"administrators", "users", "guests", "lab-agents"}

// serviceAccounts are those that LogonUser takes without a password.
// https://learn.microsoft.com/windows/win32/api/winbase/nf-winbase-logonuserw
var serviceAccounts = []string{"system", "local service", "localservice", "network service", "networkservice"}

// Codes of the network management functions, as HRESULTs.
// https://learn.microsoft.com/windows/win32/netmgmt/network-management-error-codes
const (
	EGroupNotFound HRESULT = 0x800708AC // NERR_GroupNotFound
	EUserNotFound  HRESULT = 0x800708AD // NERR_UserNotFound
	EUserExists    HRESULT = 0x800708B0 // NERR_UserExists
	EInvalidFlags  HRESULT = 0x800703EC // ERROR_INVALID_FLAGS
)

// onAccounts carries out a call of the account database, which is none of the
// compute service's.
func (c *Client) onAccounts(ctx context.Context, function string, args Args, f func() error) error {
	return c.simple(ctx, request{function: function, args: args, offline: true}, func(context.Context) error {
		c.e.mu.Lock()
		defer c.e.mu.Unlock()
		return f()
	})
}

// NetLocalGroupGetInfo fails unless there is a local group of this name.
func (c *Client) NetLocalGroupGetInfo(ctx context.Context, group string) error {
	return c.onAccounts(ctx, "NetLocalGroupGetInfo", Args{"group": group}, func() error { return checkGroup(group) })
}

func checkGroup(group string) error {
	if !slices.Contains(localGroups, strings.ToLower(group)) {
		return fail(EGroupNotFound, "there is no local group %q", group)
	}
	return nil
}

// maxUserName is LM20_UNLEN.
const maxUserName = 20

// NetUserAdd makes a local user.
func (c *Client) NetUserAdd(ctx context.Context, name, password string) error {
	return c.onAccounts(ctx, "NetUserAdd", Args{"user": name}, func() error {
		key := strings.ToLower(name)
		switch {
		case name == "" || len(name) > maxUserName || strings.ContainsAny(name, `"/\[]:;|=,+*?<>`):
			return fail(EInvalidArg, "%q can't be a user's name", name)
		case c.e.users[key] != nil || slices.Contains(localGroups, key):
			return fail(EUserExists, "there is a user or group %q", name)
		}
		c.e.users[key] = &hostUser{name: name, password: password, owner: c.caller, since: c.e.config.Now()}
		return nil
	})
}

// NetUserDel removes a local user.
func (c *Client) NetUserDel(ctx context.Context, name string) error {
	return c.onAccounts(ctx, "NetUserDel", Args{"user": name}, func() error {
		key := strings.ToLower(name)
		if c.e.users[key] == nil {
			return fail(EUserNotFound, "there is no user %q", name)
		}
		delete(c.e.users, key)
		return nil
	})
}

// NetLocalGroupAddMembers puts a local user into a local group.
func (c *Client) NetLocalGroupAddMembers(ctx context.Context, group, name string) error {
	return c.onAccounts(ctx, "NetLocalGroupAddMembers", Args{"group": group, "user": name}, func() error {
		u := c.e.users[strings.ToLower(name)]
		if u == nil {
			return fail(EUserNotFound, "there is no user %q", name)
		}
		if err := checkGroup(group); err != nil {
			return err
		}
		u.groups = append(u.groups, group)
		return nil
	})
}

// LogonUser checks who logs on: a service account without password, or a local
// user with the right one.
func (c *Client) LogonUser(ctx context.Context, domain, name, password string, kind uint32) error {
	args := Args{"domain": domain, "user": name, "type": kind} // never the password
	return c.onAccounts(ctx, "LogonUserW", args, func() error {
		const service = 5 // LOGON32_LOGON_SERVICE
		if strings.EqualFold(domain, "NT AUTHORITY") && kind == service && slices.Contains(serviceAccounts, strings.ToLower(name)) {
			return nil
		}
		u := c.e.users[strings.ToLower(name)]
		if u == nil || u.password != password || domain != "" && domain != "." {
			return fail(ELogonFailure, `%s\%s is unknown, or the password is wrong`, domain, name)
		}
		return nil
	})
}
