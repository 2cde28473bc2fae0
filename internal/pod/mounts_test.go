package pod

import (
	"encoding/json"
	"io/fs"
	"strings"
	"testing"

	"github.com/isolrun/isol/internal/fault"
	"github.com/isolrun/isol/internal/isolation"
	"github.com/isolrun/isol/test/hcsemu"
)

// links resolves what a host with these links would.
func links(to map[string]string) func(*Config) {
	return func(c *Config) {
		c.Source = func(path string) (Source, error) {
			if real, ok := to[path]; ok {
				return Source{Path: real, Volume: real}, nil
			}
			return Source{}, &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist}
		}
	}
}

// A file of a ConfigMap is a link: HCS must be given what it leads to, or the
// container gets nothing.
func TestMountOfALink(t *testing.T) {
	in(t, func(l *lab) {
		req := l.request("c1", "x")
		req.Plan.Container.Mounts = []isolation.Mount{{Source: `C:\config\app.json`, Destination: `C:\app.json`}}
		l.must(l.pod.Create(l.Context(), req))
		calls := l.emu.Calls(hcsemu.CallFilter{Function: "HcsCreateComputeSystem"})
		document, err := json.Marshal(calls[0].Args["document"])
		if err != nil || !strings.Contains(string(document), `"HostPath":"C:\\config\\..data\\app.json"`) {
			t.Errorf("document %s, %v", document, err)
		}
		l.delete("c1", "")
		l.nothingLeft()
	}, links(map[string]string{`C:\config\app.json`: `C:\config\..data\app.json`}))
}

// A source that is not there is told before anything is made.
func TestMountOfNothing(t *testing.T) {
	in(t, func(l *lab) {
		req := l.request("c1", "x")
		req.Plan.Container.Mounts = []isolation.Mount{{Source: `C:\nowhere`, Destination: `C:\x`}}
		err := l.pod.Create(l.Context(), req)
		if !fault.Is(err, fault.NotFound) || !strings.Contains(err.Error(), `C:\nowhere`) {
			t.Errorf("%v (%v)", err, fault.KindOf(err))
		}
		if calls := l.emu.Calls(hcsemu.CallFilter{}); len(calls) != 0 {
			t.Errorf("Windows was asked for %s first", calls[0].Function)
		}
		l.nothingLeft()
	}, links(nil))
}
