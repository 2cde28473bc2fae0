package vm

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// wildcard is the VM id of a listener that takes any VM (HV_GUID_WILDCARD).
const wildcard = "00000000-0000-0000-0000-000000000000"

// DialHost connects a guest to an hvsocket service of its host. The emulated
// hvsockets (test/hcsemu/dll/src/hvsock.c, which draws the folder) write each
// listener's TCP port into a file that is named by VM id and service id.
func DialHost(folder, runtimeID, service string) (net.Conn, error) {
	for _, vm := range []string{bare(runtimeID), wildcard} {
		content, err := os.ReadFile(filepath.Join(folder, "host-"+vm+"-"+bare(service)+".port"))
		if err != nil {
			continue // nobody listens there
		}
		port, err := strconv.ParseUint(strings.TrimSpace(string(content)), 10, 16)
		if err != nil {
			return nil, fmt.Errorf("hvsocket service %s of the host: %w", service, err)
		}
		return net.Dial("tcp", net.JoinHostPort("127.0.0.1", strconv.FormatUint(port, 10)))
	}
	return nil, fmt.Errorf("nobody on the host listens on hvsocket service %s for VM %s", service, runtimeID)
}

// bare is a GUID as the files' names have it.
func bare(guid string) string { return strings.ToLower(strings.Trim(guid, "{}")) }
