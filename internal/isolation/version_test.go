package isolation

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/isolrun/isol/internal/fault"
	"github.com/isolrun/isol/internal/host"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// golden compares got with testdata/name, or writes it with -update.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v (run with -update to write it)", err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

// The whole version table: a changed cell means that containers which started
// no longer do, or that HCS refuses what isol lets through.
func TestMatrix(t *testing.T) {
	var b strings.Builder
	for _, c := range Matrix(MatrixHosts(), MatrixImages()) {
		ok := "no"
		if c.OK {
			ok = "yes"
		}
		fmt.Fprintf(&b, "host %d image %d %-11s %-3s %s\n", c.Host, c.Image, c.Mode, ok, c.Rule)
	}
	golden(t, "matrix.txt", b.String())
}

func TestFitsKernel(t *testing.T) {
	v := func(s string) host.Version {
		t.Helper()
		if s == "" {
			return host.Version{}
		}
		p, err := host.ParseVersion(s)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	for _, tc := range []struct {
		name, kernel, image string
		want                Fit
	}{
		{"2019 takes any revision of itself", "17763.1", "17763.6000", FitYes},
		{"2016 takes its own revision", "14393.100", "14393.100", FitYes},
		{"2016 refuses another revision", "14393.100", "14393.101", FitNo},
		{"2016 with an unknown revision is HCS's to say", "14393.100", "14393", FitUnknown},
		{"20H2 refuses 2004", "19042", "19041", FitNo},
		{"Windows 11 25H2 takes 2022", "26200", "20348", FitYes},
		{"Windows 11 25H2 takes 2025", "26200", "26100", FitYes},
		{"2025 refuses 2019", "26100", "17763", FitNo},
		{"22000 takes 2022", "22000", "20348", FitYes},
		{"22000 refuses newer", "22000", "22621", FitNo},
		{"another Windows than 10.0", "20348", "6.3.20348", FitNo},
		{"unknown image", "20348", "", FitUnknown},
		{"unknown kernel", "", "20348", FitUnknown},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := FitsKernel("host", v(tc.kernel), v(tc.image)); got.Fit != tc.want || got.Rule == "" {
				t.Errorf("FitsKernel(%s, %s) = %v %q, want %v with a rule", tc.kernel, tc.image, got.Fit, got.Rule, tc.want)
			}
		})
	}
}

// HCS's own mismatch error becomes the text that Decide would have given.
func TestMismatch(t *testing.T) {
	cause := errors.New("0xc0370101")
	for _, tc := range []struct {
		name string
		plan Plan
		want string
	}{
		{"process", Plan{ID: "c1", Mode: ModeProcess, Versions: Versions{Host: host.Build(20348)}},
			"create c1: HCS says that the image does not fit the host in process isolation (host 10.0.20348, image unknown): the host's build or the image's is not known, HCS decides: 0xc0370101 (use an image of build 20348 (tag ltsc2022), or Hyper-V isolation for an older one)"},
		{"hyperv", Plan{ID: "c1", Mode: ModeHyperV, Versions: Versions{Host: host.Build(26100), UVM: host.Build(20348), Image: host.Build(26100)}},
			"create c1: HCS says that the image does not fit the utility VM in hyperv isolation (host 10.0.26100, utility VM 10.0.20348, image 10.0.26100): a utility VM of build 20348 takes images of build 20348 only: 0xc0370101 (use an image of build 20348 (tag ltsc2022))"},
		{"nothing known", Plan{ID: "c1", Mode: ModeHyperV},
			"create c1: HCS says that the image does not fit the utility VM in hyperv isolation (host unknown, utility VM unknown, image unknown): the utility VM's build or the image's is not known, HCS decides: 0xc0370101 (use an image of the same release as the utility VM)"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			err := tc.plan.Mismatch(cause)
			if diff := cmp.Diff(tc.want, err.Error()); diff != "" {
				t.Error(diff)
			}
			if !errors.Is(err, cause) || !fault.Is(err, fault.FailedPrecondition) {
				t.Errorf("kind %v", fault.KindOf(err))
			}
		})
	}
}

func TestFitsHost(t *testing.T) {
	for _, tc := range []struct {
		name      string
		host, uvm uint32
		newer     bool
		want      Fit
	}{
		{"older", 26100, 14393, false, FitYes},
		{"equal", 20348, 20348, false, FitYes},
		{"newer", 20348, 26100, false, FitNo},
		{"newer and asked for", 20348, 26100, true, FitYes},
		{"unknown", 20348, 0, true, FitUnknown},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := FitsHost(host.Build(tc.host), host.Build(tc.uvm), tc.newer); got.Fit != tc.want || got.Rule == "" {
				t.Errorf("got %v %q, want %v with a rule", got.Fit, got.Rule, tc.want)
			}
		})
	}
}
