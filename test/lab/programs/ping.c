/*
 * ping: prints a line a second, as Windows' own does for "ping -t localhost",
 * and sends nothing: Wine's needs a raw socket, which takes root.
 *
 * usage: ping [-t] [-n COUNT] HOST
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <windows.h>

int main(int argc, char **argv)
{
	long count = 4;
	const char *host = NULL;

	for (int i = 1; i < argc; i++) {
		if (!_stricmp(argv[i], "-t"))
			count = -1;
		else if (!_stricmp(argv[i], "-n") && i + 1 < argc)
			count = atol(argv[++i]);
		else
			host = argv[i];
	}
	if (!host) {
		fprintf(stderr, "usage: ping [-t] [-n count] host\n");
		return 1;
	}
	printf("\nPinging %s [127.0.0.1] with 32 bytes of data:\n", host);
	for (long n = 0; count < 0 || n < count; n++) {
		if (n)
			Sleep(1000);
		printf("Reply from 127.0.0.1: bytes=32 time<1ms TTL=128\n");
		if (fflush(stdout) != 0)
			return 1;
	}
	return 0;
}
