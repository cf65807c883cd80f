/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * QTest testcase for the object free-page-agent and the migration capabilities
 * free-page-filter and free-page-filter-strict: what they refuse, and what is
 * said then
 *
 * migration/free-page-filter-tests.c has what takes a guest.
 */

#include "qemu/osdep.h"
#include "libqtest.h"
#include "qobject/qdict.h"
#include "qobject/qlist.h"

#define OBJECT "/objects/agent0"

static char *tmpdir;

/* A machine with two sockets, of which one end is here, and with no KVM */
static QTestState *start(const char *args)
{
    return qtest_initf("-nodefaults -machine none "
                       "-chardev socket,id=sock0,path=%s/sock0,server=on,wait=off "
                       "-chardev socket,id=sock1,path=%s/sock1,server=on,wait=off "
                       "-chardev null,id=null0 %s", tmpdir, tmpdir, args);
}

/* The command fails, and says that. */
static void G_GNUC_PRINTF(3, 4) fails(QTestState *qts, const char *desc,
                                      const char *fmt, ...)
{
    va_list ap;
    QDict *error;

    va_start(ap, fmt);
    error = qtest_vqmp_assert_failure_ref(qts, fmt, ap);
    va_end(ap);
    g_assert_cmpstr(qdict_get_str(error, "desc"), ==, desc);
    qobject_unref(error);
}

static void add_agent(QTestState *qts)
{
    qtest_qmp_assert_success(qts, "{ 'execute': 'object-add', 'arguments': {"
                             " 'qom-type': 'free-page-agent', 'id': 'agent0',"
                             " 'chardev': 'sock0' } }");
}

static void delete_agent(QTestState *qts)
{
    qtest_qmp_assert_success(qts, "{ 'execute': 'object-del', 'arguments': {"
                             " 'id': 'agent0' } }");
}

static int64_t get_ms(QTestState *qts, const char *property)
{
    QDict *response;
    int64_t ms;

    response = qtest_qmp(qts, "{ 'execute': 'qom-get', 'arguments': {"
                         " 'path': %s, 'property': %s } }", OBJECT, property);
    ms = qdict_get_int(response, "return");
    qobject_unref(response);
    return ms;
}

static void test_agent_defaults(void)
{
    QTestState *qts = start("");

    add_agent(qts);
    g_assert_cmpint(get_ms(qts, "wait-first-report"), ==, 1000);
    g_assert_cmpint(get_ms(qts, "wait-last-report"), ==, 100);
    g_assert_cmpint(get_ms(qts, "report-interval"), ==, 50);
    g_assert_false(qtest_qom_get_bool(qts, OBJECT, "agent-present"));
    qtest_quit(qts);
}

static void test_agent_properties(void)
{
    static const char *const names[] = {
        "wait-first-report", "wait-last-report", "report-interval",
    };
    QTestState *qts = start("");

    for (int i = 0; i < ARRAY_SIZE(names); i++) {
        g_autofree char *desc = NULL;

        desc = g_strdup_printf("free-page-agent: '%s' is 10001 ms, but 10000 "
                               "is the most that makes sense", names[i]);
        fails(qts, desc, "{ 'execute': 'object-add', 'arguments': {"
              " 'qom-type': 'free-page-agent', 'id': 'agent0',"
              " 'chardev': 'sock0', %s: 10001 } }", names[i]);
        /* Nothing has remained of it, and it may be changed later on. */
        add_agent(qts);
        qtest_qmp_assert_success(qts, "{ 'execute': 'qom-set', 'arguments': {"
                                 " 'path': %s, 'property': %s,"
                                 " 'value': 10000 } }", OBJECT, names[i]);
        fails(qts, desc, "{ 'execute': 'qom-set', 'arguments': {"
              " 'path': %s, 'property': %s, 'value': 10001 } }",
              OBJECT, names[i]);
        g_assert_cmpint(get_ms(qts, names[i]), ==, 10000);
        delete_agent(qts);
    }
    qtest_quit(qts);
}

static void test_agent_read_only(void)
{
    QTestState *qts = start("");

    add_agent(qts);
    fails(qts, "free-page-agent: 'chardev' cannot be changed",
          "{ 'execute': 'qom-set', 'arguments': {"
          " 'path': %s, 'property': 'chardev', 'value': 'sock1' } }", OBJECT);
    qobject_unref(qtest_qmp_assert_failure_ref(qts,
        "{ 'execute': 'qom-set', 'arguments': {"
        " 'path': %s, 'property': 'agent-present', 'value': true } }",
        OBJECT));
    g_assert_false(qtest_qom_get_bool(qts, OBJECT, "agent-present"));
    qtest_quit(qts);
}

