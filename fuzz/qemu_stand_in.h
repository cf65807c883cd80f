/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * As much of QEMU as qemu/migration/free-page-{agent,filter}.c need to be compiled as
 * they are, outside of it: included before them, while the headers that they name are
 * empty. Locks only say whether they are held; what the fuzzer decides, or looks at, is
 * in qemu_fuzz.c.
 */
#ifndef FUZZ_QEMU_STAND_IN_H
#define FUZZ_QEMU_STAND_IN_H

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "input.h"

#define QEMU_VERSION_MAJOR	10
#define QEMU_VERSION_MINOR	2

#define GiB			((uint64_t)1 << 30)
#define MIN(a, b)		((a) < (b) ? (a) : (b))
#define MAX(a, b)		((a) > (b) ? (a) : (b))
#define DIV_ROUND_UP(n, d)	(((n) + (d) - 1) / (d))
#define QEMU_ALIGN_DOWN(n, m)	((n) / (m) * (m))
#define ARRAY_SIZE(a)		(sizeof(a) / sizeof((a)[0]))
#define ROUND_UP(n, m)		(((n) + (m) - 1) / (m) * (m))
#define container_of(p, type, member) ((type *)((char *)(p) - offsetof(type, member)))

typedef uint64_t hwaddr;
typedef uint64_t ram_addr_t;

#define HOST_PAGE_SHIFT		12

static inline size_t qemu_real_host_page_size(void)
{
	return (size_t)1 << HOST_PAGE_SHIFT;
}

static inline int qemu_target_page_bits(void)
{
	return HOST_PAGE_SHIFT;
}

static inline int ctz64(uint64_t value)
{
	return value ? __builtin_ctzll(value) : 64;
}

/* Memory of the process. */

#define g_free			free
#define g_strdup(text)		((text) ? strdup(text) : NULL)
#define g_new0(type, n)		((type *)calloc((n), sizeof(type)))
#define g_clear_pointer(p, destroy) (destroy(*(p)), *(p) = NULL)

/* Locks */

typedef struct { bool held; } QemuMutex;
typedef struct { int unused; } QemuCond;

static inline void qemu_mutex_init(QemuMutex *lock)
{
	lock->held = false;
}

static inline void qemu_mutex_destroy(QemuMutex *lock)
{
	MUST(!lock->held);
}

static inline void qemu_mutex_lock(QemuMutex *lock)
{
	MUST(!lock->held);
	lock->held = true;
}

static inline void qemu_mutex_unlock(QemuMutex *lock)
{
	MUST(lock->held);
	lock->held = false;
}

static inline QemuMutex *stand_in_lock(QemuMutex *lock)
{
	qemu_mutex_lock(lock);
	return lock;
}

static inline void stand_in_unlock(QemuMutex **lock)
{
	if (!*lock)
		return;
	qemu_mutex_unlock(*lock);
	*lock = NULL;
}

#define STAND_IN_GUARD(name, lock)	\
	__attribute__((cleanup(stand_in_unlock), unused)) QemuMutex *name = stand_in_lock(lock)
#define STAND_IN_PASTE(a, b)		a ## b
#define STAND_IN_NAME(a, b)		STAND_IN_PASTE(a, b)
#define QEMU_LOCK_GUARD(lock)		STAND_IN_GUARD(STAND_IN_NAME(guard, __COUNTER__), lock)
#define WITH_QEMU_LOCK_GUARD(lock)	\
	for (STAND_IN_GUARD(guard, lock); guard; stand_in_unlock(&guard))
#define RCU_READ_LOCK_GUARD()		((void)0)

#define qemu_cond_init(cond)		((void)(cond))
#define qemu_cond_destroy(cond)		((void)(cond))
#define qemu_cond_signal(cond)		((void)(cond))
#define qemu_cond_broadcast(cond)	((void)(cond))
#define qatomic_set(p, value)		(*(p) = (value))
#define qatomic_read(p)			(*(p))
#define qatomic_cmpxchg(p, old, value)	__sync_val_compare_and_swap(p, old, value)

void qemu_cond_wait(QemuCond *cond, QemuMutex *lock);
void qemu_cond_timedwait(QemuCond *cond, QemuMutex *lock, int ms);

