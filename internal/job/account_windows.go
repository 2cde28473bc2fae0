package job

import (
	"errors"
	"sync"
	"syscall"

	"golang.org/x/sys/windows"
)

// userInfo1 is USER_INFO_1.
// https://learn.microsoft.com/windows/win32/api/lmaccess/ns-lmaccess-user_info_1
type userInfo1 struct {
	name        *uint16
	password    *uint16
	passwordAge uint32
	privilege   uint32
	home        *uint16
	comment     *uint16
	flags       uint32
	script      *uint16
}

const (
	privilegeUser      = 1       // USER_PRIV_USER
	flagScript         = 0x1     // UF_SCRIPT, which NetUserAdd wants
	flagNormalAccount  = 0x200   // UF_NORMAL_ACCOUNT
	flagPasswordStays  = 0x10000 // UF_DONT_EXPIRE_PASSWD
	logonInteractive   = 2       // LOGON32_LOGON_INTERACTIVE
	logonService       = 5       // LOGON32_LOGON_SERVICE
	errNoSuchGroupCode = syscall.Errno(2220)
)

// groupMember3 is LOCALGROUP_MEMBERS_INFO_3.
// https://learn.microsoft.com/windows/win32/api/lmaccess/ns-lmaccess-localgroup_members_info_3
type groupMember3 struct{ domainAndName *uint16 }

// IsGroup implements System.
func (*native) IsGroup(name string) (bool, error) {
	err := onText("NetLocalGroupGetInfo", name, func(p *uint16) error {
		var info *byte
		if err := netLocalGroupGetInfo(nil, p, 0, &info); err != nil {
			return err
		}
		return windows.NetApiBufferFree(info)
	})
	for _, none := range []error{errNoSuchGroupCode, windows.ERROR_NO_SUCH_ALIAS, windows.ERROR_INVALID_NAME, windows.ERROR_INVALID_PARAMETER} {
		if errors.Is(err, none) {
			return false, nil
		}
	}
	return err == nil, err
}

// AddUser implements System.
func (n *native) AddUser(name, password, group string) error {
	secret, err := wide(password)
	if err != nil {
		return failed("NetUserAdd", name, err)
	}
	comment, err := wide("runs a HostProcess container of isol, and is removed with it")
	if err != nil {
		return failed("NetUserAdd", name, err)
	}
	err = onText("NetUserAdd", name, func(p *uint16) error {
		return netUserAdd(nil, 1, &userInfo1{
			name: p, password: secret, privilege: privilegeUser, comment: comment,
			flags: flagScript | flagNormalAccount | flagPasswordStays,
		}, nil)
	})
	if err != nil {
		return err
	}
	if err := addMember(group, name); err != nil {
		return errors.Join(err, n.RemoveUser(name))
	}
	return nil
}

func addMember(group, name string) error {
	machine, err := windows.ComputerName()
	if err != nil {
		return failed("GetComputerNameW", "", err)
	}
	member, err := wide(machine + `\` + name)
	if err != nil {
		return failed("NetLocalGroupAddMembers", group, err)
	}
	return onText("NetLocalGroupAddMembers", group, func(p *uint16) error {
		return netLocalGroupAddMembers(nil, p, 3, &groupMember3{member}, 1)
	})
}

// RemoveUser implements System.
func (*native) RemoveUser(name string) error {
	err := onText("NetUserDel", name, func(p *uint16) error { return netUserDel(nil, p) })
	if errors.Is(err, syscall.Errno(codeNoUser)) {
		return nil
	}
	return err
}

// Logon implements System.
func (*native) Logon(a Account) (Token, error) {
	var domain, password *uint16
	var err error
	if a.Domain != "" {
		if domain, err = wide(a.Domain); err != nil {
			return nil, failed("LogonUserW", a.Name, err)
		}
	}
	if a.Password != "" {
		if password, err = wide(a.Password); err != nil {
			return nil, failed("LogonUserW", a.Name, err)
		}
	}
	kind := uint32(logonInteractive)
	if a.Service {
		kind = logonService
	}
	t := &token{}
	name, err := wide(a.Name)
	if err == nil {
		err = logonUser(name, domain, password, kind, 0, &t.handle)
	}
	if err != nil {
		return nil, failed("LogonUserW", a.Domain+`\`+a.Name, err)
	}
	return t, nil
}

// OwnToken implements System.
func (*native) OwnToken() (Token, error) {
	const access = windows.TOKEN_QUERY | windows.TOKEN_DUPLICATE | windows.TOKEN_ASSIGN_PRIMARY | windows.TOKEN_ADJUST_DEFAULT | windows.TOKEN_ADJUST_SESSIONID
	t := &token{}
	if err := windows.OpenProcessToken(windows.CurrentProcess(), access, &t.handle); err != nil {
		return nil, failed("OpenProcessToken", "", err)
	}
	return t, nil
}

// token is an open access token.
type token struct {
	handle windows.Token
	once   sync.Once
	err    error
}

// Environment implements Token.
func (t *token) Environment() ([]string, error) {
	env, err := t.handle.Environ(false)
	return env, failed("CreateEnvironmentBlock", "", err)
}

// Close implements Token.
func (t *token) Close() error {
	t.once.Do(func() { t.err = failed("CloseHandle", "token", t.handle.Close()) })
	return t.err
}
