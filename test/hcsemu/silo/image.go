package silo

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// BuildFile says of which Windows build a layer of a lab image is. A real
// layer tells by the version of its ntoskrnl.exe; images of the lab have no kernel.
const BuildFile = "hcsemu-build.txt"

// ImageBuild returns the build that the layer's BuildFile names, 0 if there is none.
func ImageBuild(layer string) uint32 {
	b, err := os.ReadFile(filepath.Join(layer, "Files", BuildFile))
	if err != nil {
		return 0
	}
	n, err := strconv.ParseUint(strings.TrimSpace(string(b)), 10, 32)
	if err != nil {
		return 0
	}
	return uint32(n)
}
