package job

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"github.com/isolrun/isol/internal/fault"
)

// accountKind is where a process's token comes from.
type accountKind uint8

const (
	accountShim    accountKind = iota // this process's own
	accountService                    // one of Windows' service accounts
	accountNamed                      // a user of the host or of its domain
	accountGroup                      // a user made for the container, in a local group
)

// user is a spec's user, understood.
type user struct {
	kind    accountKind
	account Account
	group   string // of accountGroup
}

// authority is the domain of Windows' service accounts.
// https://learn.microsoft.com/windows/win32/secauthn/logonuserexex
const authority = "NT AUTHORITY"

// serviceAccounts are those that HostProcess containers may name, as
// Kubernetes' documentation and Windows spell them.
// https://kubernetes.io/docs/tasks/configure-pod-container/create-hostprocess-pod/#choosing-a-user-account
var serviceAccounts = map[string]bool{
	"SYSTEM": true, "LOCAL SERVICE": true, "LOCALSERVICE": true, "NETWORK SERVICE": true, "NETWORKSERVICE": true,
}

// userOf understands a spec's user. isGroup is asked for names that may be a
// local group's.
func userOf(id, name string, inherit bool, isGroup func(string) (bool, error)) (user, error) {
	if inherit {
		return user{kind: accountShim}, nil
	}
	if name == "" {
		return user{}, &fault.Error{Kind: fault.InvalidArgument, Detail: "process.user names nobody", Hint: userHint + "; or have it inherit the shim's user"}
	}
	if strings.ContainsAny(name, "\x00\r\n") || strings.Count(name, `\`) > 1 {
		return user{}, fault.New(fault.InvalidArgument, "the user %q is neither name nor DOMAIN\\name", name)
	}
	domain, account, ok := strings.Cut(name, `\`)
	if !ok {
		domain, account = "", name
	}
	if account == "" {
		return user{}, fault.New(fault.InvalidArgument, "the user %q has no name", name)
	}
	if strings.EqualFold(domain, authority) {
		if !serviceAccounts[strings.ToUpper(account)] {
			return user{}, &fault.Error{Kind: fault.InvalidArgument, Detail: name + " is no service account of Windows", Hint: userHint}
		}
		return user{kind: accountService, account: Account{Domain: authority, Name: account, Service: true}}, nil
	}
	if domain == "" || domain == "." || strings.EqualFold(domain, "BUILTIN") {
		group, err := isGroup(account)
		if err != nil {
			return user{}, err
		}
		if group {
			return user{kind: accountGroup, group: account, account: Account{Domain: ".", Name: temporaryUser(id)}}, nil
		}
	}
	if domain == "" && !strings.Contains(account, "@") {
		domain = "." // the machine's own: https://learn.microsoft.com/windows/win32/api/winbase/nf-winbase-logonuserw
	}
	return user{kind: accountNamed, account: Account{Domain: domain, Name: account}}, nil
}

// maxUserName is how long names of local users may be.
// https://learn.microsoft.com/windows/win32/api/lmaccess/ns-lmaccess-user_info_1
const maxUserName = 20

// TemporaryPrefix begins the names of the users that isol makes. A name made
// of the container's id alone, as runhcs makes it, might be that of a user who
// is not ours to remove.
const TemporaryPrefix = "isol-"

// temporaryUser returns the name of a container's user.
func temporaryUser(id string) string {
	sum := sha256.Sum256([]byte(id))
	return TemporaryPrefix + hex.EncodeToString(sum[:])[:maxUserName-len(TemporaryPrefix)]
}

// newPassword returns a password that nobody needs to know for longer than the
// logon takes. It has the four sorts of characters that policies ask for.
func newPassword() string { return "aZ9-" + rand.Text() + rand.Text() }
