# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# Functions for the patches below patches/. Source it after debian.sh.

# series_of DIR: print the patches' names in order.
series_of()
{
	grep -v '^#' "$1/series"
}

# patched_files DIR: print the upstream files that the series of DIR changes.
patched_files()
{
	sed -nE 's,^--- a/,,p' "$1"/*.patch | sort -u
}

# apply_patch FILE TREE: without fuzz, for a hook that no longer fits must be
# looked at. One that is a message alone is about files of ours.
apply_patch()
{
	grep -qE '^(diff|---) .' "$1" || return 0
	patch -d "$2" -p1 -F0 -s --no-backup-if-mismatch < "$1" ||
		die "${1##*/} does not apply"
}

# apply_series DIR TREE
apply_series()
{
	local patch

	while read -r patch; do
		log "applying $patch"
		apply_patch "$1/$patch" "$2"
	done < <(series_of "$1")
}
