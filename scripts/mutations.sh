# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# Functions for the mutations of patches/mutations. Source it after debian.sh and patches.sh,
# with $top set.

mutations=patches/mutations/6.12

# patches_of NAME BASE: the patches that make a mutant, in order.
patches_of()
{
	[ "$2" = - ] || echo "${top:?}/$mutations/$2.patch"
	echo "$top/$mutations/$1.patch"
}

mutate() # TREE NAME BASE
{
	local patch

	while read -r patch; do
		apply_patch "$patch" "$1"
	done < <(patches_of "$2" "$3")
}

# The tree is again what it was before mutate.
mend_mutant() # TREE NAME BASE
{
	local patch

	while read -r patch; do
		patch -d "$1" -p1 -R -F0 -s --no-backup-if-mismatch < "$patch"
	done < <(patches_of "$2" "$3" | tac)
}
