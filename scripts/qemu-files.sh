# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# Functions that put our files into QEMU's tree, as patches/qemu/files lists them. Source
# it after debian.sh, with $top set.

# qemu_files [NUMBER]: print place in the tree and in the checkout, of the files that
# patch needs first or of all.
qemu_files()
{
	awk -v number="${1:-}" '/^[0-9]/ && (!number || $1 == number) { print $2, $3 }' "${top:?}/patches/qemu/files"
}

# copy_qemu_files TREE VERSION [NUMBER]. What is new in the interface is new in that version.
copy_qemu_files()
{
	local place file

	while read -r place file; do
		[ ! -e "$1/$place" ] || die "$place is a file of QEMU's own: change it with a patch"
		install -D -m 644 "$top/$file" "$1/$place"
		[[ $place != qapi/* ]] || sed -i "s/^# Since: 10[.]0$/# Since: $2/" "$1/$place"
	done < <(qemu_files "${3:-}")
}
