package isolation

import "testing"

func TestCleanWindows(t *testing.T) {
	for _, tc := range []struct{ in, want string }{
		{`C:\a\b`, `C:\a\b`},
		{`c:/a//b/`, `c:\a\b`},
		{`C:`, `C:\`},
		{`C:\a\..\..\b\.`, `C:\b`},
		{`\\?\C:\a`, `C:\a`},
		{`\\server\share`, `\\server\share`},
		{`\\server\share\`, `\\server\share`},
		{`\\server\share\..\..\x`, `\\server\share\x`},
		{`\\?\UNC\server\share\a`, `\\server\share\a`},
		{`\\?\Volume{9f5c6d2e-0000-0000-0000-100000000000}\`, `\\?\Volume{9f5c6d2e-0000-0000-0000-100000000000}\`},
		{`\\?\volume{9f5c6d2e-0000-0000-0000-100000000000}\a\..\b`, `\\?\volume{9f5c6d2e-0000-0000-0000-100000000000}\b`},
		{``, ``}, {`a`, ``}, {`\a`, ``}, {`C:a`, ``}, {`1:\a`, ``}, {`\\`, ``}, {`\\server`, ``}, {`\\server\`, ``}, {`\\server\..\x`, ``},
		{`\\.\PHYSICALDRIVE0`, ``}, {`\\?\GLOBALROOT\Device`, ``}, {`\\?\Volume{9f5c`, ``}, {`\\?\Volume{9f5c}x`, ``},
	} {
		got, ok := cleanWindows(tc.in)
		if got != tc.want || ok != (tc.want != "") {
			t.Errorf("cleanWindows(%q) = %q, %v; want %q", tc.in, got, ok, tc.want)
		}
	}
}

// No path may panic, and what comes out must be the same when it goes in again:
// else the policy would judge another path than HCS gets.
func FuzzCleanWindows(f *testing.F) {
	for _, s := range []string{`C:\a\..\b`, `\\?\UNC\s\h\x`, `\\?\Volume{x}\a`, `//server/share//..`, `\\?\C:`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		once, ok := cleanWindows(s)
		if !ok {
			return
		}
		if twice, ok := cleanWindows(once); !ok || twice != once {
			t.Errorf("%q becomes %q, which becomes %q (%v)", s, once, twice, ok)
		}
	})
}
