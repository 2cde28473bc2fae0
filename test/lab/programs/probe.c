/*
 * probe: what a test needs a container's process to do. It uses the Win32 calls
 * that show what the process really got, with no C runtime between.
 *
 *   probe affinity       the processors it may run on, as a mask in hex
 *   probe args ARG...    each argument on a line of its own, in brackets
 *   probe cat            input to output until the input ends
 *   probe console        "console COLUMNSxROWS" or "no console"
 *   probe count MILLIS   the next number, a line each so many milliseconds: a line lost or said twice shows
 *   probe cwd            the current folder
 *   probe env [NAME]     the whole environment, or one variable
 *   probe exit CODE      end with that code
 *   probe find NAME      which of "object", "key" of that name it sees, or "nothing"
 *   probe hold NAME      makes a named event and a registry key of that name, and keeps them
 *   probe pid            the process id
 *   probe signal         print "ready", then the name of each console event; ends at CTRL_CLOSE
 *   probe sleep SECONDS
 *   probe spawn N        N children that sleep for ever; prints their ids, waits for them
 *   probe spew BYTES     that many bytes, 64 KiB a write
 *   probe stderr TEXT    TEXT to the error output
 *   probe user           domain\name
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <windows.h>

static int put(DWORD stream, const char *format, ...)
{
	char line[4096];
	DWORD written;
	va_list args;

	va_start(args, format);
	int n = vsnprintf(line, sizeof line, format, args);
	va_end(args);
	if (n >= (int)sizeof line)
		n = sizeof line - 1;
	return !WriteFile(GetStdHandle(stream), line, n, &written, NULL);
}

#define SAY(...) put(STD_OUTPUT_HANDLE, __VA_ARGS__)

static int affinity(int argc, char **argv)
{
	DWORD_PTR mine, machine;

	(void)argc, (void)argv;
	if (!GetProcessAffinityMask(GetCurrentProcess(), &mine, &machine))
		return 1;
	return SAY("%llx\r\n", (unsigned long long)mine);
}

static int args(int argc, char **argv)
{
	for (int i = 0; i < argc; i++)
		if (SAY("[%s]\r\n", argv[i]))
			return 1;
	return 0;
}

static int cat(int argc, char **argv)
{
	static char buffer[65536];
	HANDLE in = GetStdHandle(STD_INPUT_HANDLE), out = GetStdHandle(STD_OUTPUT_HANDLE);
	DWORD n, written;

	(void)argc, (void)argv;
	while (ReadFile(in, buffer, sizeof buffer, &n, NULL) && n > 0)
		if (!WriteFile(out, buffer, n, &written, NULL))
			return 1;
	return 0;
}

static int console(int argc, char **argv)
{
	CONSOLE_SCREEN_BUFFER_INFO info;
	DWORD mode;
	HANDLE out = GetStdHandle(STD_OUTPUT_HANDLE);

	(void)argc, (void)argv;
	if (!GetConsoleMode(out, &mode) || !GetConsoleScreenBufferInfo(out, &info))
		return SAY("no console\r\n");
	return SAY("console %dx%d\r\n", info.srWindow.Right - info.srWindow.Left + 1,
		info.srWindow.Bottom - info.srWindow.Top + 1);
}

static int cwd(int argc, char **argv)
{
	char path[MAX_PATH];

	(void)argc, (void)argv;
	if (!GetCurrentDirectoryA(sizeof path, path))
		return 1;
	return SAY("%s\r\n", path);
}

static int env(int argc, char **argv)
{
	static char value[32768];

	if (argc > 0) {
		if (!GetEnvironmentVariableA(argv[0], value, sizeof value))
			return put(STD_ERROR_HANDLE, "%s is not set\r\n", argv[0]), 1;
		return SAY("%s\r\n", value);
	}
	for (char *e = GetEnvironmentStringsA(); e && *e; e += strlen(e) + 1)
		if (SAY("%s\r\n", e))
			return 1;
	return 0;
}

static int quit(int argc, char **argv)
{
	ExitProcess(argc > 0 ? strtoul(argv[0], NULL, 0) : 0);
	return 0;
}

static int pid(int argc, char **argv)
{
	(void)argc, (void)argv;
	return SAY("%lu\r\n", GetCurrentProcessId());
}

static BOOL WINAPI event(DWORD kind)
{
	static const char *const names[] = { "CTRL_C", "CTRL_BREAK", "CTRL_CLOSE", "3", "4", "CTRL_LOGOFF", "CTRL_SHUTDOWN" };

	SAY("%s\r\n", kind < sizeof names / sizeof *names ? names[kind] : "unknown");
	if (kind == CTRL_CLOSE_EVENT || kind == CTRL_SHUTDOWN_EVENT)
		ExitProcess(0);
	return TRUE;
}

static int wait_signal(int argc, char **argv)
{
	(void)argc, (void)argv;
	if (!SetConsoleCtrlHandler(event, TRUE))
		return 1;
	SAY("ready\r\n");
	Sleep(INFINITE);
	return 0;
}

static const char keys[] = "Software\\isol-probe";

static int hold(int argc, char **argv)
{
	HKEY parent, key;

	if (argc < 1 || !CreateEventA(NULL, TRUE, FALSE, argv[0]) ||
	    RegCreateKeyExA(HKEY_LOCAL_MACHINE, keys, 0, NULL, 0, KEY_ALL_ACCESS, NULL, &parent, NULL) ||
	    RegCreateKeyExA(parent, argv[0], 0, NULL, REG_OPTION_VOLATILE, KEY_READ, NULL, &key, NULL))
		return 1;
	SAY("held\r\n");
	Sleep(INFINITE);
	return 0;
}

static int find(int argc, char **argv)
{
	char path[MAX_PATH];
	const char *object, *key_;
	HKEY key;

	if (argc < 1)
		return 1;
	snprintf(path, sizeof path, "%s\\%s", keys, argv[0]);
	object = OpenEventA(SYNCHRONIZE, FALSE, argv[0]) ? "object " : "";
	key_ = RegOpenKeyExA(HKEY_LOCAL_MACHINE, path, 0, KEY_READ, &key) == ERROR_SUCCESS ? "key" : "";
	return SAY("%s%s%s\r\n", object, key_, *object || *key_ ? "" : "nothing");
}

static int nap(int argc, char **argv)
{
	Sleep(argc > 0 ? (DWORD)(atof(argv[0]) * 1000) : INFINITE);
	return 0;
}

static int spawn(int argc, char **argv)
{
	HANDLE children[MAXIMUM_WAIT_OBJECTS];
	char self[MAX_PATH], command[MAX_PATH + 32];
	int n = argc > 0 ? atoi(argv[0]) : 1;

	if (n < 1 || n > MAXIMUM_WAIT_OBJECTS || !GetModuleFileNameA(NULL, self, sizeof self))
		return 1;
	snprintf(command, sizeof command, "\"%s\" sleep", self);
	for (int i = 0; i < n; i++) {
		STARTUPINFOA startup = { .cb = sizeof startup };
		PROCESS_INFORMATION child;

		if (!CreateProcessA(NULL, command, NULL, NULL, FALSE, 0, NULL, NULL, &startup, &child))
			return 1;
		SAY("%lu\r\n", child.dwProcessId);
		CloseHandle(child.hThread);
		children[i] = child.hProcess;
	}
	return WaitForMultipleObjects(n, children, TRUE, INFINITE) == WAIT_FAILED;
}

static int spew(int argc, char **argv)
{
	static char block[65536];
	unsigned long long left = argc > 0 ? strtoull(argv[0], NULL, 0) : 0;
	HANDLE out = GetStdHandle(STD_OUTPUT_HANDLE);
	DWORD written;

	for (size_t i = 0; i < sizeof block; i++)
		block[i] = i % 64 == 63 ? '\n' : 'a' + i % 26;
	for (; left > 0; left -= written)
		if (!WriteFile(out, block, left < sizeof block ? (DWORD)left : sizeof block, &written, NULL))
			return 1;
	return 0;
}

static int count(int argc, char **argv)
{
	DWORD pause = argc > 0 ? (DWORD)atol(argv[0]) : 1000;

	for (unsigned long n = 1;; n++, Sleep(pause))
		if (SAY("%lu\r\n", n))
			return 1;
}

static int complain(int argc, char **argv)
{
	return put(STD_ERROR_HANDLE, "%s\r\n", argc > 0 ? argv[0] : "");
}

static int user(int argc, char **argv)
{
	char name[256] = "", domain[256] = "";
	DWORD size = sizeof name;

	(void)argc, (void)argv;
	GetUserNameA(name, &size);
	GetEnvironmentVariableA("USERDOMAIN", domain, sizeof domain);
	return SAY("%s\\%s\r\n", domain, name);
}

static const struct {
	const char *name;
	int (*run)(int argc, char **argv);
} verbs[] = {
	{ "affinity", affinity }, { "args", args }, { "cat", cat }, { "console", console }, { "count", count }, { "cwd", cwd }, { "env", env },
	{ "exit", quit }, { "find", find }, { "hold", hold }, { "pid", pid }, { "signal", wait_signal }, { "sleep", nap }, { "spawn", spawn },
	{ "spew", spew }, { "stderr", complain }, { "user", user },
};

int main(int argc, char **argv)
{
	for (size_t i = 0; argc > 1 && i < sizeof verbs / sizeof *verbs; i++)
		if (!strcmp(argv[1], verbs[i].name))
			return verbs[i].run(argc - 2, argv + 2);
	put(STD_ERROR_HANDLE, "usage: probe VERB [ARGUMENT...]; see probe.c\r\n");
	return 2;
}
