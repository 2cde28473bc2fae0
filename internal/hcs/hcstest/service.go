package hcstest

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/isolrun/isol/internal/hcs/schema"
)

var serviceCases = []testCase{
	{name: "systems are listed", run: list},
	{name: "running processes are listed", run: processList},
	{name: "statistics", run: statistics},
	{name: "the service takes schema 2.1", run: schemaVersions},
}

func list(t *testing.T, b *bench) {
	s, other := b.running(t), b.create(t)
	owner := b.Document(t).Owner
	for _, c := range []struct {
		name         string
		query        schema.SystemQuery
		mine, theirs bool
	}{
		{"all", schema.SystemQuery{}, true, true},
		{"by id", schema.SystemQuery{IDs: []string{s.ID()}}, true, false},
		{"by owner", schema.SystemQuery{Owners: []string{owner}}, true, true},
		{"by another owner", schema.SystemQuery{Owners: []string{"nobody"}}, false, false},
		{"by type", schema.SystemQuery{Types: []schema.SystemType{schema.SystemContainer}}, true, true},
		{"by another type", schema.SystemQuery{Types: []schema.SystemType{schema.SystemVirtualMachine}}, false, false},
	} {
		systems, err := b.Host.List(b.ctx, c.query)
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		has := func(id string) bool {
			return slices.ContainsFunc(systems, func(s schema.SystemSummary) bool { return s.ID == id })
		}
		if has(s.ID()) != c.mine || has(other.ID()) != c.theirs {
			t.Errorf("%s: %+v, want %s %v and %s %v", c.name, systems, s.ID(), c.mine, other.ID(), c.theirs)
		}
	}
	systems, err := b.Host.List(b.ctx, schema.SystemQuery{IDs: []string{s.ID()}})
	if err != nil || len(systems) != 1 {
		t.Fatalf("%+v, %v", systems, err)
	}
	if got := systems[0]; got.Owner != owner || got.SystemType != schema.SystemContainer || got.State != schema.StateRunning {
		t.Errorf("%+v, want a running container of %s", got, owner)
	}
}

func processList(t *testing.T, b *bench) {
	s := b.running(t)
	p := b.exec(t, s, b.Commands.Forever, nil)
	props, err := s.Properties(b.ctx, schema.PropertyQuery{PropertyTypes: []schema.PropertyType{schema.PropertyProcessList}})
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(props.ProcessList, func(d schema.ProcessDetails) bool { return d.ProcessID == p.PID() })
	if i < 0 {
		t.Fatalf("process %d is not among %+v", p.PID(), props.ProcessList)
	}
	if d := props.ProcessList[i]; d.ImageName == "" || d.CreateTimestamp.IsZero() {
		t.Errorf("%+v: want an image and a time", d)
	}
}

func statistics(t *testing.T, b *bench) {
	s := b.running(t)
	props, err := s.Properties(b.ctx, schema.PropertyQuery{PropertyTypes: []schema.PropertyType{schema.PropertyStatistics}})
	if err != nil {
		t.Fatal(err)
	}
	if st := props.Statistics; st == nil || st.Timestamp.IsZero() || st.Processor == nil || st.Memory == nil || st.Storage == nil {
		t.Errorf("statistics %+v: want all parts", st)
	}
}

func schemaVersions(t *testing.T, b *bench) {
	props, err := b.Host.ServiceProperties(b.ctx, schema.ServicePropertyQuery{PropertyTypes: []schema.ServicePropertyType{schema.ServicePropertyBasic}})
	if err != nil {
		t.Fatal(err)
	}
	if len(props.Properties) != 1 {
		t.Fatalf("%d properties, want 1", len(props.Properties))
	}
	var basic schema.BasicInformation
	if err := json.Unmarshal(props.Properties[0], &basic); err != nil {
		t.Fatal(err)
	}
	// "Element A.X implies all versions with major version A and minor version
	// from 0 to X": the published schema, BasicInformation.
	if !slices.ContainsFunc(basic.SupportedSchemaVersions, func(v schema.Version) bool { return v.Major == 2 && v.Minor >= 1 }) {
		t.Errorf("versions %+v, want 2.1 among them", basic.SupportedSchemaVersions)
	}
}
