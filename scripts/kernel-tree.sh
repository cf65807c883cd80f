# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# Functions that unpack and configure a whole kernel of Debian's. Source it after debian.sh,
# with $here and $top set, and call find_source before the others. With ARCH and
# CROSS_COMPILE exported they are for another architecture.

# shellcheck source=scripts/private-apt.sh
. "${here:?}/private-apt.sh"
# shellcheck source=scripts/versions.sh
. "$here/versions.sh"

# What a kernel depends on besides its configuration.
# shellcheck disable=SC2034 # for who sources this
kernel_tree_inputs=(scripts/kernel-tree.sh scripts/debian.sh)

# find_source: set stock, what scripts/fetch-kernel prints, and source, the name of the
# package with the whole source.
find_source()
{
	need_command make make
	need_command bc bc
	need_command bison bison
	need_command flex flex
	need_command dpkg dpkg-deb
	stock=$("$here/fetch-kernel")
	source=linux-source-$(sed -E 's/^([0-9]+\.[0-9]+).*/\1/' "$stock/version")
}

# kernel_deb PACKAGE: print the path of that .deb, of the version that fetch-kernel has unpacked. Call it in
# $(...): what use_suite does to apt has to end with it.
kernel_deb()
{
	local changelog=$stock/root/usr/share/doc/$source/changelog.Debian.gz version suite

	suite=$(suite_of linux "$(kernel_version)")
	[ "$suite" = own ] || use_suite "$suite"
	version=$(zcat "$changelog" | sed -nE '1s/^[^(]*\(([^)]+)\).*/\1/p')
	deb_file "$1" "$version" || die "cannot download $1 $version: is there a network?"
}

# The whole of it: fetch-kernel kept only a part. Of the other architectures the configuration reads some files.
unpack_whole_source() # TREE
{
	local deb

	log "unpacking $source"
	deb=$(kernel_deb "$source")
	mkdir "$1"
	dpkg-deb --fsys-tarfile "$deb" | tar -xOf - "./usr/src/$source.tar.xz" | xz -dc -T0 |
		tar -C "$1" --strip-components=1 --wildcards --exclude="$source/Documentation/*/*" \
			--exclude="$source/arch/*/boot/dts/*" --exclude="$source/tools/testing/*" \
			--exclude="$source/drivers/gpu/drm/amd/include/*" -xf -
}

# configure_kernel TREE CONFIG...: what is not in these files is off, or what the rest
# selects. Options that other options rule out would vanish silently.
configure_kernel()
{
	local lost

	cat "${@:2}" > "$1/wanted.config"
	make -s -C "$1" KCONFIG_ALLCONFIG=wanted.config allnoconfig
	lost=$(grep -E '^(# )?CONFIG_' "$1/wanted.config" | grep -vxFf "$1/.config" || true)
	[ -z "$lost" ] || die "the kernel cannot have ${lost//$'\n'/, }: see ${*:2}"
}

compile_kernel() # TREE LOG TARGET...
{
	if ! make -s -C "$1" -j"$(nproc)" "${@:3}" > "$2" 2>&1; then
		tail -n 20 "$2" >&2
		die "the kernel does not build; see above"
	fi
}
