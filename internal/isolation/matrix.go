package isolation

import "github.com/isolrun/isol/internal/host"

// Cell is the answer for one host, one image and one mode.
type Cell struct {
	Host  uint32 `json:"host"`
	Image uint32 `json:"image"`
	Mode  Mode   `json:"mode"`
	OK    bool   `json:"ok"`
	Rule  string `json:"rule"`
}

// MatrixHosts returns the host builds of the version table.
func MatrixHosts() []uint32 {
	return []uint32{14393, 17763, 18362, 19041, 19044, 20348, 22000, 22621, 25398, 26100, 26200}
}

// MatrixImages returns the builds of the long-term image releases.
func MatrixImages() []uint32 {
	return []uint32{host.BuildServer2016, host.BuildServer2019, host.BuildServer2022, host.BuildServer2025}
}

// Matrix returns the version table: each host with each image in each mode,
// where the utility VM is the image's own and revisions are equal. It says what
// Windows' rules allow; isol itself needs build 17763.
func Matrix(hosts, images []uint32) []Cell {
	cells := make([]Cell, 0, 3*len(hosts)*len(images))
	for _, h := range hosts {
		for _, i := range images {
			hv, iv := host.Build(h), host.Build(i)
			hv.Revision, iv.Revision = 1, 1 // equal, and known
			p := FitsKernel("host", hv, iv)
			v := FitsHost(hv, iv, false)
			cells = append(cells,
				Cell{h, i, ModeProcess, p.Fit == FitYes, p.Rule},
				Cell{h, i, ModeHyperV, v.Fit == FitYes, v.Rule},
				Cell{h, i, ModeHostProcess, true, "a HostProcess container has no version rule"},
			)
		}
	}
	return cells
}
