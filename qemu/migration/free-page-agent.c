/* SPDX-License-Identifier: GPL-2.0-or-later */
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
 * Where much is dirty the agent is asked twice for each report: first with the
 * tag 0, of no epoch, for candidates, then in an epoch that tracks nothing
 * else, see free-page-candidates.h.
 *
 * Where nobody answers, nothing is armed, asked or waited for.  That a socket
 * has a peer says nothing: QEMU has one for a port that nobody in the guest has
 * opened.  So each peer gets a request with the tag 0, of no epoch, which waits
 * there for whoever opens the port, and the agent is there when it has answered
 * all that it was asked.  At the beginning of a migration, one that owes an
 * answer gets another such request: the first may have been lost with a guest
 * that booted again.
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
#include "qemu/timer.h"
#include "qemu/units.h"
#include "qapi/error.h"
#include "qapi/qapi-events-free-page-filter.h"
#include "qapi/visitor.h"
#include "hw/qdev-core.h"
#include "qom/object_interfaces.h"
#include "migration/free-page-budget.h"
#include "migration/free-page-candidates.h"
#include "migration/free-page-compat.h"
#include "migration/free-page-filter.h"
#include "migration/misc.h"
#include "system/iothread.h"
#include "system/runstate.h"
#include "system/system.h"
#include "trace.h"
#include "wire.h"

#define TYPE_FREE_PAGE_AGENT "free-page-agent"
OBJECT_DECLARE_SIMPLE_TYPE(FreePageAgent, FREE_PAGE_AGENT)

/* See free_page_filter_report() */
#define FPA_MAX_CHUNK_SIZE (1 * GiB)

/*
 * A guest answers within 100 ms, on a busy host in 2 s at the worst that was
 * seen.  Waiting costs nothing once it has, and no downtime.
 */
#define FPA_WAIT_FIRST_MS 1000
#define FPA_WAIT_LAST_MS 100

/* One that has not answered for so long is silent: see above. */
#define FPA_SILENT_MS 2000

/* The longest wait that may be set */
#define FPA_MAX_MS 10000

/* The sooner it is known what was freed, the less of it is sent. */
#define FPA_INTERVAL_MS 50

/* The tag of a request that is of no epoch */
#define FPA_NO_EPOCH 0

struct FreePageAgent {
    Object parent_obj;

    char *id;
    char *chardev;
    uint32_t wait_first_ms;
    uint32_t wait_last_ms;
    uint32_t interval_ms;
    CharFrontend chr;
    IOThread *iothread;
    Notifier machine_done;
    NotifierWithReturn precopy;
    /* Makes the object's own thread call fpa_work() */
    QEMUBH *work;

    /* Protects what follows, for a few instructions at a time */
    QemuMutex lock;
    /* For fpa_work(): how the agent is to be asked after a sync */
    FreePageAsk wanted;
    /* The same: the agent is to be asked whether it is there */
    bool probe;
    /* The same: the chardev has got another peer, or has lost its peer */
    bool new_peer;
    /* The same: the migration has ended */
    bool over;
    /* A migration goes on */
    bool migrating;
    /* The agent was asked and has not answered yet */
    bool owes;
    /* In this migration it is asked, and worth waiting for */
    bool present;
    /* The agent does not read its requests */
    bool stuck;
    /* It was told of this migration that the agent is silent */
    bool silent;
    FreePageBudget budget;

    /* The object's own thread's, as all that follows: asks again */
    QEMUTimer *again;
    /* Expires when the agent owes an answer for too long */
    QEMUTimer *silence;
    /* What is left of the last request */
    uint8_t request[WIRE_REQUEST_LEN];
    int request_left;
    /* An answer is expected */
    bool expecting;
    struct wire_decoder decoder;
    /* The round that a report is for, 0 if none is wanted */
    uint64_t round;
    /* When it was asked for first, and whether after a sync */
    int64_t asked_ms;
    bool after_sync;
    /* The epoch whose report is expected, 0 if what is named is no report */
    uint64_t epoch;
    /* Without an epoch: what is named before it begins */
    FreePageCandidates candidates;
};

static int64_t fpa_now(void)
{
    return qemu_clock_get_ms(QEMU_CLOCK_REALTIME);
}