static void test_agent_chardev(void)
{
    QTestState *qts = start("");

    fails(qts, "free-page-agent: no chardev 'other'",
          "{ 'execute': 'object-add', 'arguments': {"
          " 'qom-type': 'free-page-agent', 'id': 'agent0',"
          " 'chardev': 'other' } }");
    fails(qts, "free-page-agent: chardev 'null0' cannot be used in a thread "
          "of its own: take a socket",
          "{ 'execute': 'object-add', 'arguments': {"
          " 'qom-type': 'free-page-agent', 'id': 'agent0',"
          " 'chardev': 'null0' } }");
    qobject_unref(qtest_qmp_assert_failure_ref(qts,
        "{ 'execute': 'object-add', 'arguments': {"
        " 'qom-type': 'free-page-agent', 'id': 'agent0' } }"));
    /* What was refused does not keep the name. */
    add_agent(qts);
    qtest_quit(qts);
}

static void test_agent_chardev_in_use(void)
{
    QTestState *qts = start("");

    add_agent(qts);
    fails(qts, "chardev 'sock0' is already in use",
          "{ 'execute': 'object-add', 'arguments': {"
          " 'qom-type': 'free-page-agent', 'id': 'agent1',"
          " 'chardev': 'sock0' } }");
    fails(qts, "Chardev 'sock0' is busy",
          "{ 'execute': 'chardev-remove', 'arguments': { 'id': 'sock0' } }");
    /* Two agents are fine, and a chardev is free again without its object. */
    qtest_qmp_assert_success(qts, "{ 'execute': 'object-add', 'arguments': {"
                             " 'qom-type': 'free-page-agent', 'id': 'agent1',"
                             " 'chardev': 'sock1' } }");
    delete_agent(qts);
    add_agent(qts);
    delete_agent(qts);
    qtest_qmp_assert_success(qts, "{ 'execute': 'chardev-remove',"
                             " 'arguments': { 'id': 'sock0' } }");
    qtest_quit(qts);
}

/* Whether it is on */
static bool has_capability(QTestState *qts, const char *name)
{
    QDict *response = qtest_qmp(qts, "{ 'execute':"
                                " 'query-migrate-capabilities' }");
    const QListEntry *entry;
    bool found = false, on = false;

    QLIST_FOREACH_ENTRY(qdict_get_qlist(response, "return"), entry) {
        QDict *capability = qobject_to(QDict, qlist_entry_obj(entry));

        if (g_str_equal(qdict_get_str(capability, "capability"), name)) {
            found = true;
            on = qdict_get_bool(capability, "state");
        }
    }
    g_assert_true(found);
    qobject_unref(response);
    return on;
}

#define SET(capabilities) \
    "{ 'execute': 'migrate-set-capabilities', 'arguments': {" \
    " 'capabilities': [ " capabilities " ] } }"
#define ON(name) "{ 'capability': '" name "', 'state': true }"

#define NO_KVM \
    "Capability 'free-page-filter' cannot be set: the accelerator is not KVM"

static void test_capability_without_kvm(void)
{
    QTestState *qts = start("");

    g_assert_false(has_capability(qts, "free-page-filter"));
    g_assert_false(has_capability(qts, "free-page-filter-strict"));
    fails(qts, NO_KVM, SET(ON("free-page-filter")));
    fails(qts, NO_KVM,
          SET(ON("free-page-filter") ", " ON("free-page-filter-strict")));
    g_assert_false(has_capability(qts, "free-page-filter"));
    g_assert_false(has_capability(qts, "free-page-filter-strict"));
    /* The others do not care. */
    qtest_qmp_assert_success(qts, SET(ON("events")));
    qtest_quit(qts);
}

/* It is set, or it is said why not: whether the kernel has it is not known. */
static void test_capability_with_kvm(void)
{
    QTestState *qts;
    QDict *response, *error;

    if (!qtest_has_accel("kvm")) {
        g_test_skip("KVM is not available");
        return;
    }
    qts = start("-accel kvm");
    response = qtest_qmp(qts, SET(ON("free-page-filter")));
    error = qdict_get_qdict(response, "error");
    if (error) {
        g_assert_cmpstr(qdict_get_str(error, "desc"), ==,
                        "Capability 'free-page-filter' cannot be set: "
                        "the kernel has no free page filter");
    }
    g_assert_cmpint(has_capability(qts, "free-page-filter"), ==, !error);
    qobject_unref(response);
    qtest_quit(qts);
}

