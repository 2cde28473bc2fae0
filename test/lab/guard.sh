#!/bin/sh
# Ends a lab. Waits until its standard input closes, which the lab's owner does
# in Close, or the kernel does when the owner dies, then ends every process of
# the lab's Wine prefixes, and of no other, and removes the lab's folder.
#
# usage: guard.sh WINESERVER LABDIR   (the prefixes are LABDIR/prefix and those
# of its virtual machines, LABDIR/guests/*)
server=$1
lab=$2
cat >/dev/null

for prefix in "$lab/prefix" "$lab"/guests/*; do
	[ -d "$prefix" ] && env WINEPREFIX="$prefix" timeout -k 1 5 "$server" -k 2>/dev/null &
done
wait

# What the servers did not end carries the prefix in its environment.
for _ in 1 2 3 4 5 6 7 8 9 10; do
	left=$(grep -lzF -e "WINEPREFIX=$lab/prefix" -e "WINEPREFIX=$lab/guests/" /proc/[0-9]*/environ 2>/dev/null | cut -d/ -f3)
	[ -z "$left" ] && break
	# shellcheck disable=SC2086
	kill -KILL $left 2>/dev/null
	sleep 0.1
done
rm -rf "$lab"
[ -z "$left" ]
