package node

import (
	"fmt"
	"path"
	"strings"

	"github.com/isolrun/isol/internal/fault"
)

// HyperVRule returns the rule of the policy by which a container of the given
// containerd namespace and annotations must have Hyper-V isolation, or "".
func (c Config) HyperVRule(namespace string, annotations map[string]string) string {
	p := c.Policy
	if p.RequireHyperV {
		return "require_hyperv"
	}
	for _, pattern := range p.RequireHyperVNamespaces {
		if ok, _ := path.Match(pattern, namespace); ok && namespace != "" { // patterns were checked by Parse
			return fmt.Sprintf("require_hyperv_namespaces %q", pattern)
		}
	}
	for _, a := range p.RequireHyperVAnnotations {
		key, want, hasValue := strings.Cut(a, "=")
		if got, ok := annotations[key]; ok && (!hasValue || got == want) {
			return fmt.Sprintf("require_hyperv_annotations %q", a)
		}
	}
	return ""
}

// Deny returns the error of a request that a rule of the policy forbids:
// PermissionDenied, naming what was asked, the rule and the file.
func (c Config) Deny(what, rule string) error {
	return &fault.Error{
		Kind:   fault.PermissionDenied,
		Op:     "node policy forbids",
		Detail: what,
		Hint:   fmt.Sprintf("rule policy.%s of %s; nothing in the request overrules it", rule, c.Path),
	}
}

// AllowsHostPath reports whether a container may mount the given host path:
// the list is empty, or one of its directories is the path or holds it.
// Spelling differences that Windows ignores do not matter; a path with ..
// elements is never allowed by a list.
func (p Policy) AllowsHostPath(hostPath string) bool {
	if len(p.AllowHostPaths) == 0 {
		return true
	}
	got, ok := normal(hostPath)
	if !ok {
		return false
	}
	for _, a := range p.AllowHostPaths {
		allowed, ok := normal(a)
		if ok && (got == allowed || strings.HasPrefix(got, strings.TrimSuffix(allowed, `\`)+`\`)) {
			return true
		}
	}
	return false
}

// normal spells a Windows path in one way: lower case, backslashes, no \\?\
// prefix, no doubled or trailing separators. It fails for paths with "." or
// ".." elements, alternate data streams, or elements whose trailing dots or
// spaces Win32 would drop, as these name another file than they seem to.
func normal(p string) (string, bool) {
	p = strings.ToLower(strings.ReplaceAll(p, "/", `\`))
	p = strings.TrimPrefix(p, `\\?\`)
	unc := strings.HasPrefix(p, `\\`)
	var parts []string
	for i, e := range strings.Split(p, `\`) {
		if e == "" {
			continue
		}
		if strings.TrimRight(e, ". ") != e || (i > 0 && strings.Contains(e, ":")) {
			return "", false
		}
		parts = append(parts, e)
	}
	s := strings.Join(parts, `\`)
	if unc {
		s = `\\` + s
	}
	return s, s != ""
}

func absolute(p string) bool {
	n, ok := normal(p)
	return ok && (strings.HasPrefix(n, `\\`) || len(n) >= 2 && n[1] == ':')
}