static void test_capability_strict(void)
{
    QTestState *qts = start("-incoming defer");

    fails(qts, "Capability 'free-page-filter-strict' requires capability "
          "'free-page-filter'", SET(ON("free-page-filter-strict")));
    g_assert_false(has_capability(qts, "free-page-filter-strict"));
    qtest_qmp_assert_success(qts, SET(ON("free-page-filter") ", "
                                      ON("free-page-filter-strict")));
    /* Nor may it stay alone. */
    fails(qts, "Capability 'free-page-filter-strict' requires capability "
          "'free-page-filter'",
          SET("{ 'capability': 'free-page-filter', 'state': false }"));
    g_assert_true(has_capability(qts, "free-page-filter"));
    g_assert_true(has_capability(qts, "free-page-filter-strict"));
    qtest_quit(qts);
}

/* A destination may have it without what the source needs. */
static void test_capability_others(void)
{
    QTestState *qts = start("-incoming defer");

    fails(qts, "Capability 'free-page-filter' is not compatible with "
          "capability 'x-colo'",
          SET(ON("free-page-filter") ", " ON("x-colo")));
    fails(qts, "Capability 'free-page-filter' is not compatible with "
          "capability 'background-snapshot'",
          SET(ON("free-page-filter") ", " ON("background-snapshot")));
    g_assert_false(has_capability(qts, "free-page-filter"));
    qtest_qmp_assert_success(qts, SET(ON("free-page-filter")));
    fails(qts, "Capability 'free-page-filter' is not compatible with "
          "capability 'background-snapshot'", SET(ON("background-snapshot")));
    g_assert_true(has_capability(qts, "free-page-filter"));
    g_assert_false(has_capability(qts, "background-snapshot"));
    qtest_quit(qts);
}

/* A machine starts with it anywhere; what is strict then is the migration. */
static void test_strict_migration(void)
{
    QTestState *qts = start("-m 8 -global migration.free-page-filter=on "
                            "-global migration.free-page-filter-strict=on "
                            "-global migration.x-events=on");
    QDict *event, *data, *response, *info;
    const char *status;
    bool failed = false;

    g_assert_true(has_capability(qts, "free-page-filter"));
    qtest_qmp_assert_success(qts, "{ 'execute': 'migrate', 'arguments': {"
                             " 'uri': 'exec:cat > /dev/null' } }");
    event = qtest_qmp_eventwait_ref(qts, "FREE_PAGE_FILTER");
    data = qdict_get_qdict(event, "data");
    g_assert_cmpstr(qdict_get_str(data, "state"), ==, "blocked");
    g_assert_cmpstr(qdict_get_str(data, "blocked-reason"), ==, "no-kvm");
    qobject_unref(event);

    while (!failed) {
        event = qtest_qmp_eventwait_ref(qts, "MIGRATION");
        status = qdict_get_str(qdict_get_qdict(event, "data"), "status");
        g_assert_cmpstr(status, !=, "completed");
        failed = g_str_equal(status, "failed");
        qobject_unref(event);
    }
    response = qtest_qmp(qts, "{ 'execute': 'query-migrate' }");
    info = qdict_get_qdict(response, "return");
    g_assert_cmpstr(qdict_get_str(info, "error-desc"), ==,
                    "free-page-filter-strict: the free page filter is off: "
                    "the accelerator is not KVM");
    qobject_unref(response);
    qtest_quit(qts);
}

int main(int argc, char **argv)
{
    g_autoptr(GError) err = NULL;
    int ret;

    g_test_init(&argc, &argv, NULL);
    tmpdir = g_dir_make_tmp("free-page-agent-test-XXXXXX", &err);
    g_assert_no_error(err);

    qtest_add_func("/free-page-agent/defaults", test_agent_defaults);
    qtest_add_func("/free-page-agent/properties", test_agent_properties);
    qtest_add_func("/free-page-agent/read-only", test_agent_read_only);
    qtest_add_func("/free-page-agent/chardev", test_agent_chardev);
    qtest_add_func("/free-page-agent/chardev/in-use",
                   test_agent_chardev_in_use);
    qtest_add_func("/free-page-filter/capability/without-kvm",
                   test_capability_without_kvm);
    qtest_add_func("/free-page-filter/capability/with-kvm",
                   test_capability_with_kvm);
    qtest_add_func("/free-page-filter/capability/strict",
                   test_capability_strict);
    qtest_add_func("/free-page-filter/capability/others",
                   test_capability_others);
    qtest_add_func("/free-page-filter/strict-migration",
                   test_strict_migration);
    ret = g_test_run();

    rmdir(tmpdir);
    g_free(tmpdir);
    return ret;
}
