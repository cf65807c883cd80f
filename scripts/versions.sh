# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# Functions for the versions of Linux and QEMU that patches/linux/versions and
# patches/qemu/versions list. Source it after debian.sh, with $top set. PROJECT is linux
# or qemu.

# versions_of PROJECT: print them, the default first.
versions_of()
{
	sed -nE 's/^([0-9.]+) .*/\1/p' "${top:?}/patches/$1/versions"
}

# listed_version PROJECT [VERSION]: print it if it is one of them, without it the default.
listed_version()
{
	local versions

	mapfile -t versions < <(versions_of "$1")
	# Not from a pipe: grep ends at the first one, and who still writes then has failed.
	grep -Fx -m 1 -e "${2:-${versions[0]}}" < <(printf '%s\n' "${versions[@]}") ||
		die "patches/$1/versions lists ${versions[*]}, not $2"
}

# suite_of PROJECT VERSION: print Debian's suite that has it, "own" for the machine's.
suite_of()
{
	awk -v version="$2" '$1 == version { print $2 }' "${top:?}/patches/$1/versions"
}

# kernel_version: print the version of Linux that KVM_FPR_KERNEL names, without it the default.
kernel_version()
{
	listed_version linux "${KVM_FPR_KERNEL:-}"
}