typedef struct { uint64_t value; } Stat64;

#define stat64_get(s)			((s)->value)
#define stat64_set(s, n)		((void)((s)->value = (n)))
#define stat64_add(s, n)		((void)((s)->value += (n)))

/* What the migration counts */
extern struct MigrationStats {
	Stat64 dirty_bytes_last_sync, dirty_pages_rate, dirty_sync_count, dropped_page_requests;
} mig_stats;
typedef struct MigrationPeriod { uint64_t dirty_pages, bytes; int64_t ms; } MigrationPeriod;

/* Bitmaps */

#define BITS_PER_LONG			64

static inline void set_bit(unsigned long nr, unsigned long *map)
{
	map[nr / BITS_PER_LONG] |= 1ul << nr % BITS_PER_LONG;
}

static inline unsigned long *bitmap_new(unsigned long nbits)
{
	return calloc(DIV_ROUND_UP(nbits, BITS_PER_LONG), sizeof(unsigned long));
}

#define bitmap_try_new(nbits)		bitmap_new(nbits)

/* The bits of word @i that lie in [@first, @end). */
static inline unsigned long bits_of_word(unsigned long i, unsigned long first, unsigned long end)
{
	unsigned long mask = ~0ul;

	if (i == first / BITS_PER_LONG)
		mask &= ~0ul << first % BITS_PER_LONG;
	if (i == end / BITS_PER_LONG)
		mask &= (1ul << end % BITS_PER_LONG) - 1;
	return mask;
}

static inline void bitmap_set(unsigned long *map, unsigned long first, unsigned long nr)
{
	unsigned long i, end = first + nr;

	for (i = first / BITS_PER_LONG; i * BITS_PER_LONG < end; i++)
		map[i] |= bits_of_word(i, first, end);
}

static inline void bitmap_clear(unsigned long *map, unsigned long first, unsigned long nr)
{
	unsigned long i, end = first + nr;

	for (i = first / BITS_PER_LONG; i * BITS_PER_LONG < end; i++)
		map[i] &= ~bits_of_word(i, first, end);
}

static inline unsigned long find_next_bit(const unsigned long *map, unsigned long nbits,
					  unsigned long nr)
{
	unsigned long i, word;

	for (i = nr / BITS_PER_LONG; i * BITS_PER_LONG < nbits; i++) {
		word = map[i] & bits_of_word(i, nr, nbits);
		if (word)
			return i * BITS_PER_LONG + (unsigned long)__builtin_ctzl(word);
	}
	return nbits;
}

static inline unsigned long find_next_zero_bit(const unsigned long *map, unsigned long nbits,
					       unsigned long nr)
{
	while (nr < nbits && map[nr / BITS_PER_LONG] >> nr % BITS_PER_LONG & 1)
		nr++;
	return nr;
}

#define find_first_bit(map, nbits)	find_next_bit(map, nbits, 0)
#define BIT_WORD(nr)			((nr) / BITS_PER_LONG)
#define BITMAP_LAST_WORD_MASK(nbits)	(~0ul >> (-(nbits) & (BITS_PER_LONG - 1)))
#define ctpopl(word)			((unsigned long)__builtin_popcountl(word))

static inline long bitmap_count_one(const unsigned long *map, unsigned long nbits)
{
	unsigned long i;
	long count = 0;

	for (i = 0; i * BITS_PER_LONG < nbits; i++)
		count += __builtin_popcountl(map[i] & bits_of_word(i, 0, nbits));
	return count;
}

/* Timers and bottom halves, which run when the fuzzer has them do so. */

typedef struct AioContext AioContext;

typedef struct QEMUTimer {
	void (*expired)(void *opaque);
	void *opaque;
	bool pending;
	int64_t expires_ms;
} QEMUTimer;

static inline QEMUTimer *aio_timer_new(AioContext *context, int clock, int scale,
				       void (*expired)(void *), void *opaque)
{
	QEMUTimer *timer = calloc(1, sizeof(*timer));

	(void)context, (void)clock, (void)scale;
	timer->expired = expired;
	timer->opaque = opaque;
	return timer;
}