/* How many pages the guest's memory spans at most, holes and ROM included */
static uint64_t fpa_max_pages(void)
{
    /* Who answers before there is memory is there, and names nothing. */
    if (!phase_check(PHASE_MACHINE_READY)) {
        return UINT64_MAX >> ctz64(qemu_real_host_page_size());
    }
    return free_page_ram_span(NULL);
}

/* From now on, expect the answer to this request. */
static void fpa_expect(FreePageAgent *fpa, uint64_t epoch)
{
    const struct wire_expect expect = {
        .tag = epoch,
        .page_shift = ctz64(qemu_real_host_page_size()),
        /* The rest of an earlier answer, however long */
        .max_skip = UINT64_MAX,
    };

    wire_decoder_init(&fpa->decoder, &expect);
    fpa->epoch = epoch;
    fpa->expecting = true;
}

/* Tell whether the agent is silent, if a migration goes on and it is news. */
static void fpa_tell(FreePageAgent *fpa, bool silent)
{
    QEMU_LOCK_GUARD(&fpa->lock);
    if (!fpa->migrating || silent == fpa->silent) {
        return;
    }
    fpa->silent = silent;
    /* With the lock held: another thread may tell the reverse just now. */
    qapi_event_send_free_page_filter(silent ?
                                     FREE_PAGE_FILTER_STATE_AGENT_SILENT :
                                     FREE_PAGE_FILTER_STATE_AGENT_BACK,
                                     false, 0, NULL, fpa->id);
}

/* QEMUTimerCB, called in the object's own thread */
static void fpa_is_silent(void *opaque)
{
    fpa_tell(opaque, true);
}

/* The report that was wanted has ended.  Returns what it won. */
static int64_t fpa_done(FreePageAgent *fpa, bool complete)
{
    const uint64_t round = fpa->round;

    fpa->round = 0;
    fpa->epoch = 0;
    free_page_candidates_end(&fpa->candidates);
    return free_page_filter_report_done(round, complete);
}

/* Give up the report that is wanted, and ask for no other. */
static void fpa_discard(FreePageAgent *fpa)
{
    timer_del(fpa->again);
    if (fpa->round) {
        fpa_done(fpa, false);
    }
}

/* Ask for another report in a while, if the migration lasts as long. */
static void fpa_rest(FreePageAgent *fpa)
{
    /* It can be set at any time. */
    const uint32_t interval_ms = qatomic_read(&fpa->interval_ms);

    if (interval_ms) {
        QEMU_LOCK_GUARD(&fpa->lock);
        timer_mod(fpa->again, free_page_budget_again(&fpa->budget, fpa_now(),
                                                     interval_ms));
    }
}

static void fpa_arm(FreePageAgent *fpa, const FreePageMap *candidates);

/* The report that was wanted has ended, and the guest has paid for it. */
static void fpa_end_report(FreePageAgent *fpa, bool complete)
{
    const int64_t won = fpa_done(fpa, complete);

    WITH_QEMU_LOCK_GUARD(&fpa->lock) {
        free_page_budget_spend(&fpa->budget, fpa->after_sync,
                               fpa_now() - fpa->asked_ms, won);
    }
    if (complete) {
        fpa_rest(fpa);
    }
}

/* The answer that was expected has ended. */
static void fpa_end(FreePageAgent *fpa, enum wire_status status)
{
    const uint64_t epoch = fpa->epoch;
    FreePageMap candidates;

    trace_free_page_agent_end(epoch, wire_status_text(status),
                              fpa->decoder.nr_free);
    if (status == WIRE_REFUSED) {
        warn_report_once("free-page-agent: the guest sends none: %s",
                         wire_refusal_text(fpa->decoder.refusal));
    }
    fpa->expecting = false;
    /* An agent does, if only what answers a request in time. */
    if (status == WIRE_DONE || status == WIRE_REFUSED ||
        status == WIRE_STOPPED) {
        WITH_QEMU_LOCK_GUARD(&fpa->lock) {
            fpa->owes = false;
            fpa->present = true;
        }
        timer_del(fpa->silence);
        fpa_tell(fpa, false);
    }
    if (!fpa->round) {
        return;
    }

    if (!epoch && status == WIRE_DONE) {
        candidates = free_page_candidates_get(&fpa->candidates);
        fpa_arm(fpa, &candidates);
    } else {
        fpa_end_report(fpa, status == WIRE_DONE);
    }
}

