/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Reports of free pages by an agent in the guest
 *
 * After each bitmap sync the filter is armed and the agent is asked, with the
 * epoch's number as the tag of the request, and asked again from time to time
 * while the round lasts, as often as that is worth its while: see
 * free-page-budget.h.  What it answers is used in parts of a GiB of the guest's
 * memory, also where the answer breaks off: each piece has a checksum of its
 * own that covers the tag, so each was made after ARM whatever becomes of the
 * rest.
 *
 * Where nobody answers, nothing is armed, asked or waited for.  That a socket
 * has a peer says nothing: QEMU has one for a port that nobody in the guest has
 * opened.  So each peer gets a request with the tag 0, of no epoch, which waits
 * there for whoever opens the port, and the agent is there when it has answered
 * all that it was asked.  At the beginning of a migration, one that owes an
 * answer gets another such request: the first may have been lost with a guest
 * that booted anew.
 *
 * The guest is not trusted, and not waited for but before the first page is
 * sent and before it is decided whether the guest is stopped, for a bounded
 * time.  It may send anything at any time: the decoder keeps one piece at most
 * and skips what does not answer the last request.
 *
 * All that has to do with the agent is done in a thread of its own, without the
 * BQL, for using a report waits for those who send pages.  Others only tell it
 * what to do.
 */

#include "qemu/osdep.h"
#include "qemu/error-report.h"
#include "qemu/host-utils.h"
#include "qemu/lockable.h"
#include "qemu/main-loop.h"
#include "qemu/module.h"
#include "qemu/rcu.h"
#include "qemu/timer.h"
#include "qemu/units.h"
#include "qapi/error.h"
#include "qapi/visitor.h"
#include "hw/qdev-core.h"
#include "qom/object_interfaces.h"
#include "migration/free-page-budget.h"
#include "migration/free-page-compat.h"
#include "migration/free-page-filter.h"
#include "migration/misc.h"
#include "system/iothread.h"
#include "system/runstate.h"
#include "trace.h"
#include "wire.h"

#define TYPE_FREE_PAGE_REPORT "free-page-report"
OBJECT_DECLARE_SIMPLE_TYPE(FreePageReport, FREE_PAGE_REPORT)

/* See free_page_filter_report() */
#define FPR_MAX_CHUNK_SIZE (1 * GiB)

/*
 * A guest answers within 100 ms, on a busy host in 2 s at the worst that was
 * seen.  Waiting costs nothing once it has, and no downtime.
 */
#define FPR_WAIT_FIRST_MS 1000
#define FPR_WAIT_LAST_MS 100

/* Nobody should wait for longer for a guest that does not answer */
#define FPR_MAX_MS 10000

/* The sooner it is known what was freed, the less of it is sent. */
#define FPR_INTERVAL_MS 50

/* The tag of a request that is of no epoch */
#define FPR_NO_EPOCH 0

struct FreePageReport {
    Object parent_obj;

    char *chardev;
    uint32_t wait_first_ms;
    uint32_t wait_last_ms;
    uint32_t interval_ms;
    CharFrontend chr;
    IOThread *iothread;
    NotifierWithReturn precopy;
    /* Has the object's own thread call fpr_work() */
    QEMUBH *work;

    /* Protects what follows, for a few instructions at a time */
    QemuMutex lock;
    /* For fpr_work(): the epoch for which the agent is to be asked, or 0 */
    uint64_t wanted_epoch;
    /* The same: whether it is there */
    bool probe;
    /* The same: there is another peer, or none */
    bool new_peer;
    /* The same: the migration is over */
    bool over;
    /* One goes on */
    bool migrating;
    /* The agent was asked and has not answered yet */
    bool owes;
    /* In this migration it is asked, and worth waiting for */
    bool present;
    /* The agent does not even read what it is asked */
    bool stuck;
    FreePageBudget budget;

    /* The object's own thread's, as all that follows: asks again */
    QEMUTimer *again;
    /* What is left of the last request */
    uint8_t request[WIRE_REQUEST_LEN];
    int request_left;
    /* An answer is expected; when it was asked for, and whether after a sync */
    bool expecting;
    int64_t asked_ms;
    bool after_sync;
    /* The epoch whose report it is, 0 if it is of no use */
    uint64_t epoch;
    struct wire_decoder decoder;
};

