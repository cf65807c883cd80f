/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The free page filter: where it is off, who is told, and what is refused
 */

#include "qemu/osdep.h"
#include "qemu/atomic.h"
#include "qemu/error-report.h"
#include "hw/boards.h"
#include "hw/qdev-core.h"
#include "qapi/error.h"
#include "qapi/qapi-events-free-page-filter.h"
#include "system/runstate.h"
#include "qemu-file.h"
#include "ram.h"
#include "free-page-filter-internal.h"

const char *const fpf_blocked_text[] = {
    [FREE_PAGE_FILTER_BLOCKED_REASON_CAPABILITY] =
        "the migration capability free-page-filter is not set",
    [FREE_PAGE_FILTER_BLOCKED_REASON_NO_REPORTER] =
        "there is no free-page-agent object, and no balloon with "
        "free-page-filter=on",
    [FREE_PAGE_FILTER_BLOCKED_REASON_NO_KVM] = "the accelerator is not KVM",
    [FREE_PAGE_FILTER_BLOCKED_REASON_HOST] = "the host is big-endian",
    [FREE_PAGE_FILTER_BLOCKED_REASON_NO_KERNEL_SUPPORT] =
        "the kernel has no free page filter",
    [FREE_PAGE_FILTER_BLOCKED_REASON_DIRTY_RING] =
        "KVM's dirty ring is in use",
    [FREE_PAGE_FILTER_BLOCKED_REASON_CONFIDENTIAL_GUEST] =
        "the guest is confidential",
    [FREE_PAGE_FILTER_BLOCKED_REASON_IOMMU] =
        "the device is behind an IOMMU",
    [FREE_PAGE_FILTER_BLOCKED_REASON_PAGE_POISON] =
        "the guest relies on what its free pages hold, "
        "free page hints are refused",
    [FREE_PAGE_FILTER_BLOCKED_REASON_ARM_FAILED] = "KVM_FPR_ARM failed",
    [FPF_NOT_BLOCKED] = NULL,
};

bool free_page_filter_wanted(void)
{
    MigrationState *s = migrate_get_current();

    return s->capabilities[MIGRATION_CAPABILITY_FREE_PAGE_FILTER];
}

static bool fpf_is_strict(void)
{
    MigrationState *s = migrate_get_current();

    return s->capabilities[MIGRATION_CAPABILITY_FREE_PAGE_FILTER_STRICT];
}

/* Why there is no filter for this machine, whatever the migration's settings */
static FreePageFilterBlockedReason fpf_find_machine_reason(void)
{
    const AccelFreePageOps *ops = fpf_accel_ops();

    if (!ops) {
        return FREE_PAGE_FILTER_BLOCKED_REASON_NO_KVM;
    }
    switch (ops->blocked(current_accel())) {
    case ACCEL_FREE_PAGE_DIRTY_RING:
        return FREE_PAGE_FILTER_BLOCKED_REASON_DIRTY_RING;
    case ACCEL_FREE_PAGE_BIG_ENDIAN:
        return FREE_PAGE_FILTER_BLOCKED_REASON_HOST;
    case ACCEL_FREE_PAGE_NO_KERNEL_SUPPORT:
        return FREE_PAGE_FILTER_BLOCKED_REASON_NO_KERNEL_SUPPORT;
    case ACCEL_FREE_PAGE_NOT_BLOCKED:
        break;
    }
    if (current_machine->cgs) {
        return FREE_PAGE_FILTER_BLOCKED_REASON_CONFIDENTIAL_GUEST;
    }
    return FPF_NOT_BLOCKED;
}

/*
 * Called with the BQL held.  What cannot be set together with the capability
 * is not looked for: see free_page_filter_check_caps().
 */
FreePageFilterBlockedReason fpf_find_blocked_reason(FreePageFilter *fpf)
{
    FreePageFilterBlockedReason reason;

    if (!free_page_filter_wanted()) {
        return FREE_PAGE_FILTER_BLOCKED_REASON_CAPABILITY;
    }
    reason = fpf_find_machine_reason();
    if (reason != FPF_NOT_BLOCKED) {
        return reason;
    }
    if (!fpf->users) {
        return FREE_PAGE_FILTER_BLOCKED_REASON_NO_REPORTER;
    }
    return FPF_NOT_BLOCKED;
}

/*
 * Whether the machine is looked at.  What its command line sets is not refused:
 * a machine has to start wherever its files are, and does without the filter.
 * Nor is what the destination sets, for it need not have what the source needs.
 * The one that is on already is not either, or nothing else could be set where
 * it came with a migration to a host without the kernel's part.
 */
static bool fpf_checks_machine(const bool *old_caps)
{
    return phase_check(PHASE_MACHINE_READY) &&
           !runstate_check(RUN_STATE_INMIGRATE) &&
           !old_caps[MIGRATION_CAPABILITY_FREE_PAGE_FILTER];
}