/* wire_chunk_fn */
static int fpa_take_chunk(void *opaque, uint64_t first_pfn, uint32_t npages,
                          const uint8_t *bits)
{
    FreePageAgent *fpa = opaque;

    if (fpa->epoch) {
        return !free_page_filter_report(fpa->epoch,
                                        first_pfn * qemu_real_host_page_size(),
                                        (const unsigned long *)bits, npages);
    }
    /* Who answers is there, and nothing else was asked. */
    if (!fpa->candidates.bits) {
        return -1;
    }
    free_page_candidates_add(&fpa->candidates, first_pfn, npages,
                             (const unsigned long *)bits);
    return 0;
}

static int fpa_can_read(void *opaque)
{
    return WIRE_CHUNK_MAX;
}

static void fpa_read(void *opaque, const uint8_t *buf, int size)
{
    FreePageAgent *fpa = opaque;
    enum wire_status status;

    if (!fpa->expecting) {
        return;
    }
    /* There may have been no memory, or less, when the agent was asked. */
    if (fpa->decoder.state == WIRE_IN_RESPONSE) {
        fpa->decoder.expect.max_pages = fpa_max_pages();
    }
    status = wire_decode(&fpa->decoder, buf, size, NULL, fpa_take_chunk, fpa);
    if (status != WIRE_MORE) {
        fpa_end(fpa, status);
    }
}

/*
 * A request that cannot be sent whole is finished before the next one, so that
 * the agent sees requests and nothing else.
 */
static bool fpa_flush_request(FreePageAgent *fpa)
{
    int done;

    if (fpa->request_left) {
        done = qemu_chr_fe_write(&fpa->chr,
                                 fpa->request + WIRE_REQUEST_LEN -
                                 fpa->request_left, fpa->request_left);
        fpa->request_left -= MAX(done, 0);
    }
    WITH_QEMU_LOCK_GUARD(&fpa->lock) {
        fpa->stuck = fpa->request_left > 0;
    }
    return !fpa->request_left;
}

/*
 * Whatever comes next, an earlier answer is no reason to ask.  What is still to
 * come of one is of no use, but shows that the agent is there, for there may be
 * no other request after it.
 */
static void fpa_break_off(FreePageAgent *fpa)
{
    timer_del(fpa->again);
    if (fpa->round) {
        trace_free_page_agent_end(fpa->epoch, wire_status_text(WIRE_MORE),
                                  fpa->decoder.nr_free);
        fpa_end_report(fpa, false);
    }
}

/* Called when no report is wanted, or this is for the one that is */
static void fpa_ask(FreePageAgent *fpa, uint64_t epoch)
{
    fpa_expect(fpa, epoch);
    /* Since the first request that it has not answered */
    if (!timer_pending(fpa->silence)) {
        timer_mod(fpa->silence, fpa_now() + FPA_SILENT_MS);
    }
    if (!fpa_flush_request(fpa)) {
        fpa_discard(fpa);
        return;
    }
    WITH_QEMU_LOCK_GUARD(&fpa->lock) {
        fpa->owes = true;
    }
    wire_encode_request(fpa->request, epoch);
    fpa->request_left = WIRE_REQUEST_LEN;
    fpa_flush_request(fpa);
    trace_free_page_agent_ask(epoch);
}

/* Begin an epoch for the report that is wanted, and ask for it. */
static void fpa_arm(FreePageAgent *fpa, const FreePageMap *candidates)
{
    uint64_t epoch = free_page_filter_arm_for_report(fpa->round, candidates);

    free_page_candidates_end(&fpa->candidates);
    if (epoch) {
        fpa_ask(fpa, epoch);
    } else {
        fpa_end_report(fpa, false);
    }
}

