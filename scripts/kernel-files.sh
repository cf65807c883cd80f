# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# The names of our own kernel files, for the scripts that put them somewhere or check
# them. Source it.

# At the same places in the checkout and in the kernel's tree; the ABI comes first.
# shellcheck disable=SC2034 # used by scripts that source this
kernel_files=(include/uapi/linux/kvm_fpr.h include/linux/kvm_fpr_types.h include/linux/kvm_fpr.h
	include/trace/events/kvm_fpr.h virt/kvm/free_page_filter.Kconfig virt/kvm/free_page_filter{,_kunit}.c
	arch/{x86,arm64}/kvm/free_page_filter.c)
# The test of a fault that upstream has.
# shellcheck disable=SC2034
kernel_fix_tests=(tools/testing/selftests/kvm/clear_dirty_log_test.c)
# shellcheck disable=SC2034
kernel_tests=(tools/testing/selftests/kvm/{fpr_test,fpr_walk_test,fpr_stress,fpr_faults}.c
	tools/testing/selftests/kvm/{fpr_arch,fpr_harness,fpr_random,fpr_options,fpr_util}.h)