static inline void timer_mod(QEMUTimer *timer, int64_t expires_ms)
{
	timer->pending = true;
	timer->expires_ms = expires_ms;
}

static inline void timer_del(QEMUTimer *timer)
{
	timer->pending = false;
}

static inline bool timer_pending(QEMUTimer *timer)
{
	return timer->pending;
}

#define timer_free(timer)		free(timer)

typedef struct QEMUBH {
	void (*run)(void *opaque);
	void *opaque;
	bool pending;
} QEMUBH;

static inline QEMUBH *aio_bh_new(AioContext *context, void (*run)(void *), void *opaque)
{
	QEMUBH *bh = calloc(1, sizeof(*bh));

	(void)context;
	bh->run = run;
	bh->opaque = opaque;
	return bh;
}

#define qemu_bh_schedule(bh)		((void)((bh)->pending = true))
#define qemu_bh_delete(bh)		free(bh)

/* What is told, and to whom */

typedef struct Monitor Monitor;
typedef struct Error Error;
typedef struct Visitor Visitor;

typedef enum {
	FREE_PAGE_FILTER_BLOCKED_REASON_CAPABILITY,
	FREE_PAGE_FILTER_BLOCKED_REASON_NO_REPORTER,
	FREE_PAGE_FILTER_BLOCKED_REASON_NO_KVM,
	FREE_PAGE_FILTER_BLOCKED_REASON_HOST,
	FREE_PAGE_FILTER_BLOCKED_REASON_NO_KERNEL_SUPPORT,
	FREE_PAGE_FILTER_BLOCKED_REASON_DIRTY_RING,
	FREE_PAGE_FILTER_BLOCKED_REASON_CONFIDENTIAL_GUEST,
	FREE_PAGE_FILTER_BLOCKED_REASON_IOMMU,
	FREE_PAGE_FILTER_BLOCKED_REASON_PAGE_POISON,
	FREE_PAGE_FILTER_BLOCKED_REASON_ARM_FAILED,
	FREE_PAGE_FILTER_BLOCKED_REASON__MAX,
} FreePageFilterBlockedReason;

typedef enum {
	FREE_PAGE_FILTER_STATE_ON,
	FREE_PAGE_FILTER_STATE_BLOCKED,
	FREE_PAGE_FILTER_STATE_AGENT_SILENT,
	FREE_PAGE_FILTER_STATE_AGENT_BACK,
	FREE_PAGE_FILTER_STATE__MAX,
} FreePageFilterState;

typedef struct FreePageFilterRound {
	uint64_t round, asked, reports, reported_pages, dropped_pages, waited_ms;
} FreePageFilterRound;

typedef struct FreePageFilterRoundList {
	struct FreePageFilterRoundList *next;
	FreePageFilterRound *value;
} FreePageFilterRoundList;

typedef struct FreePageFilterInfo {
	uint64_t epochs, reports, discarded_reports;
	bool has_first_report_ms;
	uint64_t first_report_ms, waited_ms, reported_pages, filtered_pages, confirmed_pages,
		 dropped_pages, requested_pages;
	FreePageFilterRoundList *rounds;
	bool has_blocked_reason;
	FreePageFilterBlockedReason blocked_reason;
	char *blocked_text;
} FreePageFilterInfo;

#define QAPI_LIST_PREPEND(list, element) do {						\
	FreePageFilterRoundList *stand_in_link = calloc(1, sizeof(*stand_in_link));	\
	stand_in_link->next = (list);							\
	stand_in_link->value = (element);						\
	(list) = stand_in_link;								\
} while (0)

void qapi_event_send_free_page_filter(FreePageFilterState state, bool has_blocked_reason,
				      FreePageFilterBlockedReason blocked_reason,
				      const char *blocked_text, const char *agent);

#define trace_free_page_agent_end(...)		((void)0)
#define trace_free_page_agent_ask(...)		((void)0)
#define trace_free_page_filter_arm(epoch, span, ns, ret)	((void)(ns))
#define trace_free_page_filter_set(epoch, hints, filtered, confirmed, ret) ((void)(ret))
#define trace_free_page_filter_drop(block, first, npages)	((void)(first), (void)(npages))
#define trace_event_get_state_backends(event)	true
#define trace_free_page_filter_wait(...)	((void)0)
#define warn_report(...)			((void)snprintf(NULL, 0, __VA_ARGS__))
#define warn_report_once(...)			((void)snprintf(NULL, 0, __VA_ARGS__))
#define error_setg(errp, ...)			((void)(errp), (void)snprintf(NULL, 0, __VA_ARGS__))
#define MigrationCapability_str(capability)	((void)(capability), "another")

