package scenario

import (
	"encoding/json"
	"fmt"
	"strings"
)

// Base is the spec that scenarios change: what containerd gives to a container
// that asks for nothing. Its process ends by itself.
const Base = `{
  "ociVersion": "1.1.0",
  "process": {"args": ["cmd", "/c", "exit 0"], "cwd": "C:\\", "user": {}},
  "root": {"path": ""},
  "windows": {"layerFolders": null, "ignoreFlushesDuringBoot": true}
}`

// pause is what a sandbox of a pod runs.
const pause = `{"process": {"args": ["probe", "sleep"]}}`

// Place is where a run happens: what the names in its spec stand for.
type Place struct {
	IDs       map[string]string // of the tasks, by name
	Namespace string            // of the network, "" for none
	Endpoints []string
	Variables map[string]string // "data" for ${data}
}

// Config returns the config.json of a task.
func (r Run) Config(task string, place Place) ([]byte, error) {
	var t Task
	sandbox := ""
	for _, x := range r.Tasks {
		if x.Name == task {
			t = x
		}
		if x.Role == Sandbox {
			sandbox = x.Name
		}
	}
	patches := []json.RawMessage{json.RawMessage(Base)}
	if t.Role == Sandbox {
		patches = append(patches, json.RawMessage(pause))
	}
	patches = append(patches, r.implied(t, sandbox, place), r.Spec, t.Spec)
	var spec any
	for _, p := range patches {
		if len(p) == 0 {
			continue
		}
		var patch any
		if err := json.Unmarshal(p, &patch); err != nil {
			return nil, fmt.Errorf("%s: %w", r.ID(), err)
		}
		spec = Merge(spec, patch)
	}
	spec = replace(spec, place)
	return json.MarshalIndent(spec, "", "  ")
}

// implied is what mode, pod and network put into the spec.
func (r Run) implied(t Task, sandbox string, place Place) json.RawMessage {
	windows := map[string]any{}
	if r.Mode == HyperV {
		windows["hyperv"] = map[string]any{}
	}
	switch {
	case place.Namespace != "":
		windows["network"] = map[string]any{"networkNamespace": place.Namespace}
	case len(place.Endpoints) > 0:
		windows["network"] = map[string]any{"endpointList": place.Endpoints}
	}
	patch := map[string]any{"windows": windows}
	if t.Role != Alone {
		patch["annotations"] = map[string]string{
			"io.kubernetes.cri.container-type": string(t.Role),
			"io.kubernetes.cri.sandbox-id":     place.IDs[sandbox],
		}
	}
	b, err := json.Marshal(patch)
	if err != nil {
		panic(err) // maps of strings
	}
	return b
}

// Merge applies a JSON merge patch, https://www.rfc-editor.org/rfc/rfc7396:
// null removes, objects merge, all else replaces.
func Merge(target, patch any) any {
	p, ok := patch.(map[string]any)
	if !ok {
		return patch
	}
	t, ok := target.(map[string]any)
	if !ok {
		t = map[string]any{}
	}
	for name, value := range p {
		if value == nil {
			delete(t, name)
			continue
		}
		t[name] = Merge(t[name], value)
	}
	return t
}

// replace puts values in place of ${variables} and ids of ${id:task}.
func replace(v any, place Place) any {
	switch v := v.(type) {
	case string:
		return place.Replace(v)
	case []any:
		for i := range v {
			v[i] = replace(v[i], place)
		}
	case map[string]any:
		for k := range v {
			v[k] = replace(v[k], place)
		}
	}
	return v
}

// Replace puts values in place of the variables in a text.
func (p Place) Replace(text string) string {
	for name, value := range p.Variables {
		text = strings.ReplaceAll(text, "${"+name+"}", value)
	}
	for name, id := range p.IDs {
		text = strings.ReplaceAll(text, "${id:"+name+"}", id)
	}
	return text
}
