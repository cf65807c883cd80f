/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/*
 * The free page filter: userspace hands over the guest's free page bitmap and
 * KVM_GET_DIRTY_LOG returns bitmaps without the pages that were free.
 *
 * All three ioctls are VM ioctls.  They follow an epoch: KVM_FPR_ARM begins
 * it, a report of free pages is taken after that, KVM_FPR_SET_BITMAP hands the
 * report over together with the epoch's number, and only pages that nobody
 * wrote since ARM are taken out of the dirty log.
 *
 * The full description is in Documentation/virt/kvm/free-page-filter.rst.
 *
 * The numbers below are provisional: they were chosen from ranges that
 * upstream does not use and live in this file alone.  Probe with
 * KVM_CHECK_EXTENSION, never rely on a kernel's version.
 */
#ifndef _UAPI_LINUX_KVM_FPR_H
#define _UAPI_LINUX_KVM_FPR_H

#include <linux/ioctl.h>
#include <linux/types.h>

/*
 * KVM_CHECK_EXTENSION returns the mask of KVM_FPR_CAP_* that the kernel
 * supports, 0 if it has no filter.  KVM_ENABLE_CAP takes in args[0] a mask of
 * those that can be enabled for a VM, which is KVM_FPR_CAP_FOREIGN.
 */
#define KVM_CAP_FREE_PAGE_FILTER	0x46505200

/* KVM_FPR_SET_BITMAP knows KVM_FPR_SET_CONFIRM. */
#define KVM_FPR_CAP_CONFIRM		(1U << 0)
/* KVM_ENABLE_CAP: any process that holds the VM's descriptor may call. */
#define KVM_FPR_CAP_FOREIGN		(1U << 1)
/* KVM_FPR_ARM knows KVM_FPR_ARM_CANDIDATES. */
#define KVM_FPR_CAP_CANDIDATES		(1U << 2)

/* Flags of KVM_FPR_ARM: a bitmap says which pages are worth tracking. */
#define KVM_FPR_ARM_CANDIDATES		(1U << 0)

/* Flags of KVM_FPR_SET_BITMAP: write the bitmap of confirmed pages back. */
#define KVM_FPR_SET_CONFIRM		(1U << 0)

/*
 * The errors that every ioctl of the filter can return, in the order in which
 * they are checked.  An ioctl that fails with one of them has changed nothing.
 *
 * EIO		the VM is dead
 * EPERM	the caller is not the VM's own process, the owner did not
 *		enable KVM_FPR_CAP_FOREIGN, and the caller has no
 *		CAP_SYS_ADMIN in the initial user namespace
 * EOPNOTSUPP	the VM's memory is private or encrypted, by whichever of KVM's
 *		interfaces; on arm64 also: the VM is protected, or its vCPUs have
 *		EL2 (KVM_ARM_VCPU_HAS_EL2)
 * ENXIO	the VM uses a dirty ring
 * EFAULT	the argument is not readable; that it is writable is checked last
 * EINVAL	an unknown flag, a reserved field that is not zero, or a field
 *		out of its range
 */

/**
 * struct kvm_fpr_arm - argument of KVM_FPR_ARM
 * @flags:	in: KVM_FPR_ARM_CANDIDATES or 0
 * @pad:	in: must be 0
 * @epoch:	in: 0, or with KVM_FPR_ARM_CANDIDATES what an interrupted call
 *		returned; out: the number of the epoch that began, never 0,
 *		below 2^52
 * @gpa:	in: with KVM_FPR_ARM_CANDIDATES the first guest physical address
 *		of the range that the candidates lie in, in bytes, a multiple of
 *		the page size, else 0; out: the first one not yet done
 * @size:	in: with KVM_FPR_ARM_CANDIDATES the size of that range, in
 *		bytes, a multiple of the page size and not 0, else 0; out: what
 *		is left to do
 * @candidates:	in: with KVM_FPR_ARM_CANDIDATES the address of a bitmap in the
 *		form of a report, else 0: bit n says that the page at @gpa + n
 *		pages is worth tracking; out: advanced with @gpa
 * @reserved:	in: must be 0
 *
 * Begins an epoch for the whole VM, which ends the one before.  Every page of
 * every memslot that logs dirty pages and is not KVM_MEM_READONLY is protected
 * again; the dirty log is not changed.  Only a report taken after this ioctl has
 * returned may be handed over with @epoch.
 *
 * With KVM_FPR_ARM_CANDIDATES only candidates can be confirmed in this epoch,
 * and only they are protected, so that writes to the others cost no fault.  A
 * signal may interrupt a large range: the ioctl then returns 0 with @size not
 * 0, and the same structure is passed again to go on.  The epoch begins once
 * @size is 0.
 *
 * ARM waits, without a lock, for vCPUs that handle a fault; a signal ends the wait.
 *
 * Errors besides those above:
 *
 * ESTALE	with KVM_FPR_ARM_CANDIDATES: another ARM or a DISARM came between the
 *		calls, or while this one waited: begin again, with @epoch 0
 * EINTR	a signal came; with KVM_FPR_ARM_CANDIDATES nothing has changed,
 *		without it the epoch before may have ended
 * ENOMEM	no memory for the buffers, or to arm a memslot for the first time;
 *		nothing has changed
 *
 * With KVM_FPR_ARM_CANDIDATES EFAULT is also returned where @candidates cannot
 * be read; @gpa and @size then say how much was done before.  If anything was, the
 * epoch before has ended.
 */
