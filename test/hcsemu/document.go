package hcsemu

import (
	"encoding/json"

	"github.com/isolrun/isol/internal/hcs/schema"
)

// anyBuild is newer than every Windows, to tell a field that is too new from
// one that does not exist.
const anyBuild = 1 << 30

// decode checks a document as a closed world for the emulated build and
// returns it. An empty one is the zero value. A document that only a newer
// build takes fails with tooNew, any other bad one with HCS_E_INVALID_JSON;
// both say where and what. Windows itself ignores some of what is refused here:
// that is the point, since nobody would notice a typing error otherwise.
func decode[T any](e *Emulator, text string, tooNew HRESULT) (*T, error) {
	value := new(T)
	if text == "" {
		return value, nil
	}
	if err := schema.Validate[T]([]byte(text), e.config.Build); err != nil {
		if schema.Validate[T]([]byte(text), anyBuild) == nil {
			return nil, fail(tooNew, "build %d does not take this document: %v", e.config.Build, err)
		}
		return nil, fail(EInvalidJSON, "%v", err)
	}
	if err := json.Unmarshal([]byte(text), value); err != nil {
		return nil, fail(EInvalidJSON, "%v", err)
	}
	return value, nil
}

// encode returns a value of this package's own as JSON.
func encode(v any) string {
	b, err := json.Marshal(v)
	if err != nil { // only unsupported Go types: a mistake in the emulator that its caller must see
		return `{"Error":` + `"` + err.Error() + `"}`
	}
	return string(b)
}