static int64_t fpr_now(void)
{
    return qemu_clock_get_ms(QEMU_CLOCK_REALTIME);
}

/* flatview_cb */
static bool fpr_find_end(Int128 start, Int128 len, const MemoryRegion *mr,
                         hwaddr offset_in_region, void *opaque)
{
    uint64_t *end = opaque;

    if (mr->ram_block && !mr->ram_device) {
        *end = MAX(*end, int128_get64(int128_add(start, len)));
    }
    return false;
}

/* How many pages the guest's memory spans at most, holes and ROM included */
static uint64_t fpr_max_pages(void)
{
    uint64_t end = 0;

    /* Who answers before there is memory is there, and names nothing. */
    if (!phase_check(PHASE_MACHINE_READY)) {
        return UINT64_MAX >> ctz64(qemu_real_host_page_size());
    }
    RCU_READ_LOCK_GUARD();
    flatview_for_each_range(address_space_to_flatview(&address_space_memory),
                            fpr_find_end, &end);
    return ROUND_UP(DIV_ROUND_UP(end, qemu_real_host_page_size()), 64);
}

/* What comes from now on answers this request. */
static void fpr_expect(FreePageReport *fpr, uint64_t epoch)
{
    const struct wire_expect expect = {
        .tag = epoch,
        .page_shift = ctz64(qemu_real_host_page_size()),
        /* The rest of an earlier answer, however long */
        .max_skip = UINT64_MAX,
    };

    wire_decoder_init(&fpr->decoder, &expect);
    fpr->asked_ms = fpr_now();
    fpr->epoch = epoch;
    fpr->expecting = true;
}

/* A report is of no more use, and no other is asked for. */
static void fpr_discard(FreePageReport *fpr)
{
    timer_del(fpr->again);
    if (fpr->epoch) {
        free_page_filter_report_done(fpr->epoch, false);
        fpr->epoch = 0;
    }
}

/* Ask for another one in a while, if the migration lasts as long. */
static void fpr_rest(FreePageReport *fpr)
{
    if (fpr->interval_ms) {
        QEMU_LOCK_GUARD(&fpr->lock);
        timer_mod(fpr->again, free_page_budget_again(&fpr->budget, fpr_now(),
                                                     fpr->interval_ms));
    }
}

/* Nothing more comes of what is expected. */
static void fpr_end(FreePageReport *fpr, enum wire_status status)
{
    const uint64_t epoch = fpr->epoch;
    int64_t won;

    trace_free_page_report_end(epoch, wire_status_text(status),
                               fpr->decoder.nr_free);
    if (status == WIRE_REFUSED) {
        warn_report_once("free-page-report: the guest sends none: %s",
                         wire_refusal_text(fpr->decoder.refusal));
    }
    fpr->expecting = false;
    WITH_QEMU_LOCK_GUARD(&fpr->lock) {
        /* An agent does, if only what answers a request in time. */
        if (status == WIRE_DONE || status == WIRE_REFUSED ||
            status == WIRE_STOPPED) {
            fpr->owes = false;
            fpr->present = true;
        }
    }
    if (!epoch) {
        return;
    }

    fpr->epoch = 0;
    won = free_page_filter_report_done(epoch, status == WIRE_DONE);
    WITH_QEMU_LOCK_GUARD(&fpr->lock) {
        free_page_budget_spend(&fpr->budget, fpr->after_sync,
                               fpr_now() - fpr->asked_ms, won);
    }
    if (status == WIRE_DONE) {
        fpr_rest(fpr);
    }
}

/* wire_chunk_fn */
static int fpr_take_chunk(void *opaque, uint64_t first_pfn, uint32_t npages,
                          const uint8_t *bits)
{
    FreePageReport *fpr = opaque;

    return !free_page_filter_report(fpr->epoch,
                                    first_pfn * qemu_real_host_page_size(),
                                    (const unsigned long *)bits, npages);
}

static int fpr_can_read(void *opaque)
{
    return WIRE_CHUNK_MAX;
}

