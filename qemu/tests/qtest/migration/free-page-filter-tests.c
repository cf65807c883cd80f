/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * QTest testcases for migration with the free page filter
 *
 * They take a kernel whose KVM has the filter, and are skipped elsewhere, with
 * what QEMU says about it.  ../free-page-agent-test.c has what needs none.
 *
 * The guest of these tests has no agent.  Its part is played here, by a thread
 * that has the other end of the object's chardev.
 */

#include "qemu/osdep.h"
#include <zlib.h>
#include "../migration/wire.h"
#include "libqtest.h"
#include "migration/bootfile.h"
#include "migration/framework.h"
#include "migration/migration-qmp.h"
#include "migration/migration-util.h"
#include "qapi/error.h"
#include "qemu/cutils.h"
#include "qemu/sockets.h"
#include "qemu/units.h"
#include "qobject/qdict.h"

#define PAGE_SHIFT 12
/*
 * What the guest does not touch, behind the memory that it writes all the time
 * and before its end, where the firmware has its tables.  The first page of
 * both is written by this test, before the migration.
 */
#define USED_START (X86_TEST_MEM_END + 1 * MiB)
#define FREE_START (X86_TEST_MEM_END + 4 * MiB)
#define FREE_END (WIRE_CHUNK_PAGES << PAGE_SHIFT)
#define MARK 0xFEED12345678CAFEULL

QEMU_BUILD_BUG_ON(FREE_START >= FREE_END);

typedef struct Agent {
    GThread *thread;
    int fd;
} Agent;

static char *tmpfs;

/* The only chunk: used up to FREE_START, then free */
static size_t put_runs(uint8_t *out)
{
    const uint64_t runs[] = {
        FREE_START >> PAGE_SHIFT, (FREE_END - FREE_START) >> PAGE_SHIFT,
    };
    size_t len = 0;

    for (int i = 0; i < ARRAY_SIZE(runs); i++) {
        uint64_t left = runs[i];

        for (; left >= 0x80; left >>= 7) {
            out[len++] = 0x80 | (left & 0x7f);
        }
        out[len++] = left;
    }
    return len;
}

/* Returns its length */
static size_t put_report(uint8_t *out, uint64_t tag)
{
    const uint32_t nr_free = (FREE_END - FREE_START) >> PAGE_SHIFT;
    uint8_t *chunk = out + WIRE_RESPONSE_LEN;
    size_t len = put_runs(chunk + WIRE_CHUNK_LEN);
    uint8_t *end = chunk + WIRE_CHUNK_LEN + len;
    uint32_t seed;

    wire_put(out, 4, WIRE_MAGIC_RESPONSE);
    wire_put(out + WIRE_RESPONSE_VERSION, 2, WIRE_VERSION);
    wire_put(out + WIRE_RESPONSE_STATUS, 2, WIRE_REFUSED_NOT);
    wire_put(out + WIRE_RESPONSE_TAG, 8, tag);
    wire_put(out + WIRE_RESPONSE_NR_PAGES, 8, WIRE_CHUNK_PAGES);
    wire_put(out + WIRE_RESPONSE_PAGE_SHIFT, 4, PAGE_SHIFT);
    seed = crc32(0, out, WIRE_RESPONSE_CRC);
    wire_put(out + WIRE_RESPONSE_CRC, 4, seed);

    wire_put(chunk, 4, WIRE_MAGIC_CHUNK);
    wire_put(chunk + WIRE_CHUNK_ENCODING, 2, WIRE_RUNS);
    wire_put(chunk + WIRE_CHUNK_PAYLOAD_LEN, 2, len);
    wire_put(chunk + WIRE_CHUNK_FIRST_PFN, 8, 0);
    wire_put(chunk + WIRE_CHUNK_NR_FREE, 4, nr_free);
    wire_put(chunk + WIRE_CHUNK_CRC, 4,
             crc32(crc32(seed, chunk, WIRE_CHUNK_CRC),
                   chunk + WIRE_CHUNK_LEN, len));

    wire_put(end, 4, WIRE_MAGIC_END);
    wire_put(end + WIRE_END_NR_CHUNKS, 4, 1);
    wire_put(end + WIRE_END_NR_FREE, 8, nr_free);
    wire_put(end + WIRE_END_CRC, 4, crc32(seed, end, WIRE_END_CRC));
    return end + WIRE_END_LEN - out;
}