/* Ask for a report, or for what has to come first. */
static void fpa_begin_report(FreePageAgent *fpa, const FreePageAsk *how,
                             bool after_sync)
{
    /* An earlier one, which is too late */
    fpa_break_off(fpa);
    fpa->round = how->round;
    fpa->asked_ms = fpa_now();
    fpa->after_sync = after_sync;
    if (how->epoch) {
        fpa_ask(fpa, how->epoch);
    } else if (how->candidates &&
               free_page_candidates_begin(&fpa->candidates)) {
        fpa_ask(fpa, FPA_NO_EPOCH);
    } else {
        fpa_arm(fpa, NULL);
    }
}

/* A peer that was asked nothing yet, or none */
static void fpa_greet(FreePageAgent *fpa)
{
    fpa_break_off(fpa);
    fpa->expecting = false;
    timer_del(fpa->silence);
    fpa->request_left = 0;
    WITH_QEMU_LOCK_GUARD(&fpa->lock) {
        fpa->owes = true;
        fpa->present = false;
        fpa->stuck = false;
    }
}

/* QEMUBHFunc, called in the object's own thread */
static void fpa_work(void *opaque)
{
    FreePageAgent *fpa = opaque;
    bool over, new_peer, probe, peer = qemu_chr_fe_backend_open(&fpa->chr);
    FreePageAsk how;

    WITH_QEMU_LOCK_GUARD(&fpa->lock) {
        over = fpa->over;
        new_peer = fpa->new_peer;
        probe = fpa->probe;
        how = fpa->wanted;
        fpa->over = fpa->new_peer = fpa->probe = false;
        fpa->wanted = (FreePageAsk) {};
    }

    if (over) {
        fpa_discard(fpa);
        timer_del(fpa->silence);
    }
    if (new_peer) {
        fpa_greet(fpa);
        probe = true;
    }
    if (how.round && !peer) {
        fpa_tell(fpa, true);
        free_page_filter_report_done(how.round, false);
    } else if (how.round) {
        fpa_begin_report(fpa, &how, true);
    } else if (probe && peer) {
        fpa_break_off(fpa);
        fpa_ask(fpa, FPA_NO_EPOCH);
    }
}

/* QEMUTimerCB, called in the object's own thread */
static void fpa_ask_again(void *opaque)
{
    FreePageAgent *fpa = opaque;
    FreePageAsk how;

    if (!runstate_is_running()) {
        return;
    }
    WITH_QEMU_LOCK_GUARD(&fpa->lock) {
        /* A sync came just before the timer's turn, and it is asked then. */
        if (fpa->wanted.round) {
            return;
        }
    }
    how = free_page_filter_ask_again();
    if (how.round) {
        fpa_begin_report(fpa, &how, false);
    }
}

/* Called with the BQL held, after a bitmap sync */
static void fpa_ask_after_sync(FreePageAgent *fpa)
{
    bool ask, peer = qemu_chr_fe_backend_open(&fpa->chr);
    int64_t now = fpa_now();
    FreePageAsk how = {};

    if (!free_page_filter_wanted() || !runstate_is_running()) {
        return;
    }
    WITH_QEMU_LOCK_GUARD(&fpa->lock) {
        if (!fpa->migrating) {
            free_page_budget_begin(&fpa->budget, now);
            fpa->migrating = true;
            fpa->present = !fpa->owes;
            fpa->probe = fpa->owes;
        }
        ask = peer && fpa->present && !fpa->stuck &&
              free_page_budget_after_sync(&fpa->budget, now);
    }
    if (!peer) {
        fpa_tell(fpa, true);
        return;
    }
    /* Its thread arms the filter, which need not be if nobody is asked. */
    if (ask) {
        how = free_page_filter_begin_report(fpa->wait_first_ms,
                                            fpa->wait_last_ms);
    }
    WITH_QEMU_LOCK_GUARD(&fpa->lock) {
        fpa->wanted = how;
    }
    qemu_bh_schedule(fpa->work);
}

/* Called with the BQL held */
static void fpa_migration_ended(FreePageAgent *fpa)
{
    WITH_QEMU_LOCK_GUARD(&fpa->lock) {
        fpa->migrating = false;
        fpa->silent = false;
        fpa->over = true;
        fpa->wanted = (FreePageAsk) {};
    }
    qemu_bh_schedule(fpa->work);
}