static void fpr_read(void *opaque, const uint8_t *buf, int size)
{
    FreePageReport *fpr = opaque;
    enum wire_status status;

    if (!fpr->expecting) {
        return;
    }
    /* There may have been no memory, or less, when the agent was asked. */
    if (fpr->decoder.state == WIRE_IN_RESPONSE) {
        fpr->decoder.expect.max_pages = fpr_max_pages();
    }
    status = wire_decode(&fpr->decoder, buf, size, NULL, fpr_take_chunk, fpr);
    if (status != WIRE_MORE) {
        fpr_end(fpr, status);
    }
}

/*
 * A request that cannot be sent whole is finished before the next one, so that
 * the agent sees requests and nothing else.
 */
static bool fpr_flush_request(FreePageReport *fpr)
{
    int done;

    if (fpr->request_left) {
        done = qemu_chr_fe_write(&fpr->chr,
                                 fpr->request + WIRE_REQUEST_LEN -
                                 fpr->request_left, fpr->request_left);
        fpr->request_left -= MAX(done, 0);
    }
    WITH_QEMU_LOCK_GUARD(&fpr->lock) {
        fpr->stuck = fpr->request_left > 0;
    }
    return !fpr->request_left;
}

/* Whatever comes next, an earlier answer is no reason to ask. */
static void fpr_break_off(FreePageReport *fpr)
{
    timer_del(fpr->again);
    if (fpr->expecting) {
        fpr_end(fpr, WIRE_MORE);
    }
}

static void fpr_ask(FreePageReport *fpr, uint64_t epoch)
{
    fpr_break_off(fpr);
    fpr_expect(fpr, epoch);
    if (!fpr_flush_request(fpr)) {
        fpr_discard(fpr);
        return;
    }
    WITH_QEMU_LOCK_GUARD(&fpr->lock) {
        fpr->owes = true;
    }
    wire_encode_request(fpr->request, epoch);
    fpr->request_left = WIRE_REQUEST_LEN;
    fpr_flush_request(fpr);
    trace_free_page_report_ask(epoch);
}

/* A peer that was asked nothing yet, or none */
static void fpr_greet(FreePageReport *fpr)
{
    fpr_break_off(fpr);
    fpr->request_left = 0;
    WITH_QEMU_LOCK_GUARD(&fpr->lock) {
        fpr->owes = true;
        fpr->present = false;
        fpr->stuck = false;
    }
}

/* QEMUBHFunc, called in the object's own thread */
static void fpr_work(void *opaque)
{
    FreePageReport *fpr = opaque;
    bool over, new_peer, probe, peer = qemu_chr_fe_backend_open(&fpr->chr);
    uint64_t epoch;

    WITH_QEMU_LOCK_GUARD(&fpr->lock) {
        over = fpr->over;
        new_peer = fpr->new_peer;
        probe = fpr->probe;
        epoch = fpr->wanted_epoch;
        fpr->over = fpr->new_peer = fpr->probe = false;
        fpr->wanted_epoch = 0;
    }

    if (over) {
        fpr_discard(fpr);
    }
    if (new_peer) {
        fpr_greet(fpr);
        probe = true;
    }
    if (epoch && !peer) {
        free_page_filter_report_done(epoch, false);
    } else if (epoch) {
        fpr_ask(fpr, epoch);
        fpr->after_sync = true;
    } else if (probe && peer) {
        fpr_ask(fpr, FPR_NO_EPOCH);
    }
}

/* QEMUTimerCB, called in the object's own thread */
static void fpr_ask_again(void *opaque)
{
    FreePageReport *fpr = opaque;
    uint64_t epoch;

    if (!runstate_is_running()) {
        return;
    }
    WITH_QEMU_LOCK_GUARD(&fpr->lock) {
        /* A sync came just before the timer's turn, and it is asked then. */
        if (fpr->wanted_epoch) {
            return;
        }
    }
    epoch = free_page_filter_ask_again();
    if (epoch) {
        fpr_ask(fpr, epoch);
        fpr->after_sync = false;
    }
}

