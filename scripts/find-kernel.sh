# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# shellcheck disable=SC2034 # what the scripts that source this use
#
# Functions that find a kernel and what builds modules for it. Source it after debian.sh,
# with $here and $top set.

# shellcheck source=scripts/versions.sh
. "${here:?}/versions.sh"

# What a module depends on besides its sources.
find_kernel_inputs=(scripts/find-kernel.sh scripts/build-toolchain)

# find_compiler HEADERS SUITE: set cc to the compiler that the kernel was built with, as its
# configuration names it, and build_with to what a command that builds a module begins with:
# nothing, or what runs it in a system of SUITE where this machine's release has no such
# compiler. The kernel's own tools, like modpost, would not run here either then. Exits with
# status 3 where neither can be had.
find_compiler()
{
	local toolchain cache

	cc=$(sed -nE 's/^CONFIG_CC_VERSION_TEXT="?([^ ]+).*/\1/p' "$1/include/config/auto.conf")
	build_with=()
	if [ "$2" = own ] || command -v "$cc" > /dev/null; then
		return
	fi
	need_command bubblewrap bwrap
	toolchain=$("$here/build-toolchain" "${2%-backports}" "${cc##*-linux-gnu-}")
	cache=$(cache_dir)
	build_with=(bwrap --die-with-parent --ro-bind "$toolchain/root/usr" /usr --symlink usr/bin /bin
		--symlink usr/lib /lib --symlink usr/lib64 /lib64 --dev /dev --proc /proc --tmpfs /tmp
		--bind "$cache" "$cache" --chdir "$cache")
	"${build_with[@]}" true ||
		{ log "bubblewrap cannot run $cc: it needs root, or namespaces for every user"; exit 3; }
}

# sparse_reads HEADERS: whether sparse can read a kernel's headers. Its last release, 0.6.4,
# does not know __typeof_unqual__, which newer kernels use.
sparse_reads()
{
	! grep -qs __typeof_unqual__ "${1%-*}-common/include/linux/compiler.h"
}

# compiler_version: print what tells results of different compilers apart.
compiler_version()
{
	"${build_with[@]}" "$cc" --version | head -n 1
}

# find_kernel stock|FLAVOUR: set kernel, headers, patches, and what find_compiler does; of the
# version that kernel_version prints. The stock kernel, or a debug kernel.
find_kernel()
{
	local version suite=own

	need_command make make
	need_command patch patch
	need_command perl perl
	version=$(kernel_version)
	patches=patches/linux/$version
	if [ "$1" = stock ]; then
		kernel=$("$here/fetch-kernel")
		suite=$(suite_of linux "$version")
	else
		kernel=$("$here/build-debug-kernel" "$1")
	fi
	headers=$kernel/root/usr/src/linux-headers-$(cat "$kernel/version")
	find_compiler "$headers" "$suite"
	[ ${#build_with[@]} -gt 0 ] || need_command "${cc##*-linux-gnu-}" "$cc"
}
