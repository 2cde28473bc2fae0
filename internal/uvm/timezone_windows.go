package uvm

import (
	"golang.org/x/sys/windows"

	"github.com/isolrun/isol/internal/gcs"
)

// HostTimeZone returns the time zone of this machine.
// https://learn.microsoft.com/windows/win32/api/timezoneapi/nf-timezoneapi-gettimezoneinformation
func HostTimeZone() (*gcs.TimeZoneInformation, error) {
	var z windows.Timezoneinformation
	if _, err := windows.GetTimeZoneInformation(&z); err != nil {
		return nil, err
	}
	return &gcs.TimeZoneInformation{
		Bias:         z.Bias,
		StandardName: windows.UTF16ToString(z.StandardName[:]),
		StandardDate: systemTime(z.StandardDate),
		StandardBias: z.StandardBias,
		DaylightName: windows.UTF16ToString(z.DaylightName[:]),
		DaylightDate: systemTime(z.DaylightDate),
		DaylightBias: z.DaylightBias,
	}, nil
}

func systemTime(t windows.Systemtime) gcs.SystemTime {
	return gcs.SystemTime{
		Year: int32(t.Year), Month: int32(t.Month), DayOfWeek: int32(t.DayOfWeek), Day: int32(t.Day),
		Hour: int32(t.Hour), Minute: int32(t.Minute), Second: int32(t.Second), Milliseconds: int32(t.Milliseconds),
	}
}
