# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# Functions that configure and build QEMU as the lab uses it. Source it after debian.sh.

cc=gcc
# A disk of contrib/, for which --enable-tools is needed
backend=contrib/vhost-user-blk/vhost-user-blk
# What our series tests in QEMU's own tree
# shellcheck disable=SC2034 # for those who source this
tests=(tests/unit/test-free-page-wire tests/qtest/{free-page-agent-test,migration-test})
# What a machine without a display, disks or network cards asks for.
firmware=(/usr/share/seabios/bios-256k.bin /usr/share/qemu/{kvmvapic,linuxboot_dma,pvh}.bin)
options=(--target-list=x86_64-softmmu --without-default-features
	--enable-system --enable-kvm --enable-tcg --enable-fdt=system --enable-attr --enable-virtfs
	--enable-vhost-kernel --enable-vhost-net --enable-vhost-user --enable-replication
	--enable-tools
	--enable-trace-backends=log --disable-debug-info
	--disable-docs --disable-download --disable-install-blobs)

# need_file PACKAGE FILE...: every file exists, or name its package.
need_file()
{
	local package=$1 file

	shift
	for file; do
		[ -e "$file" ] ||
			die "needs $file: install the Debian package $package (scripts/install-packages does)"
	done
}

# What has to be installed.
need_qemu_packages()
{
	need_command gcc "$cc"
	need_command make make
	need_command patch patch
	need_command ninja-build ninja
	need_command pkg-config pkg-config
	need_file libglib2.0-dev /usr/include/glib-2.0/glib.h
	need_file libfdt-dev /usr/include/libfdt.h
	need_file libattr1-dev /usr/include/attr/libattr.h
	need_file zlib1g-dev /usr/include/zlib.h
	need_file seabios "${firmware[0]}"
	need_file qemu-system-data "${firmware[@]:1}"
}

# run_logged LOG COMMAND...: the end of its output is shown only if it fails.
run_logged()
{
	local log=$1

	shift
	if ! "$@" >> "$log" 2>&1; then
		tail -n 20 "$log" >&2
		return 1
	fi
}

# configure_qemu SOURCE TREE BUILD LOG: SOURCE is what fetch-qemu printed.
configure_qemu()
{
	mkdir "$3" && (cd "$3" && PYTHONPATH=$1/meson run_logged "$4" \
		"$2/configure" --python=/usr/bin/python3 --cc="$cc" "${options[@]}")
}

# make_qemu SOURCE BUILD LOG [TARGET...]: also what has changed since. Upstream's own code may bring
# warnings with a newer compiler, ours may not.
make_qemu()
{
	PYTHONPATH=$1/meson run_logged "$3" make -C "$2" -j"$(nproc)" qemu-system-x86_64 "$backend" "${@:4}" &&
		! grep -E '(free-page|kvm[-_]fpr|/wire).*warning:' "$3" >&2
}
