# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# Functions for the versions of QEMU that patches/qemu/versions lists. Source it after
# debian.sh, with $top set.

# qemu_versions: print them, the default first.
qemu_versions()
{
	sed -nE 's/^([0-9.]+) .*/\1/p' "${top:?}/patches/qemu/versions"
}

# qemu_version [VERSION]: print it if it is one, without it the default.
qemu_version()
{
	local versions

	mapfile -t versions < <(qemu_versions)
	printf '%s\n' "${versions[@]}" | grep -Fx -m 1 -e "${1:-${versions[0]}}" ||
		die "no QEMU $1 here, there are ${versions[*]}"
}

# qemu_suite VERSION: print Debian's suite that has it.
qemu_suite()
{
	awk -v version="$1" '$1 == version { print $2 }' "${top:?}/patches/qemu/versions"
}