bool free_page_filter_check_caps(const bool *old_caps, const bool *new_caps,
                                 Error **errp)
{
    static const MigrationCapability others[] = {
        /* Both sides run the guest, and would differ in its free pages. */
        MIGRATION_CAPABILITY_X_COLO,
        /* KVM logs nothing, so it cannot say what was written. */
        MIGRATION_CAPABILITY_BACKGROUND_SNAPSHOT,
    };
    FreePageFilterBlockedReason reason;

    if (!new_caps[MIGRATION_CAPABILITY_FREE_PAGE_FILTER]) {
        if (new_caps[MIGRATION_CAPABILITY_FREE_PAGE_FILTER_STRICT]) {
            error_setg(errp, "Capability 'free-page-filter-strict' requires "
                       "capability 'free-page-filter'");
            return false;
        }
        return true;
    }
    for (int i = 0; i < ARRAY_SIZE(others); i++) {
        if (new_caps[others[i]]) {
            error_setg(errp, "Capability 'free-page-filter' is not compatible "
                       "with capability '%s'",
                       MigrationCapability_str(others[i]));
            return false;
        }
    }
    if (fpf_checks_machine(old_caps)) {
        reason = fpf_find_machine_reason();
        if (reason != FPF_NOT_BLOCKED) {
            error_setg(errp, "Capability 'free-page-filter' cannot be set: %s",
                       fpf_blocked_text[reason]);
            return false;
        }
    }
    return true;
}

/* Called with the BQL held.  Every reason is told once, not in every round. */
void fpf_warn_blocked(FreePageFilter *fpf, FreePageFilterBlockedReason reason)
{
    if (reason != FPF_NOT_BLOCKED && reason != fpf->warned) {
        warn_report("free-page-filter has no effect: %s",
                    fpf_blocked_text[reason]);
        fpf->warned = reason;
    }
}

/* Called with the lock held: every change in a migration is told. */
void fpf_tell_blocked(FreePageFilter *fpf, FreePageFilterBlockedReason reason)
{
    if (reason != FPF_NOT_BLOCKED && reason != fpf->told_blocked) {
        fpf->told_blocked = reason;
        fpf->told_on = false;
        qapi_event_send_free_page_filter(FREE_PAGE_FILTER_STATE_BLOCKED, true,
                                         reason, fpf_blocked_text[reason],
                                         NULL);
    }
}

/*
 * A migration that is strict fails where the filter is off.  Of several reasons
 * the first one is told.
 */
void fpf_be_strict(FreePageFilter *fpf, FreePageFilterBlockedReason reason)
{
    if (reason != FPF_NOT_BLOCKED && fpf_is_strict()) {
        qatomic_cmpxchg(&fpf->failed, FPF_NOT_BLOCKED, reason);
    }
}

/*
 * Called by the migration thread, which alone may let the migration fail: it
 * knows that the destination has not begun to run the guest.  In postcopy,
 * where it may have, an error would not bring the guest back.
 *
 * While the guest does not run nothing need be filtered: that goes for savevm's
 * snapshots, too.  If it goes on, in the middle of a migration, that is seen
 * when the next pages are to be sent.
 */
void fpf_fail_if_strict(FreePageFilter *fpf)
{
    MigrationState *s = migrate_get_current();
    FreePageFilterBlockedReason reason = qatomic_read(&fpf->failed);
    Error *err = NULL;

    if (reason == FPF_NOT_BLOCKED || s->state != MIGRATION_STATUS_ACTIVE ||
        !runstate_is_running()) {
        return;
    }
    qatomic_set(&fpf->failed, FPF_NOT_BLOCKED);
    error_setg(&err, "free-page-filter-strict: the free page filter is off: %s",
               fpf_blocked_text[reason]);
    qemu_file_set_error_obj(s->to_dst_file, -EOPNOTSUPP, err);
}

/* As fpf_tell_blocked(), of a filter that is in use */
void fpf_tell_on(FreePageFilter *fpf)
{
    if (!fpf->told_on) {
        fpf->told_on = true;
        fpf->told_blocked = FPF_NOT_BLOCKED;
        qapi_event_send_free_page_filter(FREE_PAGE_FILTER_STATE_ON, false, 0,
                                         NULL, NULL);
    }
}

static int fpf_check_incoming(RAMBlock *rb, void *opaque)
{
    Error **errp = opaque;

    if (rb->had_content) {
        error_setg(errp, "free-page-filter: memory '%s' is a file that had "
                   "content, which would show where pages are not sent: delete "
                   "the file before QEMU starts", rb->idstr);
        return -1;
    }
    return 0;
}

bool free_page_filter_incoming(Error **errp)
{
    FreePageFilter *fpf = fpf_get();

    /* A snapshot that is loaded into a running machine has all pages. */
    return !(fpf->users || free_page_filter_wanted()) ||
           !runstate_check(RUN_STATE_INMIGRATE) ||
           !foreach_not_ignored_block(fpf_check_incoming, errp);
}