struct kvm_fpr_arm {
	__u32 flags;
	__u32 pad;
	__u64 epoch;
	__u64 gpa;
	__u64 size;
	__u64 candidates;
	__u64 reserved[3];
};

/**
 * struct kvm_fpr_bitmap - argument of KVM_FPR_SET_BITMAP
 * @flags:	in: KVM_FPR_SET_CONFIRM or 0
 * @pad:	in: must be 0
 * @epoch:	in: from KVM_FPR_ARM
 * @gpa:	in: first guest physical address of the range, in bytes, a
 *		multiple of the page size; out: the first one not yet done
 * @size:	in: size of the range, in bytes, a multiple of the page size
 *		and not 0; out: what is left to do
 * @bitmap:	in: address of the report, one bit per page, little-endian:
 *		bit n says that the page at @gpa + n pages was free at some
 *		instant after ARM; read in whole 64-bit words, bits behind the
 *		range are ignored; out: advanced with @gpa
 * @confirmed:	in: with KVM_FPR_SET_CONFIRM the address of a bitmap of the
 *		same size, else 0; receives the pages whose content is
 *		disposable; out: advanced with @gpa
 * @nr_filtered: in/out: number of pages taken out of the dirty log, a page
 *		counted once for every address space; the kernel adds to it
 * @nr_confirmed: in/out: number of pages confirmed; the kernel adds to it
 * @reserved:	in: must be 0
 *
 * Takes pages out of the dirty log that the report names and that nobody wrote
 * since ARM.  A signal may interrupt a large range: the ioctl then returns 0 with
 * @size not 0, and the same structure is passed again to go on.
 *
 * A confirmed page may have been written again since: such a write is in the
 * dirty log, so whoever skips confirmed pages must still do a later
 * KVM_GET_DIRTY_LOG.
 *
 * Errors besides those above:
 *
 * ESTALE	the epoch is not the VM's current one: another ARM or a DISARM
 *		came; or memslots in the range log dirty pages, but none of
 *		them since the epoch began: they were created, moved or had
 *		their logging switched on later; or no memslot of the VM has
 *		logged since then
 * EINTR	a signal came before anything was done
 * ENOMEM	no memory for the buffers
 *
 * EFAULT is also returned where @bitmap or @confirmed cannot be accessed;
 * @gpa and @size then say how much was done before.
 */
struct kvm_fpr_bitmap {
	__u32 flags;
	__u32 pad;
	__u64 epoch;
	__u64 gpa;
	__u64 size;
	__u64 bitmap;
	__u64 confirmed;
	__u64 nr_filtered;
	__u64 nr_confirmed;
	__u64 reserved[4];
};

/**
 * struct kvm_fpr_disarm - argument of KVM_FPR_DISARM
 * @flags:	in: must be 0
 * @pad:	in: must be 0
 * @epoch:	in: the epoch to end, or 0 for whichever there is
 * @reserved:	in: must be 0
 *
 * Ends an epoch: its reports are refused from now on.  ESTALE: @epoch is not 0
 * and is not the VM's current epoch.  EINTR: a signal came before anything was
 * done.
 */
struct kvm_fpr_disarm {
	__u32 flags;
	__u32 pad;
	__u64 epoch;
	__u64 reserved[2];
};

#define KVM_FPR_ARM		_IOWR(0xAE, 0xf0, struct kvm_fpr_arm)
#define KVM_FPR_SET_BITMAP	_IOWR(0xAE, 0xf1, struct kvm_fpr_bitmap)
#define KVM_FPR_DISARM		_IOW(0xAE, 0xf2, struct kvm_fpr_disarm)

#endif /* _UAPI_LINUX_KVM_FPR_H */
