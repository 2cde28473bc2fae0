package oci

import (
	"bytes"
	"fmt"
	"strings"
)

//go:generate go run ./gendoc ../../docs/annotations.md

const markdownHead = `<!-- Generated from the table in internal/oci by go generate ./internal/oci. Do not edit. -->
# Annotations

All annotations that isol knows, from one table in ` + "`internal/oci`" + `. They are read once, at create, and strictly:

- A value of the wrong type or out of range, a key that is unknown under one of the prefixes below, and annotations
  that contradict each other are errors that name key, value, what is allowed and the nearest known key. The container is not created.
- **refused** means that isol does not do it, for the reason given: setting it to anything but its default is an error that says so.
- **ignored** means that it is accepted, checked and has no effect, for the reason given; a note in the log and in ` + "`isolctl explain`" + ` says so.
- An annotation that has no effect in the container's mode is noted too.
- Annotations under other prefixes are not isol's and pass untouched.

Strict prefixes: %s.

Where an annotation and the spec set the same limit, the annotation wins and the spec's value is recorded as overruled. Weaker than both are
the runtime option ` + "`default_container_annotations`" + ` and then isol's own defaults.

containerd's CRI passes a pod's annotations on only if the runtime's configuration lists them:

` + "```toml" + `
pod_annotations       = ["io.microsoft.virtualmachine.*", "io.isol.*"]
container_annotations = ["io.microsoft.container.*", "io.isol.*"]
` + "```" + `

## Values

| type | text |
|---|---|
| bool | 1, t, T, TRUE, true, True, 0, f, F, FALSE, false, False |
| "true" | only the exact text true switches on, as in runhcs; other spellings of yes are an error |
| uint | a decimal whole number without sign or unit, from the least to the most allowed; where the table says so, 0 means "not said" |
| path | an absolute Windows path |
| GUID | with or without braces, in any case |
| list | items between commas, none empty |
| base64 | standard alphabet, padded |
| JSON registry values | a list of [RegistryValue](https://learn.microsoft.com/virtualization/api/hcs/schemareference#RegistryValue) |
| JSON HvSocketServiceConfig | an object of [that type](https://learn.microsoft.com/virtualization/api/hcs/schemareference#HvSocketServiceConfig) |

**Bytes for MB.** nerdctl writes bytes into ` + "`…memory.sizeinmb`" + `. A value that equals ` + "`windows.resources.memory.limit`" + ` is read as bytes, with a note.
Any other value of 2^24 and more is refused with the number of MB that was likely meant.

**Fractions of processors.** nerdctl writes ` + "`1.5`" + ` into ` + "`…processor.count`" + `. A fraction whose whole part is not 0 and equals
` + "`windows.resources.cpu.count`" + ` is read as that whole number, with a note. Any other fraction is refused.

**One processor limit.** Count, limit and weight of a Windows container exclude each other, wherever they stand. Those of a utility VM do not.
`

// Markdown returns docs/annotations.md.
func Markdown() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, markdownHead, "`"+strings.Join(ownedPrefixes, "`, `")+"`")
	for _, g := range groups {
		fmt.Fprintf(&b, "\n## %s\n\n", g.Name)
		b.WriteString("| annotation | value | default | modes | feeds | status |\n|---|---|---|---|---|---|\n")
		for i := range g.Rows {
			writeRow(&b, &g.Rows[i])
		}
	}
	writeFields(&b)
	return b.Bytes()
}

const fieldsHead = `
## Fields of the OCI spec

What a Windows container may say in its [config.json](https://github.com/opencontainers/runtime-spec/blob/main/config-windows.md), and what
Windows containers cannot have. The words mean what they mean above; what is **refused** is refused at create, by name.

| field | what it says | modes | feeds | status |
|---|---|---|---|---|
`

func writeFields(b *bytes.Buffer) {
	b.WriteString(fieldsHead)
	for _, f := range fields {
		status := "**" + f.Status.String() + "**"
		if f.Why != "" {
			status += ": " + f.Why
		}
		writeCells(b, "`"+f.Path+"`", f.Doc, f.Modes.String(), f.Feeds, status)
	}
}

func writeRow(b *bytes.Buffer, a *Annotation) {
	key := a.Key
	if a.Prefix {
		key += "<GUID>"
	}
	status := "**" + a.Status.String() + "**"
	if a.Why != "" {
		status += ": " + a.Why
	}
	if a.Origin != OriginHcsshim {
		status += " (" + a.Origin.String() + ")"
	}
	modes := a.Modes.String() + "; " + a.Scope.String()
	if a.Since != 0 {
		modes += fmt.Sprintf("; build %d on", a.Since)
	}
	writeCells(b, "`"+key+"`<br>"+a.Doc, a.valueWords(), a.Default, modes, a.Feeds, status)
}

func writeCells(b *bytes.Buffer, cells ...string) {
	for i, c := range cells {
		cells[i] = strings.ReplaceAll(c, "|", `\|`)
	}
	fmt.Fprintf(b, "| %s |\n", strings.Join(cells, " | "))
}

// valueWords says what the row takes.
func (a *Annotation) valueWords() string {
	s := a.Type.String()
	switch a.Type {
	case TypeUint:
		s += fmt.Sprintf(", %d to %d", a.Min, a.Max)
		if a.Unit != "" {
			s += ", " + a.Unit
		}
		if a.Step > 1 {
			s += fmt.Sprintf(", a multiple of %d", a.Step)
		}
		if a.ZeroOff {
			s += "; 0: not said"
		}
	case TypeUintCSV:
		s += fmt.Sprintf(", each up to %d", a.Max)
	}
	if len(a.Allowed) > 0 {
		s += ": " + strings.Join(a.Allowed, ", ")
	}
	return s
}
