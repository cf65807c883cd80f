# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# Functions for the versions of Linux that patches/linux/versions lists. Source it after
# debian.sh, with $top set.

# kernel_versions: print them, the default first.
kernel_versions()
{
	sed -nE 's/^([0-9.]+) .*/\1/p' "${top:?}/patches/linux/versions"
}

# kernel_version: print the one that KVM_FPR_KERNEL names, without it the default.
kernel_version()
{
	local versions

	mapfile -t versions < <(kernel_versions)
	printf '%s\n' "${versions[@]}" | grep -Fx -m 1 -e "${KVM_FPR_KERNEL:-${versions[0]}}" ||
		die "no Linux $KVM_FPR_KERNEL here, there are ${versions[*]}"
}

# kernel_suite VERSION: print Debian's suite that has it, "own" for the machine's.
kernel_suite()
{
	awk -v version="$1" '$1 == version { print $2 }' "${top:?}/patches/linux/versions"
}
