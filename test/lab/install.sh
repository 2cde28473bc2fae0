#!/bin/sh
# Installs what a lab needs on Debian 12 or later. Does nothing where all is
# there; must run as root where something is missing.
set -eu

wine64=
for dir in /usr/lib/wine /opt/wine-stable/bin /opt/wine-devel/bin; do
	[ -x "$dir/wine64" ] && wine64=$dir/wine64
done
[ -n "$wine64" ] || wine64=$(command -v wine64 || command -v wine || true)

if [ -n "$wine64" ] && command -v wineserver >/dev/null && command -v x86_64-w64-mingw32-gcc >/dev/null; then
	exit 0
fi
if [ "$(id -u)" != 0 ]; then
	echo "lab: wine64 or mingw is missing: run $0 as root" >&2
	exit 1
fi
echo "lab: installing wine64, wine and gcc-mingw-w64-x86-64"
export DEBIAN_FRONTEND=noninteractive
packages="wine64 wine gcc-mingw-w64-x86-64"
# shellcheck disable=SC2086
if ! apt-get install -y -q --no-install-recommends $packages >/dev/null; then
	apt-get update -q
	# shellcheck disable=SC2086
	apt-get install -y -q --no-install-recommends $packages
fi