/* Answer each request, until the other end goes. */
static void *agent_thread(void *opaque)
{
    const Agent *agent = opaque;
    uint8_t request[WIRE_REQUEST_LEN];
    uint8_t report[WIRE_RESPONSE_LEN + WIRE_CHUNK_MAX + WIRE_END_LEN];
    size_t have = 0, len;
    ssize_t n;

    while ((n = recv(agent->fd, request + have, sizeof(request) - have,
                     0)) > 0) {
        have += n;
        if (have < sizeof(request)) {
            continue;
        }
        have = 0;
        g_assert_cmphex(wire_get(request, 4), ==, WIRE_MAGIC_REQUEST);
        len = put_report(report, wire_get(request + WIRE_REQUEST_TAG, 8));
        if (send(agent->fd, report, len, 0) != len) {
            break;
        }
    }
    return NULL;
}

static void *start_hook(QTestState *from, QTestState *to)
{
    g_autofree char *path = g_strdup_printf("%s/agent", tmpfs);
    Agent *agent = g_new0(Agent, 1);

    migrate_set_capability(from, "free-page-filter", true);
    migrate_set_capability(from, "free-page-filter-strict", true);
    migrate_set_capability(to, "free-page-filter", true);

    qtest_writeq(from, USED_START, MARK);
    qtest_writeq(from, FREE_START, MARK);

    agent->fd = unix_connect(path, &error_abort);
    agent->thread = g_thread_new("agent", agent_thread, agent);
    return agent;
}

static void end_hook(QTestState *from, QTestState *to, void *opaque)
{
    Agent *agent = opaque;
    QDict *response, *info;

    shutdown(agent->fd, SHUT_RDWR);
    g_thread_join(agent->thread);
    close(agent->fd);
    g_free(agent);

    response = qtest_qmp(from, "{ 'execute': 'query-migrate' }");
    info = qdict_get_qdict(qdict_get_qdict(response, "return"),
                           "free-page-filter");
    g_assert(info);
    g_assert(!qdict_haskey(info, "blocked-reason"));
    g_assert_cmpint(qdict_get_int(info, "reports"), >, 0);
    /* The guest is not stopped before the first one came: see the options. */
    g_assert_cmpint(qdict_get_int(info, "dropped-pages"), >=,
                    (FREE_END - FREE_START) >> PAGE_SHIFT);
    qobject_unref(response);

    /* Only what is not free has come. */
    g_assert_cmphex(qtest_readq(to, USED_START), ==, MARK);
    g_assert_cmphex(qtest_readq(from, FREE_START), ==, MARK);
    g_assert_cmphex(qtest_readq(to, FREE_START), ==, 0);
}

/* Returns why the capability cannot be set, or NULL. */
static char *find_refusal(const char *accel)
{
    QTestState *qts = qtest_initf("%s -machine none", accel);
    QDict *response, *error;
    char *desc = NULL;

    response = qtest_qmp(qts, "{ 'execute': 'migrate-set-capabilities',"
                         " 'arguments': { 'capabilities': [ {"
                         " 'capability': 'free-page-filter',"
                         " 'state': true } ] } }");
    error = qdict_get_qdict(response, "error");
    if (error) {
        desc = g_strdup(qdict_get_str(error, "desc"));
    }
    qtest_quit(qts);
    qobject_unref(response);
    return desc;
}

static void test_precopy_unix_free_page_filter(void)
{
    g_autofree char *uri = g_strdup_printf("unix:%s/migsocket", tmpfs);
    g_autofree char *opts = g_strdup_printf("-nodefaults "
        "-chardev socket,id=agent,path=%s/agent,server=on,wait=off "
        "-object free-page-agent,id=agent0,chardev=agent,"
        "wait-first-report=10000", tmpfs);
    MigrateCommon args = {
        .start = {
            .opts_source = opts,
            .opts_target = "-nodefaults",
        },
        .listen_uri = uri,
        .connect_uri = uri,
        .start_hook = start_hook,
        .end_hook = end_hook,
        /* The filter is for guests that write while they are migrated. */
        .live = true,
    };
    g_autofree char *refusal = find_refusal("-accel kvm -accel tcg");

    if (refusal) {
        g_test_skip(refusal);
        return;
    }
    test_precopy_common(&args);
}

static void test_free_page_filter_dirty_ring(void)
{
    g_autofree char *refusal = NULL;

    refusal = find_refusal("-accel kvm,dirty-ring-size=4096");
    g_assert_cmpstr(refusal, ==, "Capability 'free-page-filter' cannot be set: "
                    "KVM's dirty ring is in use");
}

void migration_test_add_free_page_filter(MigrationTestEnv *env)
{
    tmpfs = env->tmpfs;

    if (env->is_x86) {
        migration_test_add("/migration/precopy/unix/free-page-filter",
                           test_precopy_unix_free_page_filter);
    }
    if (env->has_kvm && env->has_dirty_ring) {
        migration_test_add("/migration/free-page-filter/dirty-ring",
                           test_free_page_filter_dirty_ring);
    }
}