/* Called with the BQL held, after a bitmap sync */
static void fpr_ask_after_sync(FreePageReport *fpr)
{
    int64_t now = fpr_now();
    uint64_t epoch = 0;
    bool ask;

    if (!runstate_is_running() || !qemu_chr_fe_backend_open(&fpr->chr)) {
        return;
    }
    WITH_QEMU_LOCK_GUARD(&fpr->lock) {
        if (!fpr->migrating) {
            free_page_budget_begin(&fpr->budget, now);
            fpr->migrating = true;
            fpr->present = !fpr->owes;
            fpr->probe = fpr->owes;
        }
        ask = fpr->present && !fpr->stuck &&
              free_page_budget_after_sync(&fpr->budget, now);
    }
    /* The filter need not be armed if nobody is asked. */
    if (ask) {
        epoch = free_page_filter_arm_for_report(fpr->wait_first_ms,
                                                fpr->wait_last_ms);
    }
    WITH_QEMU_LOCK_GUARD(&fpr->lock) {
        fpr->wanted_epoch = epoch;
    }
    qemu_bh_schedule(fpr->work);
}

/* Called with the BQL held */
static void fpr_migration_ended(FreePageReport *fpr)
{
    WITH_QEMU_LOCK_GUARD(&fpr->lock) {
        fpr->migrating = false;
        fpr->over = true;
        fpr->wanted_epoch = 0;
    }
    qemu_bh_schedule(fpr->work);
}

static int fpr_precopy_notify(NotifierWithReturn *n, void *data, Error **errp)
{
    FreePageReport *fpr = container_of(n, FreePageReport, precopy);
    PrecopyNotifyData *pnd = data;

    if (pnd->reason == PRECOPY_NOTIFY_AFTER_BITMAP_SYNC) {
        fpr_ask_after_sync(fpr);
    } else if (pnd->reason == PRECOPY_NOTIFY_CLEANUP) {
        fpr_migration_ended(fpr);
    }
    return 0;
}

static void fpr_event(void *opaque, QEMUChrEvent event)
{
    FreePageReport *fpr = opaque;

    if (event == CHR_EVENT_OPENED || event == CHR_EVENT_CLOSED) {
        WITH_QEMU_LOCK_GUARD(&fpr->lock) {
            fpr->new_peer = true;
        }
        qemu_bh_schedule(fpr->work);
    }
}

static void fpr_complete(UserCreatable *uc, Error **errp)
{
    FreePageReport *fpr = FREE_PAGE_REPORT(uc);
    const char *name = object_get_canonical_path_component(OBJECT(uc));
    Chardev *chr;

    if (qemu_real_host_page_size() * WIRE_CHUNK_PAGES > FPR_MAX_CHUNK_SIZE) {
        error_setg(errp, "free-page-report: the host's pages are too large");
        return;
    }
    if (!fpr->chardev) {
        error_setg(errp, "free-page-report: the property 'chardev' is missing");
        return;
    }
    chr = qemu_chr_find(fpr->chardev);
    if (!chr) {
        error_setg(errp, "free-page-report: no chardev '%s'", fpr->chardev);
        return;
    }
    if (!qemu_chr_has_feature(chr, QEMU_CHAR_FEATURE_GCONTEXT)) {
        error_setg(errp, "free-page-report: chardev '%s' cannot be used in a "
                   "thread of its own: take a socket", fpr->chardev);
        return;
    }
    if (!qemu_chr_fe_init(&fpr->chr, chr, errp)) {
        return;
    }
    fpr->iothread = iothread_create(name, errp);
    if (!fpr->iothread) {
        return;
    }
    fpr->work = aio_bh_new(iothread_get_aio_context(fpr->iothread), fpr_work,
                           fpr);
    fpr->again = aio_timer_new(iothread_get_aio_context(fpr->iothread),
                               QEMU_CLOCK_REALTIME, SCALE_MS, fpr_ask_again,
                               fpr);

    qemu_chr_fe_set_handlers(&fpr->chr, fpr_can_read, fpr_read, fpr_event, NULL,
                             fpr, iothread_get_g_main_context(fpr->iothread),
                             true);
    free_page_filter_enable();
    fpr->precopy.notify = fpr_precopy_notify;
    precopy_add_notifier(&fpr->precopy);
}

/*
 * Its thread ends soon, for it does not wait for those who send pages any more.
 * Other users of the filter should not wait for reports that were asked for.
 */
static void fpr_end_thread(FreePageReport *fpr)
{
    free_page_filter_hurry(true);
    iothread_stop(fpr->iothread);
    fpr_discard(fpr);
    fpr->epoch = fpr->wanted_epoch;
    fpr_discard(fpr);
    free_page_filter_hurry(false);
}

