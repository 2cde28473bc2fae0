package doc

import (
	"math"
	"strconv"

	"github.com/isolrun/isol/internal/hcs/schema"
	"github.com/isolrun/isol/internal/isolation"
)

// registry returns a container's registry changes, in the reference's order.
func registry(c *isolation.Container) *schema.RegistryChanges {
	// Server Core's service controller gives a signalled process this many
	// milliseconds, 5 s by default, and then ends the container by itself. How
	// long to wait is the client's to say, so it gets as long as there is.
	// https://learn.microsoft.com/windows/win32/services/service-control-handler-function
	values := []schema.RegistryValue{
		stringValue(schema.HiveSystem, `ControlSet001\Control`, "WaitToKillServiceTimeout", strconv.Itoa(math.MaxInt32)),
	}
	if c.Dump != nil {
		// https://learn.microsoft.com/windows/win32/wer/collecting-user-mode-dumps
		const key = `Microsoft\Windows\Windows Error Reporting\LocalDumps`
		values = append(values,
			stringValue(schema.HiveSoftware, key, "DumpFolder", c.Dump.Folder),
			dwordValue(schema.HiveSoftware, key, "DumpType", c.Dump.Type),
			dwordValue(schema.HiveSoftware, key, "DumpCount", c.Dump.Count))
	}
	for _, v := range c.Registry {
		values = append(values, registryValue(v))
	}
	return &schema.RegistryChanges{AddValues: values}
}

func stringValue(hive schema.RegistryHive, key, name, text string) schema.RegistryValue {
	return schema.RegistryValue{Key: &schema.RegistryKey{Hive: hive, Name: key}, Name: name, Type: schema.RegistryString, StringValue: text}
}

func dwordValue(hive schema.RegistryHive, key, name string, n uint32) schema.RegistryValue {
	return schema.RegistryValue{Key: &schema.RegistryKey{Hive: hive, Name: key}, Name: name, Type: schema.RegistryDWord, DWordValue: &n}
}

// registryValue is a value that the plan asks for.
func registryValue(v isolation.RegistryValue) schema.RegistryValue {
	out := schema.RegistryValue{
		Key:  &schema.RegistryKey{Hive: schema.RegistryHive(v.Hive), Name: v.Key},
		Name: v.Name, Type: schema.RegistryValueType(v.Type), StringValue: v.Str, BinaryValue: v.Bin,
	}
	switch out.Type {
	case schema.RegistryDWord:
		out.DWordValue = &v.DWord
	case schema.RegistryQWord:
		out.QWordValue = &v.QWord
	}
	return out
}
