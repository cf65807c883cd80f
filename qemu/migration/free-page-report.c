/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Reports of free pages by an agent in the guest
 *
 * After each bitmap sync the filter is armed and the agent is asked, with the
 * epoch's number as the tag of the request, and asked again from time to time
 * while the round lasts.  What it answers is used in parts of a GiB of the
 * guest's memory, also where the answer breaks off: each piece has a checksum
 * of its own that covers the tag, so each was made after ARM whatever becomes
 * of the rest.
 *
 * The guest is not trusted, and not waited for but before the first page is
 * sent and before it is decided whether the guest is stopped, for a bounded
 * time.  It may send anything at any time: the decoder keeps one piece at most
 * and skips what does not answer the last request.  All of that runs in a
 * thread of its own, without the BQL.
 */

#include "qemu/osdep.h"
#include "qemu/atomic.h"
#include "qemu/error-report.h"
#include "qemu/host-utils.h"
#include "qemu/lockable.h"
#include "qemu/module.h"
#include "qemu/timer.h"
#include "qemu/units.h"
#include "qapi/error.h"
#include "qapi/visitor.h"
#include "qom/object_interfaces.h"
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

/*
 * The sooner it is known what was freed, the less of it is sent; but see
 * fpr_rest().
 */
#define FPR_INTERVAL_MS 50

struct FreePageReport {
    Object parent_obj;

    char *chardev;
    uint32_t wait_first_ms;
    uint32_t wait_last_ms;
    uint32_t interval_ms;
    CharFrontend chr;
    IOThread *iothread;
    NotifierWithReturn precopy;

    /* What is left of the last request; written with the BQL held */
    uint8_t request[WIRE_REQUEST_LEN];
    int request_left;
    /* Runs in the main loop */
    QEMUTimer *again;

    /* Protects what follows */
    QemuMutex lock;
    struct wire_decoder decoder;
    /* When it was asked for what it answers */
    int64_t asked_ms;
    /* The epoch whose report is expected, 0 if none is */
    uint64_t epoch;
};

/* Called with the lock held: what comes from now on answers this request. */
static void fpr_expect(FreePageReport *fpr, uint64_t epoch)
{
    const struct wire_expect expect = {
        .tag = epoch,
        .page_shift = ctz64(qemu_real_host_page_size()),
        /* What lies beyond the guest's memory is in no memory slot. */
        .max_pages = UINT64_MAX >> ctz64(qemu_real_host_page_size()),
        /* The rest of an earlier answer, however long */
        .max_skip = UINT64_MAX,
    };

    wire_decoder_init(&fpr->decoder, &expect);
    /* Whatever comes of this request, an earlier answer is no reason to ask. */
    timer_del(fpr->again);
    fpr->asked_ms = qemu_clock_get_ms(QEMU_CLOCK_REALTIME);
    fpr->epoch = epoch;
}

/*
 * Called with the lock held: a report has come, ask for another one in a while.
 * Where that takes long, for there are many pages or much else to do, the agent
 * has half of the time at most.
 */
static void fpr_rest(FreePageReport *fpr)
{
    int64_t now = qemu_clock_get_ms(QEMU_CLOCK_REALTIME);

    if (fpr->interval_ms) {
        timer_mod(fpr->again,
                  now + MAX(fpr->interval_ms, now - fpr->asked_ms));
    }
}

/* Called with the lock held */
static void fpr_end(FreePageReport *fpr, enum wire_status status)
{
    trace_free_page_report_end(fpr->epoch, wire_status_text(status),
                               fpr->decoder.nr_free);
    if (status == WIRE_REFUSED) {
        warn_report_once("free-page-report: the guest sends none: %s",
                         wire_refusal_text(fpr->decoder.refusal));
    }
    free_page_filter_report_done(fpr->epoch, status == WIRE_DONE);
    fpr->epoch = 0;
}

/* wire_chunk_fn, called with the lock held */
static int fpr_take_chunk(void *opaque, uint64_t first_pfn, uint32_t npages,
                          const uint8_t *bits)
{
    FreePageReport *fpr = opaque;

    return !free_page_filter_report(fpr->epoch,
                                    first_pfn * qemu_real_host_page_size(),
                                    (const unsigned long *)bits, npages);
}

/* Called in the object's own thread */
static int fpr_can_read(void *opaque)
{
    return WIRE_CHUNK_MAX;
}