static int fpa_precopy_notify(NotifierWithReturn *n, void *data, Error **errp)
{
    FreePageAgent *fpa = container_of(n, FreePageAgent, precopy);
    PrecopyNotifyData *pnd = data;

    if (pnd->reason == PRECOPY_NOTIFY_AFTER_BITMAP_SYNC) {
        fpa_ask_after_sync(fpa);
    } else if (pnd->reason == PRECOPY_NOTIFY_CLEANUP) {
        fpa_migration_ended(fpa);
    }
    return 0;
}

static void fpa_event(void *opaque, QEMUChrEvent event)
{
    FreePageAgent *fpa = opaque;

    if (event == CHR_EVENT_OPENED || event == CHR_EVENT_CLOSED) {
        WITH_QEMU_LOCK_GUARD(&fpa->lock) {
            fpa->new_peer = true;
        }
        qemu_bh_schedule(fpa->work);
    }
}

/*
 * Called with the BQL held.  An object of the command line is created before
 * the migration's, to which the filter belongs.
 */
static void fpa_machine_done(Notifier *n, void *data)
{
    FreePageAgent *fpa = container_of(n, FreePageAgent, machine_done);

    free_page_filter_enable();
    fpa->precopy.notify = fpa_precopy_notify;
    precopy_add_notifier(&fpa->precopy);
}

static void fpa_complete(UserCreatable *uc, Error **errp)
{
    FreePageAgent *fpa = FREE_PAGE_AGENT(uc);
    const char *name = object_get_canonical_path_component(OBJECT(uc));
    Chardev *chr;

    if (qemu_real_host_page_size() * WIRE_CHUNK_PAGES > FPA_MAX_CHUNK_SIZE) {
        error_setg(errp, "free-page-agent: the host's pages are too large");
        return;
    }
    if (!fpa->chardev) {
        error_setg(errp, "free-page-agent: the property 'chardev' is missing");
        return;
    }
    chr = qemu_chr_find(fpa->chardev);
    if (!chr) {
        error_setg(errp, "free-page-agent: no chardev '%s'", fpa->chardev);
        return;
    }
    if (!qemu_chr_has_feature(chr, QEMU_CHAR_FEATURE_GCONTEXT)) {
        error_setg(errp, "free-page-agent: chardev '%s' cannot be used in a "
                   "thread of its own: take a socket", fpa->chardev);
        return;
    }
    if (!qemu_chr_fe_init(&fpa->chr, chr, errp)) {
        return;
    }
    fpa->id = g_strdup(name);
    fpa->iothread = iothread_create(name, errp);
    if (!fpa->iothread) {
        return;
    }
    fpa->work = aio_bh_new(iothread_get_aio_context(fpa->iothread), fpa_work,
                           fpa);
    fpa->again = aio_timer_new(iothread_get_aio_context(fpa->iothread),
                               QEMU_CLOCK_REALTIME, SCALE_MS, fpa_ask_again,
                               fpa);
    fpa->silence = aio_timer_new(iothread_get_aio_context(fpa->iothread),
                                 QEMU_CLOCK_REALTIME, SCALE_MS, fpa_is_silent,
                                 fpa);

    qemu_chr_fe_set_handlers(&fpa->chr, fpa_can_read, fpa_read, fpa_event, NULL,
                             fpa, iothread_get_g_main_context(fpa->iothread),
                             true);
    fpa->machine_done.notify = fpa_machine_done;
    qemu_add_machine_init_done_notifier(&fpa->machine_done);
}

/*
 * Its thread ends soon, for it does not wait for those who send pages any more.
 * Other users of the filter should not wait for reports that were asked for.
 */
static void fpa_end_thread(FreePageAgent *fpa)
{
    if (!fpa->precopy.notify) {
        /* The machine is not ready: it was never asked for a report. */
        iothread_stop(fpa->iothread);
        return;
    }
    free_page_filter_hurry(true);
    iothread_stop(fpa->iothread);
    fpa_discard(fpa);
    fpa->round = fpa->wanted.round;
    fpa_discard(fpa);
    free_page_filter_hurry(false);
}