static inline bool visit_type_uint32(Visitor *v, const char *name, uint32_t *value, Error **errp)
{
	(void)v, (void)name, (void)value, (void)errp;
	return true;
}

/* Objects */

typedef struct Object { int unused; } Object;
typedef struct ObjectClass { int unused; } ObjectClass;
typedef struct UserCreatable { int unused; } UserCreatable;
typedef struct UserCreatableClass {
	void (*complete)(UserCreatable *uc, Error **errp);
} UserCreatableClass;
typedef struct InterfaceInfo { const char *type; } InterfaceInfo;
typedef struct TypeInfo {
	const char *name, *parent;
	size_t instance_size;
	void (*instance_init)(Object *obj);
	void (*instance_finalize)(Object *obj);
	void (*class_init)(ObjectClass *oc, const void *data);
	InterfaceInfo *interfaces;
} TypeInfo;

#define TYPE_OBJECT				"object"
#define TYPE_USER_CREATABLE			"user-creatable"
#define OBJECT_DECLARE_SIMPLE_TYPE(type, NAME)	\
	typedef struct type type;		\
	static inline type *NAME(void *obj) { return obj; }
#define OBJECT(obj)				((Object *)(obj))
#define USER_CREATABLE_CLASS(oc)		((UserCreatableClass *)(void *)(oc))
#define object_get_canonical_path_component(obj) ((void)(obj), "report")
#define object_class_property_add_str(oc, name, get, set) ((void)(oc), (void)(get), (void)(set))
#define object_class_property_add(oc, name, type, get, set, release, opaque)	\
	((void)(oc), (void)(get), (void)(set), (void)(opaque))
#define object_class_property_add_bool(oc, name, get, set) ((void)(oc), (void)(get), (void)(set))
#define type_register_static(info)		((void)(info))
#define type_init(function)			\
	static inline void stand_in_ ## function(void) { function(); }

/* The chardev, its thread, and the migration */

typedef struct Chardev Chardev;
typedef struct CharFrontend { int unused; } CharFrontend;
typedef struct IOThread IOThread;
typedef struct GMainContext GMainContext;
typedef struct NotifierWithReturn NotifierWithReturn;
typedef struct QEMUFile QEMUFile;

typedef enum { CHR_EVENT_BREAK, CHR_EVENT_OPENED, CHR_EVENT_MUX_IN, CHR_EVENT_CLOSED } QEMUChrEvent;
enum { QEMU_CHAR_FEATURE_GCONTEXT };
enum { PRECOPY_NOTIFY_SETUP, PRECOPY_NOTIFY_AFTER_BITMAP_SYNC, PRECOPY_NOTIFY_CLEANUP };
enum { PHASE_MACHINE_READY };
enum { RUN_STATE_INMIGRATE };
enum { QEMU_CLOCK_REALTIME };
enum { SCALE_MS };
enum { MIGRATION_STATUS_SETUP = 1, MIGRATION_STATUS_ACTIVE = 4, MIGRATION_STATUS_WAIT_UNPLUG = 13 };

typedef enum {
	MIGRATION_CAPABILITY_X_COLO,
	MIGRATION_CAPABILITY_BACKGROUND_SNAPSHOT,
	MIGRATION_CAPABILITY_FREE_PAGE_FILTER,
	MIGRATION_CAPABILITY_FREE_PAGE_FILTER_STRICT,
	MIGRATION_CAPABILITY__MAX,
} MigrationCapability;

typedef struct Notifier Notifier;
struct Notifier {
	void (*notify)(Notifier *n, void *data);
};

struct NotifierWithReturn {
	int (*notify)(NotifierWithReturn *n, void *data, Error **errp);
};