/* Called in the object's own thread */
static void fpr_read(void *opaque, const uint8_t *buf, int size)
{
    FreePageReport *fpr = opaque;
    enum wire_status status;

    QEMU_LOCK_GUARD(&fpr->lock);
    if (!fpr->epoch) {
        return;
    }
    status = wire_decode(&fpr->decoder, buf, size, NULL, fpr_take_chunk, fpr);
    if (status != WIRE_MORE) {
        fpr_end(fpr, status);
    }
    if (status == WIRE_DONE) {
        fpr_rest(fpr);
    }
}

/*
 * Called with the BQL held.  A request that cannot be sent whole is finished
 * before the next one, so that the agent sees requests and nothing else.
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
    return !fpr->request_left;
}

/* Called with the BQL held: whether somebody would answer */
static bool fpr_can_ask(FreePageReport *fpr)
{
    return runstate_is_running() && qemu_chr_fe_backend_open(&fpr->chr) &&
           fpr_flush_request(fpr);
}

/* Called with the BQL held, when fpr_can_ask() */
static void fpr_ask(FreePageReport *fpr, uint64_t epoch)
{
    /* Before the request: the answer may come at once. */
    WITH_QEMU_LOCK_GUARD(&fpr->lock) {
        if (fpr->epoch) {
            fpr_end(fpr, WIRE_MORE);
        }
        fpr_expect(fpr, epoch);
    }
    wire_encode_request(fpr->request, epoch);
    fpr->request_left = WIRE_REQUEST_LEN;
    fpr_flush_request(fpr);
    trace_free_page_report_ask(epoch);
}

static int fpr_precopy_notify(NotifierWithReturn *n, void *data, Error **errp)
{
    FreePageReport *fpr = container_of(n, FreePageReport, precopy);
    PrecopyNotifyData *pnd = data;
    uint64_t epoch;

    /* The filter need not be armed if nobody can be asked. */
    if (pnd->reason == PRECOPY_NOTIFY_AFTER_BITMAP_SYNC && fpr_can_ask(fpr)) {
        epoch = free_page_filter_arm_for_report(fpr->wait_first_ms,
                                                fpr->wait_last_ms);
        if (epoch) {
            fpr_ask(fpr, epoch);
        }
    }
    return 0;
}

/* QEMUTimerCB, called with the BQL held */
static void fpr_ask_again(void *opaque)
{
    FreePageReport *fpr = opaque;
    uint64_t epoch = 0;

    if (!fpr_can_ask(fpr)) {
        return;
    }
    WITH_QEMU_LOCK_GUARD(&fpr->lock) {
        /* A sync came just before the timer's turn, and it was asked then. */
        if (!fpr->epoch) {
            epoch = free_page_filter_ask_again();
        }
    }
    if (epoch) {
        fpr_ask(fpr, epoch);
    }
}

/* Called in the object's own thread: a new peer, to which nothing was sent */
static void fpr_event(void *opaque, QEMUChrEvent event)
{
    FreePageReport *fpr = opaque;

    if (event == CHR_EVENT_OPENED || event == CHR_EVENT_CLOSED) {
        QEMU_LOCK_GUARD(&fpr->lock);
        if (fpr->epoch) {
            fpr_end(fpr, WIRE_MORE);
        }
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

    qemu_chr_fe_set_handlers(&fpr->chr, fpr_can_read, fpr_read, fpr_event, NULL,
                             fpr, iothread_get_g_main_context(fpr->iothread),
                             true);
    free_page_filter_enable();
    fpr->precopy.notify = fpr_precopy_notify;
    precopy_add_notifier(&fpr->precopy);
}

static void fpr_finalize(Object *obj)
{
    FreePageReport *fpr = FREE_PAGE_REPORT(obj);

    if (fpr->precopy.notify) {
        precopy_remove_notifier(&fpr->precopy);
        free_page_filter_disable();
    }
    if (fpr->iothread) {
        iothread_stop(fpr->iothread);
    }
    timer_free(fpr->again);
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

static void fpr_init(Object *obj)
{
    FreePageReport *fpr = FREE_PAGE_REPORT(obj);

    qemu_mutex_init(&fpr->lock);
    fpr->again = timer_new_ms(QEMU_CLOCK_REALTIME, fpr_ask_again, fpr);
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