static void fpr_finalize(Object *obj)
{
    FreePageReport *fpr = FREE_PAGE_REPORT(obj);

    if (fpr->precopy.notify) {
        precopy_remove_notifier(&fpr->precopy);
    }
    if (fpr->iothread) {
        fpr_end_thread(fpr);
        timer_free(fpr->again);
        qemu_bh_delete(fpr->work);
    }
    if (fpr->precopy.notify) {
        free_page_filter_disable();
    }
    qemu_chr_fe_deinit(&fpr->chr, false);
    if (fpr->iothread) {
        iothread_destroy(fpr->iothread);
    }
    qemu_mutex_destroy(&fpr->lock);
    g_free(fpr->chardev);
}

static char *fpr_get_chardev(Object *obj, Error **errp)
{
    return g_strdup(FREE_PAGE_REPORT(obj)->chardev);
}

static void fpr_set_chardev(Object *obj, const char *value, Error **errp)
{
    FreePageReport *fpr = FREE_PAGE_REPORT(obj);

    if (fpr->iothread) {
        error_setg(errp, "free-page-report: 'chardev' cannot be changed");
        return;
    }
    g_free(fpr->chardev);
    fpr->chardev = g_strdup(value);
}

static void fpr_get_ms(Object *obj, Visitor *v, const char *name,
                       void *opaque, Error **errp)
{
    uint32_t *ms = (void *)obj + (uintptr_t)opaque;

    visit_type_uint32(v, name, ms, errp);
}

static void fpr_set_ms(Object *obj, Visitor *v, const char *name,
                       void *opaque, Error **errp)
{
    uint32_t *ms = (void *)obj + (uintptr_t)opaque;
    uint32_t value;

    if (!visit_type_uint32(v, name, &value, errp)) {
        return;
    }
    if (value > FPR_MAX_MS) {
        error_setg(errp, "free-page-report: '%s' is %u ms, but %u is the most "
                   "that makes sense", name, value, FPR_MAX_MS);
        return;
    }
    *ms = value;
}

static bool fpr_get_agent_present(Object *obj, Error **errp)
{
    FreePageReport *fpr = FREE_PAGE_REPORT(obj);

    QEMU_LOCK_GUARD(&fpr->lock);
    return !fpr->owes;
}

static void fpr_init(Object *obj)
{
    FreePageReport *fpr = FREE_PAGE_REPORT(obj);

    qemu_mutex_init(&fpr->lock);
    fpr->owes = true;
    fpr->wait_first_ms = FPR_WAIT_FIRST_MS;
    fpr->wait_last_ms = FPR_WAIT_LAST_MS;
    fpr->interval_ms = FPR_INTERVAL_MS;
}

static void fpr_class_init(ObjectClass *oc, FreePageClassData *data)
{
    UserCreatableClass *ucc = USER_CREATABLE_CLASS(oc);

    object_class_property_add_str(oc, "chardev", fpr_get_chardev,
                                  fpr_set_chardev);
    object_class_property_add(oc, "wait-first-report", "uint32",
                              fpr_get_ms, fpr_set_ms, NULL,
                              (void *)offsetof(FreePageReport, wait_first_ms));
    object_class_property_add(oc, "wait-last-report", "uint32",
                              fpr_get_ms, fpr_set_ms, NULL,
                              (void *)offsetof(FreePageReport, wait_last_ms));
    object_class_property_add(oc, "report-interval", "uint32",
                              fpr_get_ms, fpr_set_ms, NULL,
                              (void *)offsetof(FreePageReport, interval_ms));
    object_class_property_add_bool(oc, "agent-present", fpr_get_agent_present,
                                   NULL);
    ucc->complete = fpr_complete;
}

static const TypeInfo fpr_info = {
    .name = TYPE_FREE_PAGE_REPORT,
    .parent = TYPE_OBJECT,
    .instance_size = sizeof(FreePageReport),
    .instance_init = fpr_init,
    .instance_finalize = fpr_finalize,
    .class_init = fpr_class_init,
    .interfaces = (InterfaceInfo[]) {
        { TYPE_USER_CREATABLE },
        { }
    }
};

static void fpr_register_types(void)
{
    type_register_static(&fpr_info);
}

type_init(fpr_register_types);