typedef struct PrecopyNotifyData { int reason; } PrecopyNotifyData;
typedef struct MigrationState {
	int state;
	uint64_t threshold_size;
	bool capabilities[MIGRATION_CAPABILITY__MAX];
	QEMUFile *to_dst_file;
	struct FreePageFilter *free_page_filter;
	unsigned int references;	/* the object's */
} MigrationState;
typedef struct MachineState { void *cgs; } MachineState;

typedef struct MemoryRegion {
	bool nonvolatile;
	unsigned int kind;
	void *ram_block;
	bool ram_device;
} MemoryRegion;
typedef struct RAMBlock {
	char idstr[8];
	MemoryRegion *mr;
	uint32_t flags;
	unsigned long *bmap;
	uint64_t used_length;
	size_t page_size;
	hwaddr gpa;
	bool ignored;
	bool had_content;
	unsigned long *dropped;
} RAMBlock;

#define RAM_PMEM			(1 << 5)
#define memory_region_is_nonvolatile(mr)	((mr)->nonvolatile)

typedef uint64_t Int128;
typedef struct FlatView FlatView;
typedef struct AddressSpace { int unused; } AddressSpace;
typedef bool flatview_cb(Int128 start, Int128 len, const MemoryRegion *mr, hwaddr offset, void *opaque);

#define int128_get64(n)			(n)
#define int128_add(a, b)		((a) + (b))
#define address_space_to_flatview(as)	((void)(as), (FlatView *)NULL)

extern AddressSpace address_space_memory;
extern MachineState *current_machine;

/* The accelerator: what it has of the filter is the fuzzer's. */
typedef struct AccelState { int unused; } AccelState;
typedef struct AccelClass { const struct AccelFreePageOps *free_page_ops; } AccelClass;

extern AccelClass accel_class;

#define current_accel()			((AccelState *)NULL)
#define ACCEL_GET_CLASS(as)		((void)(as), &accel_class)

Chardev *qemu_chr_find(const char *name);
bool qemu_chr_has_feature(Chardev *chr, int feature);
bool qemu_chr_fe_init(CharFrontend *fe, Chardev *chr, Error **errp);
void qemu_chr_fe_deinit(CharFrontend *fe, bool del);
bool qemu_chr_fe_backend_open(CharFrontend *fe);
int qemu_chr_fe_write(CharFrontend *fe, const uint8_t *data, int len);
void qemu_chr_fe_set_handlers(CharFrontend *fe, int (*can_read)(void *),
			      void (*read)(void *, const uint8_t *, int),
			      void (*event)(void *, QEMUChrEvent), void *change, void *opaque,
			      GMainContext *context, bool set_open);
IOThread *iothread_create(const char *name, Error **errp);
GMainContext *iothread_get_g_main_context(IOThread *thread);
AioContext *iothread_get_aio_context(IOThread *thread);
void flatview_for_each_range(FlatView *view, flatview_cb *cb, void *opaque);
void iothread_stop(IOThread *thread);
void iothread_destroy(IOThread *thread);
void object_ref(Object *obj);
void object_unref(Object *obj);
void qemu_add_machine_init_done_notifier(Notifier *n);
void qemu_remove_machine_init_done_notifier(Notifier *n);
void precopy_add_notifier(NotifierWithReturn *n);
void precopy_remove_notifier(NotifierWithReturn *n);
bool phase_check(int phase);
bool runstate_is_running(void);
bool bql_locked(void);
bool runstate_check(int state);
bool migrate_postcopy_ram(void);
bool migrate_ram_is_ignored(RAMBlock *rb);
int foreach_not_ignored_block(int (*func)(RAMBlock *rb, void *opaque), void *opaque);
MigrationState *migrate_get_current(void);
void qemu_file_set_error_obj(QEMUFile *f, int ret, Error *err);
uint64_t migrate_downtime_limit(void);
void migration_request_pass(int64_t ms);
void migration_exclude_from_bandwidth(int64_t ms);
int64_t qemu_clock_get_ms(int clock);
int64_t get_clock(void);
uint64_t ram_bytes_remaining(void);
uint64_t ram_bytes_total(void);
RAMBlock *qemu_ram_block_from_host(void *host, bool round, ram_addr_t *offset);
size_t qemu_ram_pagesize(RAMBlock *rb);

#endif
