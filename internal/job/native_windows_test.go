package job_test

import (
	"os"
	"testing"

	"github.com/isolrun/isol/internal/job"
	"github.com/isolrun/isol/internal/job/jobtest"
)

// Windows' own system. The test makes a local user, so it asks to be asked for;
// SYSTEM may do all of it.
func TestNativeSystem(t *testing.T) {
	group := os.Getenv("ISOL_JOBTEST_GROUP")
	if group == "" {
		t.Skip("makes a local user: name a local group in ISOL_JOBTEST_GROUP, and run it as SYSTEM")
	}
	jobtest.Run(t, jobtest.Machine{System: job.Native(), Group: group})
}