static void fpa_finalize(Object *obj)
{
    FreePageAgent *fpa = FREE_PAGE_AGENT(obj);

    if (fpa->machine_done.notify) {
        qemu_remove_machine_init_done_notifier(&fpa->machine_done);
    }
    if (fpa->precopy.notify) {
        precopy_remove_notifier(&fpa->precopy);
    }
    if (fpa->iothread) {
        fpa_end_thread(fpa);
        timer_free(fpa->again);
        timer_free(fpa->silence);
        qemu_bh_delete(fpa->work);
    }
    if (fpa->precopy.notify) {
        free_page_filter_disable();
    }
    qemu_chr_fe_deinit(&fpa->chr, false);
    if (fpa->iothread) {
        iothread_destroy(fpa->iothread);
    }
    qemu_mutex_destroy(&fpa->lock);
    g_free(fpa->chardev);
    g_free(fpa->id);
}

static char *fpa_get_chardev(Object *obj, Error **errp)
{
    return g_strdup(FREE_PAGE_AGENT(obj)->chardev);
}

static void fpa_set_chardev(Object *obj, const char *value, Error **errp)
{
    FreePageAgent *fpa = FREE_PAGE_AGENT(obj);

    if (fpa->iothread) {
        error_setg(errp, "free-page-agent: 'chardev' cannot be changed");
        return;
    }
    g_free(fpa->chardev);
    fpa->chardev = g_strdup(value);
}

static void fpa_get_ms(Object *obj, Visitor *v, const char *name,
                       void *opaque, Error **errp)
{
    uint32_t *ms = (void *)obj + (uintptr_t)opaque;

    visit_type_uint32(v, name, ms, errp);
}

static void fpa_set_ms(Object *obj, Visitor *v, const char *name,
                       void *opaque, Error **errp)
{
    uint32_t *ms = (void *)obj + (uintptr_t)opaque;
    uint32_t value;

    if (!visit_type_uint32(v, name, &value, errp)) {
        return;
    }
    if (value > FPA_MAX_MS) {
        error_setg(errp, "free-page-agent: '%s' is %u ms, but %u is the most "
                   "that makes sense", name, value, FPA_MAX_MS);
        return;
    }
    qatomic_set(ms, value);
}

static bool fpa_get_agent_present(Object *obj, Error **errp)
{
    FreePageAgent *fpa = FREE_PAGE_AGENT(obj);

    QEMU_LOCK_GUARD(&fpa->lock);
    return !fpa->owes;
}

static void fpa_init(Object *obj)
{
    FreePageAgent *fpa = FREE_PAGE_AGENT(obj);

    qemu_mutex_init(&fpa->lock);
    fpa->owes = true;
    fpa->wait_first_ms = FPA_WAIT_FIRST_MS;
    fpa->wait_last_ms = FPA_WAIT_LAST_MS;
    fpa->interval_ms = FPA_INTERVAL_MS;
}

static void fpa_class_init(ObjectClass *oc, FreePageClassData *data)
{
    UserCreatableClass *ucc = USER_CREATABLE_CLASS(oc);

    object_class_property_add_str(oc, "chardev", fpa_get_chardev,
                                  fpa_set_chardev);
    object_class_property_add(oc, "wait-first-report", "uint32",
                              fpa_get_ms, fpa_set_ms, NULL,
                              (void *)offsetof(FreePageAgent, wait_first_ms));
    object_class_property_add(oc, "wait-last-report", "uint32",
                              fpa_get_ms, fpa_set_ms, NULL,
                              (void *)offsetof(FreePageAgent, wait_last_ms));
    object_class_property_add(oc, "report-interval", "uint32",
                              fpa_get_ms, fpa_set_ms, NULL,
                              (void *)offsetof(FreePageAgent, interval_ms));
    object_class_property_add_bool(oc, "agent-present", fpa_get_agent_present,
                                   NULL);
    ucc->complete = fpa_complete;
}

static const TypeInfo fpa_info = {
    .name = TYPE_FREE_PAGE_AGENT,
    .parent = TYPE_OBJECT,
    .instance_size = sizeof(FreePageAgent),
    .instance_init = fpa_init,
    .instance_finalize = fpa_finalize,
    .class_init = fpa_class_init,
    .interfaces = (InterfaceInfo[]) {
        { TYPE_USER_CREATABLE },
        { }
    }
};

static void fpa_register_types(void)
{
    type_register_static(&fpa_info);
}

type_init(fpa_register_types);
