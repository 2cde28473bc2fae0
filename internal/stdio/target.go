package stdio

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"strings"

	"github.com/isolrun/isol/internal/fault"
)

// pipePrefix begins the path of every named pipe of this machine:
// https://learn.microsoft.com/windows/win32/ipc/pipe-names
const pipePrefix = `\\.\pipe\`

// maxPipePath is the longest pipe path, in characters; same source.
const maxPipePath = 256

const allowed = `allowed are a named pipe (\\.\pipe\name) and, for outputs, a logger (binary:///C:/path/logger.exe?arg=value)`

// plan is what a Config asks for, checked.
type plan struct {
	stdin, stdout, stderr string         // pipes; empty for none
	logger                *LoggerCommand // takes both outputs, then stdout and stderr are empty
}

// decide checks cfg. It is pure.
func decide(cfg Config) (plan, error) {
	if cfg.Terminal && cfg.Stderr != "" {
		// As runhcs answers: a console has one output.
		return plan{}, &fault.Error{Kind: fault.FailedPrecondition, Op: "open streams", Subject: cfg.ID,
			Detail: fmt.Sprintf("if using terminal, stderr must be empty, but it is %q", cfg.Stderr)}
	}
	p := plan{stdin: cfg.Stdin, stdout: cfg.Stdout, stderr: cfg.Stderr}
	if isLogger(cfg.Stdout) || isLogger(cfg.Stderr) {
		cmd, err := loggerFor(cfg)
		if err != nil {
			return plan{}, err
		}
		p.logger, p.stdout, p.stderr = cmd, "", ""
	}
	for _, s := range []struct{ name, path string }{{"stdin", p.stdin}, {"stdout", p.stdout}, {"stderr", p.stderr}} {
		if err := checkPipe(s.name, s.path); err != nil {
			return plan{}, err
		}
	}
	return p, nil
}

func isLogger(s string) bool { return strings.HasPrefix(strings.ToLower(s), "binary:") }

func checkPipe(stream, path string) error {
	bad := func(format string, args ...any) error {
		return &fault.Error{Kind: fault.InvalidArgument, Op: "open", Subject: stream,
			Detail: fmt.Sprintf(format, args...), Hint: allowed}
	}
	switch {
	case path == "":
		return nil
	case len(path) < len(pipePrefix) || !strings.EqualFold(path[:len(pipePrefix)], pipePrefix):
		if scheme, _, ok := strings.Cut(path, "://"); ok {
			return bad("scheme %q of %q is not supported", scheme, path)
		}
		return bad("%q is not a named pipe", path)
	case len(path) == len(pipePrefix):
		return bad("%q names no pipe", path)
	case len(path) > maxPipePath:
		return bad("the pipe's path has %d characters, the system takes %d", len(path), maxPipePath)
	}
	return nil
}

// loggerFor reads the logger's command from the outputs of cfg.
func loggerFor(cfg Config) (*LoggerCommand, error) {
	bad := func(format string, args ...any) error {
		return &fault.Error{Kind: fault.InvalidArgument, Op: "open logger", Detail: fmt.Sprintf(format, args...), Hint: allowed}
	}
	uri := cfg.Stdout
	switch {
	case cfg.Stdout == "" || cfg.Stderr == "":
		if uri == "" {
			uri = cfg.Stderr
		}
	case cfg.Stdout != cfg.Stderr:
		return nil, bad("one logger takes both outputs, but stdout is %q and stderr is %q", cfg.Stdout, cfg.Stderr)
	}
	u, err := url.Parse(uri)
	if err != nil {
		return nil, bad("%v", err)
	}
	path, err := loggerPath(u)
	if err != nil {
		return nil, bad("%q: %v", uri, err)
	}
	args, err := loggerArgs(u.RawQuery)
	if err != nil {
		return nil, bad("%q: %v", uri, err)
	}
	id := cfg.ID
	if cfg.ExecID != "" {
		id += "-" + cfg.ExecID
	}
	c := &LoggerCommand{Path: path, Args: args}
	for i, kind := range []string{"stdout", "stderr", "wait"} {
		c.pipes[i] = pipePrefix + "binary-" + id + "-" + kind
		if err := checkPipe("logger "+kind, c.pipes[i]); err != nil {
			return nil, err
		}
	}
	// The names are those of runhcs; containerd's logging package reads them.
	c.Env = []string{
		"CONTAINER_ID=" + cfg.ID,
		"CONTAINER_NAMESPACE=" + cfg.Namespace,
		"CONTAINER_STDOUT=" + c.pipes[0],
		"CONTAINER_STDERR=" + c.pipes[1],
		"CONTAINER_WAIT=" + c.pipes[2],
	}
	return c, nil
}

// loggerPath returns the program of a binary URI: an absolute local path. A
// path of another machine is refused: it would run a remote program with the
// shim's rights.
func loggerPath(u *url.URL) (string, error) {
	if u.Host != "" {
		return "", fmt.Errorf("a logger on another machine (%s) is not allowed", u.Host)
	}
	p := u.Path
	if p == "" {
		p = u.Opaque // binary:C:/logger.exe
	}
	slashed := strings.ReplaceAll(p, `\`, "/")
	switch {
	case p == "":
		return "", errors.New("no program is named")
	case strings.HasPrefix(slashed, "//"):
		return "", errors.New("a logger on another machine is not allowed")
	}
	if trimmed := strings.TrimPrefix(slashed, "/"); len(trimmed) > 2 && trimmed[1] == ':' && trimmed[2] == '/' {
		return strings.ReplaceAll(trimmed, "/", `\`), nil
	}
	if !strings.HasPrefix(slashed, "/") {
		return "", fmt.Errorf("%q is not an absolute path", p)
	}
	return p, nil
}

// loggerArgs turns a query into arguments in the order given: key, value, key,
// value; an empty value is left out.
func loggerArgs(query string) ([]string, error) {
	var args []string
	for pair := range strings.SplitSeq(query, "&") {
		key, value, _ := strings.Cut(pair, "=")
		for _, part := range []string{key, value} {
			text, err := url.QueryUnescape(part)
			if err != nil {
				return nil, err
			}
			if text != "" {
				args = append(args, text)
			}
		}
	}
	return args, nil
}

func dialKind(err error) fault.Kind {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fault.NotFound
	case errors.Is(err, fs.ErrPermission):
		return fault.PermissionDenied
	case errors.Is(err, context.DeadlineExceeded):
		return fault.DeadlineExceeded
	case errors.Is(err, context.Canceled):
		return fault.Canceled
	}
	return fault.Unavailable
}
