# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154 # what the scripts that source this use and set
#
# Functions that build KVM's modules with the filter. Source it after debian.sh and
# patches.sh, with $here and $top set. They work with what find_kernel sets: kernel, headers,
# patches, cc, build_with.

# shellcheck source=scripts/kernel-files.sh
. "$here/kernel-files.sh"

# All in the checkout that a result depends on, besides $patches.
module_inputs=("${kernel_files[@]}" scripts/kvm-modules.sh scripts/kernel-files.sh
	scripts/debian.sh scripts/patches.sh)

# replace_once FILE FROM TO: a plain string that must be there exactly once.
replace_once()
{
	[ "$(grep -cF -- "$2" "$1")" -eq 1 ] || die "${1##*/} no longer has one line with '$2'"
	FROM=$2 TO=$3 perl -pi -e 's/\Q$ENV{FROM}\E/$ENV{TO}/' "$1"
}

# The two directories are built out of the tree that they were written for.
make_external() # TREE
{
	local makefile=$1/arch/x86/kvm/Makefile

	# shellcheck disable=SC2016 # make's variables
	replace_once "$makefile" '-I $(srctree)/arch/x86/kvm' '-I $(src)'
	# shellcheck disable=SC2016
	replace_once "$makefile" '$(srctree)/virt/kvm/Makefile.kvm' '$(src)/../../../virt/kvm/Makefile.kvm'
	# The distribution's headers come first on the command line unless ours precede.
	cat >> "$makefile" <<-'END'
		LINUXINCLUDE := $(foreach dir,arch/x86/include include include/uapi,-I$(src)/../../../$(dir)) $(LINUXINCLUDE)
		ccflags-y += -DCONFIG_KVM_FREE_PAGE_FILTER=1 -DCONFIG_HAVE_KVM_ARCH_FPR_PROTECT=1
		ccflags-y += -I$(src)/../../../include/trace -Werror
		ccflags-$(CONFIG_KUNIT) += -DCONFIG_KVM_FREE_PAGE_FILTER_KUNIT_TEST=1
		GCOV_PROFILE_free_page_filter.o := $(CONFIG_GCOV_KERNEL)
		GCOV_PROFILE_../../../virt/kvm/free_page_filter.o := $(CONFIG_GCOV_KERNEL)
	END
	# The tracepoints' own "../../arch/x86/kvm" counts from a directory there.
	mkdir -p "$1/include/trace"
}

# make_tree TREE: KVM's sources with our files and hooks, as make_modules takes them.
make_tree()
{
	local file

	mkdir -p "$1/arch/x86" "$1/virt"
	cp -r "$kernel/src/arch/x86/kvm" "$1/arch/x86/"
	cp -r "$kernel/src/virt/kvm" "$1/virt/"
	for file in "${kernel_files[@]}"; do
		install -D -m 644 "$top/$file" "$1/$file"
	done
	# The series also changes files that the modules are not made of.
	(cd "$kernel/src" && patched_files "$top/$patches" | xargs cp --parents -t "$1")
	apply_series "$top/$patches" "$1"
	make_external "$1"
}

make_modules() # TREE [VARIABLE=VALUE...]
{
	"${build_with[@]}" make -C "$headers" M="$1/arch/x86/kvm" CC="$cc" CONFIG_KVM_FREE_PAGE_FILTER=y \
		-j"$(nproc)" "${@:2}" modules
}

# make_clean_modules TREE LOG: the same, with any warning an error.
make_clean_modules()
{
	if ! make_modules "$1" > "$2" 2>&1; then
		tail -n 20 "$2" >&2
		die "the modules do not build; see above"
	fi
	! grep -i 'warning' "$2" >&2 || die "the build has warnings; see above"
}
