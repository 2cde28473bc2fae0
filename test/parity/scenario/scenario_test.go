package scenario

import (
	"encoding/json"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
)

// A merge patch as RFC 7396 has it in its appendix: a corpus that is merged
// otherwise asks the shims for something else than it says.
func TestMerge(t *testing.T) {
	for _, tc := range []struct{ target, patch, want string }{
		{`{"a":"b"}`, `{"a":"c"}`, `{"a":"c"}`},
		{`{"a":"b"}`, `{"b":"c"}`, `{"a":"b","b":"c"}`},
		{`{"a":"b"}`, `{"a":null}`, `{}`},
		{`{"a":["b"]}`, `{"a":"c"}`, `{"a":"c"}`},
		{`{"a":{"b":"c"}}`, `{"a":{"b":"d","c":null}}`, `{"a":{"b":"d"}}`},
		{`{"a":[1,2]}`, `{"a":[3]}`, `{"a":[3]}`},
		{`{}`, `{"a":{"bb":{"ccc":null}}}`, `{"a":{"bb":{}}}`},
	} {
		var target, patch any
		for text, v := range map[string]*any{tc.target: &target, tc.patch: &patch} {
			if err := json.Unmarshal([]byte(text), v); err != nil {
				t.Fatal(err)
			}
		}
		got, err := json.Marshal(Merge(target, patch))
		if err != nil || string(got) != tc.want {
			t.Errorf("%s with %s: %s, %v, want %s", tc.target, tc.patch, got, err, tc.want)
		}
	}
}

// A slip in the corpus must not become a scenario that tests nothing.
func TestParseRefuses(t *testing.T) {
	for name, text := range map[string]string{
		"unknown member":      `{"group":"g","about":"a","scenarios":[{"name":"x","spek":{}}]}`,
		"no name":             `{"group":"g","about":"a","scenarios":[{"name":""}]}`,
		"name with slash":     `{"group":"g","about":"a","scenarios":[{"name":"a/b"}]}`,
		"unknown mode":        `{"group":"g","about":"a","scenarios":[{"name":"x","modes":["vm"]}]}`,
		"short elsewhere":     `{"group":"g","about":"a","scenarios":[{"name":"x","modes":["process"],"short":["hyperv"]}]}`,
		"unknown step":        `{"group":"g","about":"a","scenarios":[{"name":"x","steps":[{"do":"dance"}]}]}`,
		"step of no task":     `{"group":"g","about":"a","scenarios":[{"name":"x","steps":[{"do":"start","task":"web"}]}]}`,
		"unknown network":     `{"group":"g","about":"a","scenarios":[{"name":"x","network":"mesh"}]}`,
		"two tasks of a name": `{"group":"g","about":"a","scenarios":[{"name":"x","tasks":[{"name":"a"},{"name":"a"}]}]}`,
		"unknown role":        `{"group":"g","about":"a","scenarios":[{"name":"x","tasks":[{"name":"a","role":"pod"}]}]}`,
		"no group":            `{"about":"a","scenarios":[]}`,
		"not JSON":            `{`,
	} {
		if g, err := Parse([]byte(text)); err == nil {
			t.Errorf("%s: taken as %+v", name, g)
		}
	}
}

func TestLoadRefuses(t *testing.T) {
	for name, files := range map[string]fstest.MapFS{
		"a group under another name": {"b.json": {Data: []byte(`{"group":"a","about":"x","scenarios":[{"name":"x"}]}`)}},
		"two of an id":               {"a.json": {Data: []byte(`{"group":"a","about":"x","scenarios":[{"name":"x"},{"name":"x"}]}`)}},
	} {
		if runs, err := Load(files); err == nil {
			t.Errorf("%s: %v", name, runs)
		}
	}
}

// The plain life of a pod is what CRI does: containers live within the sandbox's life.
func TestPlainLife(t *testing.T) {
	g, err := Parse([]byte(`{"group":"g","about":"a","scenarios":[{"name":"x","tasks":[{"name":"s","role":"sandbox"},{"name":"w","role":"container"}]}]}`))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, s := range g.Scenarios[0].Steps {
		got = append(got, s.Task+" "+string(s.Do))
	}
	want := []string{"s create", "s start", "w create", "w start", "w wait", "w delete", "s kill", "s wait", "s delete"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A task's spec is the base, what mode, pod and network imply, the scenario's
// patch and the task's own, in this order; names stand for values.
func TestConfig(t *testing.T) {
	r := Run{Mode: HyperV, Group: "g", Scenario: Scenario{
		Name: "x", Spec: json.RawMessage(`{"hostname":"a","mounts":[{"source":"${data}\\f"}]}`),
		Tasks: []Task{{Name: "s", Role: Sandbox}, {Name: "w", Role: Container, Spec: json.RawMessage(`{"hostname":"${id:w}","windows":{"ignoreFlushesDuringBoot":null}}`)}},
	}}
	got, err := r.Config("w", Place{IDs: map[string]string{"s": "S1", "w": "W1"}, Namespace: "N", Variables: map[string]string{"data": `C:\data`}})
	if err != nil {
		t.Fatal(err)
	}
	const want = `{
  "annotations": {"io.kubernetes.cri.container-type": "container", "io.kubernetes.cri.sandbox-id": "S1"},
  "hostname": "W1",
  "mounts": [{"source": "C:\\data\\f"}],
  "ociVersion": "1.1.0",
  "process": {"args": ["cmd", "/c", "exit 0"], "cwd": "C:\\", "user": {}},
  "root": {"path": ""},
  "windows": {"hyperv": {}, "network": {"networkNamespace": "N"}}
}`
	var a, b any
	if err := json.Unmarshal(got, &a); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(want), &b); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(b, a); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	sandbox, err := r.Config("s", Place{})
	if err != nil || !strings.Contains(string(sandbox), "sleep") {
		t.Errorf("the sandbox does not wait: %s, %v", sandbox, err)
	}
}
