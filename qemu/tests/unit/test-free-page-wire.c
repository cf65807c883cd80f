/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Unit tests of the wire format of free page reports
 *
 * What the decoder reads comes from a guest, which may send anything: whatever
 * is not exactly as described has to be refused, and nothing of it be used.
 */

#include "qemu/osdep.h"
#include <zlib.h>
#include "../migration/wire.h"

#define TAG 0x1122334455667788ULL
#define OTHER_TAG 0x1122334455667789ULL
#define PAGE_SHIFT 12
#define NR_CHUNKS 3
/* The last chunk is not whole, and neither is its last byte. */
#define LAST_PAGES 101
#define NR_PAGES (2 * WIRE_CHUNK_PAGES + LAST_PAGES)

/* A report while it is written */
typedef struct Report {
    GByteArray *bytes;
    uint32_t seed;
    uint32_t nr_chunks;
    uint64_t nr_free;
} Report;

/* What the decoder has handed over */
typedef struct Taken {
    unsigned int chunks;
    /* To be stopped at this one */
    unsigned int stop_at;
    uint32_t last_nr_pages;
    uint64_t bits[NR_CHUNKS * WIRE_CHUNK_BYTES / 8];
} Taken;

static const struct wire_expect expect = {
    .tag = TAG,
    .page_shift = PAGE_SHIFT,
    .max_pages = NR_PAGES,
};

static int take(void *opaque, uint64_t first_pfn, uint32_t nr_pages,
                const uint8_t *bits)
{
    Taken *taken = opaque;

    g_assert_cmpuint(first_pfn % WIRE_CHUNK_PAGES, ==, 0);
    g_assert_cmpuint(first_pfn, <, NR_PAGES);
    g_assert_cmpuint((uintptr_t)bits % 8, ==, 0);
    taken->chunks++;
    taken->last_nr_pages = nr_pages;
    memcpy((uint8_t *)taken->bits + first_pfn / 8, bits, WIRE_CHUNK_BYTES);
    return taken->chunks == taken->stop_at;
}

static void put_header(uint8_t *out, uint64_t tag)
{
    wire_put(out, 4, WIRE_MAGIC_RESPONSE);
    wire_put(out + WIRE_RESPONSE_VERSION, 2, WIRE_VERSION);
    wire_put(out + WIRE_RESPONSE_STATUS, 2, WIRE_REFUSED_NOT);
    wire_put(out + WIRE_RESPONSE_TAG, 8, tag);
    wire_put(out + WIRE_RESPONSE_NR_PAGES, 8, NR_PAGES);
    wire_put(out + WIRE_RESPONSE_PAGE_SHIFT, 4, PAGE_SHIFT);
    wire_put(out + WIRE_RESPONSE_CRC, 4, crc32(0, out, WIRE_RESPONSE_CRC));
}

static void report_begin(Report *report, uint64_t tag)
{
    uint8_t header[WIRE_RESPONSE_LEN];

    put_header(header, tag);
    *report = (Report) {
        .bytes = g_byte_array_new(),
        .seed = wire_get(header + WIRE_RESPONSE_CRC, 4),
    };
    g_byte_array_append(report->bytes, header, sizeof(header));
}

/* Add whatever it is, with a checksum that is right. */
static void report_add_chunk(Report *report, unsigned int encoding,
                             uint64_t first_pfn, uint32_t nr_free,
                             const uint8_t *payload, size_t len)
{
    uint8_t chunk[WIRE_CHUNK_LEN];
    uint32_t crc;

    wire_put(chunk, 4, WIRE_MAGIC_CHUNK);
    wire_put(chunk + WIRE_CHUNK_ENCODING, 2, encoding);
    wire_put(chunk + WIRE_CHUNK_PAYLOAD_LEN, 2, len);
    wire_put(chunk + WIRE_CHUNK_FIRST_PFN, 8, first_pfn);
    wire_put(chunk + WIRE_CHUNK_NR_FREE, 4, nr_free);
    crc = crc32(report->seed, chunk, WIRE_CHUNK_CRC);
    if (len) {
        crc = crc32(crc, payload, len);
    }
    wire_put(chunk + WIRE_CHUNK_CRC, 4, crc);
    g_byte_array_append(report->bytes, chunk, sizeof(chunk));
    g_byte_array_append(report->bytes, payload, len);
    report->nr_chunks++;
    report->nr_free += nr_free;
}

static void report_add_end(Report *report)
{
    uint8_t end[WIRE_END_LEN];

    wire_put(end, 4, WIRE_MAGIC_END);
    wire_put(end + WIRE_END_NR_CHUNKS, 4, report->nr_chunks);
    wire_put(end + WIRE_END_NR_FREE, 8, report->nr_free);
    wire_put(end + WIRE_END_CRC, 4, crc32(report->seed, end, WIRE_END_CRC));
    g_byte_array_append(report->bytes, end, sizeof(end));
}

/* One chunk in each encoding */
static void report_make(Report *report, uint64_t tag)
{
    /* 1 used, 300 free, 2 used, 1 free */
    static const uint8_t runs[] = { 0x01, 0xac, 0x02, 0x02, 0x01 };
    uint8_t bitmap[WIRE_CHUNK_BYTES] = {};

    bitmap[0] = 0x81;
    bitmap[WIRE_CHUNK_BYTES - 1] = 0x80;
    report_begin(report, tag);
    report_add_chunk(report, WIRE_RUNS, 0, 301, runs, sizeof(runs));
    report_add_chunk(report, WIRE_BITMAP, WIRE_CHUNK_PAGES, 3, bitmap,
                     sizeof(bitmap));
    report_add_chunk(report, WIRE_ALL_FREE, 2 * WIRE_CHUNK_PAGES, LAST_PAGES,
                     NULL, 0);
    report_add_end(report);
}

static void report_free(Report *report)
{
    g_byte_array_unref(report->bytes);
}

/* Whether report_make()'s names the page */
static bool is_free(uint64_t pfn)
{
    return (pfn >= 1 && pfn <= 300) || pfn == 303 ||
           pfn == WIRE_CHUNK_PAGES || pfn == WIRE_CHUNK_PAGES + 7 ||
           pfn == 2 * WIRE_CHUNK_PAGES - 1 ||
           (pfn >= 2 * WIRE_CHUNK_PAGES && pfn < NR_PAGES);
}

/* All that was handed over is report_make()'s, as far as it came. */
static void check_taken(const Taken *taken)
{
    static uint8_t expected[NR_CHUNKS * WIRE_CHUNK_BYTES];
    size_t len = taken->chunks * WIRE_CHUNK_BYTES;

    if (!expected[0]) {
        for (uint64_t pfn = 0; pfn < NR_PAGES; pfn++) {
            expected[pfn / 8] |= is_free(pfn) << pfn % 8;
        }
    }
    g_assert_cmpmem(taken->bits, len, expected, len);
}

static enum wire_status decode(struct wire_decoder *decoder,
                               const GByteArray *bytes, Taken *taken)
{
    memset(taken, 0, sizeof(*taken));
    wire_decoder_init(decoder, &expect);
    return wire_decode(decoder, bytes->data, bytes->len, NULL, take, taken);
}

static void test_report(void)
{
    struct wire_decoder decoder;
    Report report;
    Taken taken;

    report_make(&report, TAG);
    g_assert_cmpint(decode(&decoder, report.bytes, &taken), ==, WIRE_DONE);
    g_assert_cmpuint(taken.chunks, ==, NR_CHUNKS);
    g_assert_cmpuint(taken.last_nr_pages, ==, LAST_PAGES);
    check_taken(&taken);
    g_assert_cmphex(decoder.tag, ==, TAG);
    g_assert_cmpuint(decoder.nr_pages, ==, NR_PAGES);
    g_assert_cmpuint(decoder.nr_free, ==, report.nr_free);
    g_assert_cmpuint(report.bytes->len, <=, wire_response_max(NR_PAGES));
    report_free(&report);
}

/* The bytes themselves: put_header() and its like take places from wire.h. */
static void test_bytes(void)
{
    static const uint8_t bytes[] = {
        'F', 'P', 'R', 'R', 1, 0, 0, 0,
        0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11,
        10, 0, 0, 0, 0, 0, 0, 0, 12, 0, 0, 0, 0x6b, 0x8b, 0xe4, 0xcc,
        'F', 'P', 'R', 'C', 2, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        5, 0, 0, 0, 0x9e, 0xab, 0xbe, 0x44, 3, 5,
        'F', 'P', 'R', 'E', 1, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0,
        0x12, 0x4d, 0xf9, 0xc8,
    };
    static const uint8_t asked[WIRE_REQUEST_LEN] = {
        'F', 'P', 'R', 'Q', 1, 0, 0, 0,
        0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11,
        0x95, 0xb3, 0x07, 0xee,
    };
    struct wire_decoder decoder;
    struct wire_request request;
    uint8_t out[WIRE_REQUEST_LEN];
    Taken taken = {};
    size_t used;

    wire_decoder_init(&decoder, &expect);
    g_assert_cmpint(wire_decode(&decoder, bytes, sizeof(bytes), &used, take,
                                &taken), ==, WIRE_DONE);
    g_assert_cmpuint(used, ==, sizeof(bytes));
    g_assert_cmpuint(taken.chunks, ==, 1);
    g_assert_cmpuint(taken.last_nr_pages, ==, 10);
    g_assert_cmphex(wire_word((uint8_t *)taken.bits), ==, 0xf8);

    wire_encode_request(out, TAG);
    g_assert_cmpmem(out, sizeof(out), asked, sizeof(asked));
    wire_request_init(&request);
    g_assert_cmpint(wire_decode_request(&request, asked, sizeof(asked), &used),
                    ==, WIRE_DONE);
    g_assert_cmphex(request.tag, ==, TAG);
}

/* A guest with nothing free */
static void test_nothing_free(void)
{
    struct wire_decoder decoder;
    Report report;
    Taken taken;

    report_begin(&report, TAG);
    report_add_end(&report);
    g_assert_cmpint(decode(&decoder, report.bytes, &taken), ==, WIRE_DONE);
    g_assert_cmpuint(taken.chunks, ==, 0);
    g_assert_cmpuint(decoder.nr_free, ==, 0);
    report_free(&report);
}

/* Cut anywhere, and what is cut off is missed. */
static void test_cut(void)
{
    struct wire_decoder decoder;
    Report report;
    Taken taken;

    report_make(&report, TAG);
    for (size_t len = 0; len < report.bytes->len; len++) {
        const uint8_t *bytes = report.bytes->data;
        size_t used;

        memset(&taken, 0, sizeof(taken));
        wire_decoder_init(&decoder, &expect);
        g_assert_cmpint(wire_decode(&decoder, bytes, len, &used, take, &taken),
                        ==, WIRE_MORE);
        g_assert_cmpuint(used, ==, len);
        g_assert_cmpint(wire_decode(&decoder, bytes + len,
                                    report.bytes->len - len, NULL, take,
                                    &taken), ==, WIRE_DONE);
        g_assert_cmpuint(taken.chunks, ==, NR_CHUNKS);
    }
    check_taken(&taken);
    report_free(&report);
}

/* What follows belongs to the next one. */
static void test_end(void)
{
    struct wire_decoder decoder;
    Taken taken = {};
    Report report;
    size_t len, used;

    report_make(&report, TAG);
    len = report.bytes->len;
    g_byte_array_append(report.bytes, (const uint8_t *)"FPRC", 4);
    wire_decoder_init(&decoder, &expect);
    g_assert_cmpint(wire_decode(&decoder, report.bytes->data,
                                report.bytes->len, &used, take, &taken),
                    ==, WIRE_DONE);
    g_assert_cmpuint(used, ==, len);
    g_assert_cmpint(wire_decode(&decoder, report.bytes->data + len, 4, &used,
                                take, &taken), ==, WIRE_DONE);
    g_assert_cmpuint(used, ==, 0);
    report_free(&report);
}

/* No bit can change without being noticed, and nothing behind it is used. */
static void test_changed(void)
{
    struct wire_decoder decoder;
    Report report;
    Taken taken;

    report_make(&report, TAG);
    for (size_t bit = 0; bit < 8 * report.bytes->len; bit++) {
        report.bytes->data[bit / 8] ^= 1 << bit % 8;
        g_assert_cmpint(decode(&decoder, report.bytes, &taken), !=, WIRE_DONE);
        report.bytes->data[bit / 8] ^= 1 << bit % 8;
        check_taken(&taken);
    }
    report_free(&report);
}

static void test_header(void)
{
    static const struct {
        size_t at;
        unsigned int bytes;
        uint64_t value;
        enum wire_status status;
        /* The checksum remains what it was */
        bool old_crc;
    } fields[] = {
        { 0, 4, WIRE_MAGIC_CHUNK, WIRE_GARBAGE },
        { WIRE_RESPONSE_VERSION, 2, WIRE_VERSION + 1, WIRE_OTHER_VERSION },
        { WIRE_RESPONSE_STATUS, 2, WIRE_REFUSED_CONTENT, WIRE_REFUSED },
        { WIRE_RESPONSE_STATUS, 2, 0xffff, WIRE_REFUSED },
        { WIRE_RESPONSE_TAG, 8, OTHER_TAG, WIRE_OTHER_TAG },
        { WIRE_RESPONSE_NR_PAGES, 8, NR_PAGES + 1, WIRE_TOO_MANY_PAGES },
        { WIRE_RESPONSE_NR_PAGES, 8, UINT64_MAX, WIRE_TOO_MANY_PAGES },
        { WIRE_RESPONSE_PAGE_SHIFT, 4, PAGE_SHIFT + 1, WIRE_OTHER_PAGE_SIZE },
        { WIRE_RESPONSE_PAGE_SHIFT, 4, PAGE_SHIFT + 256, WIRE_OTHER_PAGE_SIZE },
        { WIRE_RESPONSE_NR_PAGES, 8, NR_PAGES - 1, WIRE_CHECKSUM, true },
    };
    struct wire_decoder decoder;
    Report good;
    Taken taken;

    report_make(&good, TAG);
    for (int i = 0; i < ARRAY_SIZE(fields); i++) {
        uint8_t header[WIRE_RESPONSE_LEN];

        put_header(header, TAG);
        wire_put(header + fields[i].at, fields[i].bytes, fields[i].value);
        if (!fields[i].old_crc) {
            wire_put(header + WIRE_RESPONSE_CRC, 4,
                     crc32(0, header, WIRE_RESPONSE_CRC));
        }
        memset(&taken, 0, sizeof(taken));
        wire_decoder_init(&decoder, &expect);
        g_assert_cmpint(wire_decode(&decoder, header, sizeof(header), NULL,
                                    take, &taken), ==, fields[i].status);
        /* An error stays, whatever comes. */
        g_assert_cmpint(wire_decode(&decoder, good.bytes->data,
                                    good.bytes->len, NULL, take, &taken),
                        ==, fields[i].status);
        g_assert_cmpuint(taken.chunks, ==, 0);
    }
    report_free(&good);
}

static void test_chunk(void)
{
    static const uint8_t bits_past_end[WIRE_CHUNK_BYTES] = {
        [LAST_PAGES / 8] = 1 << LAST_PAGES % 8,
    };
    static const uint8_t bitmap[WIRE_CHUNK_BYTES + 1] = { 1 };
    static const uint8_t nothing[WIRE_CHUNK_BYTES];
    static const struct {
        unsigned int encoding;
        uint64_t first_pfn;
        uint32_t nr_free;
        const uint8_t *payload;
        size_t len;
        enum wire_status status;
        /* The payload, if there is no other */
        uint8_t runs[5];
    } chunks[] = {
        { WIRE_RUNS, 0, 2, NULL, 2, WIRE_MORE, { 1, 2 } },
        { WIRE_RUNS, 0, 32768, NULL, 4, WIRE_MORE, { 0, 0x80, 0x80, 0x02 } },
        { WIRE_RUNS, 65536, 1, NULL, 2, WIRE_MORE, { 100, 1 } },
        { WIRE_ALL_FREE, 65536, LAST_PAGES, NULL, 0, WIRE_MORE },

        /* Too long, too short */
        { WIRE_ALL_FREE, 0, 32768, NULL, 1, WIRE_MALFORMED, { 0 } },
        { WIRE_RUNS, 0, 1, NULL, 0, WIRE_MALFORMED },
        { WIRE_BITMAP, 0, 1, bitmap, WIRE_CHUNK_BYTES - 1, WIRE_MALFORMED },
        { WIRE_BITMAP, 0, 1, bitmap, WIRE_CHUNK_BYTES + 1, WIRE_MALFORMED },
        /* Behind the chunk, behind the guest's memory */
        { WIRE_RUNS, 0, 32769, NULL, 4, WIRE_MALFORMED,
          { 0, 0x81, 0x80, 0x02 } },
        { WIRE_RUNS, 65536, 2, NULL, 2, WIRE_MALFORMED, { 100, 2 } },
        { WIRE_BITMAP, 65536, 1, bits_past_end, WIRE_CHUNK_BYTES,
          WIRE_MALFORMED },
        /* It ends with a used run; an empty run. */
        { WIRE_RUNS, 0, 2, NULL, 3, WIRE_MALFORMED, { 1, 2, 3 } },
        { WIRE_RUNS, 0, 3, NULL, 4, WIRE_MALFORMED, { 1, 2, 0, 1 } },
        { WIRE_RUNS, 0, 0, NULL, 2, WIRE_MALFORMED, { 1, 0 } },
        /* Numbers: not the shortest form, cut off, more than 3 bytes */
        { WIRE_RUNS, 0, 1, NULL, 3, WIRE_MALFORMED, { 0x81, 0x00, 1 } },
        { WIRE_RUNS, 0, 1, NULL, 2, WIRE_MALFORMED, { 1, 0x81 } },
        { WIRE_RUNS, 0, 1, NULL, 5, WIRE_MALFORMED,
          { 0x80, 0x80, 0x80, 0x01, 1 } },
        /* No such encoding */
        { 0, 0, 1, bitmap, WIRE_CHUNK_BYTES, WIRE_MALFORMED },
        { 4, 0, 1, bitmap, WIRE_CHUNK_BYTES, WIRE_MALFORMED },
        /* Where no chunk may be */
        { WIRE_RUNS, 64, 2, NULL, 2, WIRE_MISPLACED, { 1, 2 } },
        { WIRE_RUNS, 98304, 2, NULL, 2, WIRE_MISPLACED, { 1, 2 } },
        { WIRE_RUNS, UINT64_MAX - 32767, 2, NULL, 2, WIRE_MISPLACED, { 1, 2 } },
        /* Another number of pages than it names, or none */
        { WIRE_RUNS, 0, 1, NULL, 2, WIRE_MISCOUNTED, { 1, 2 } },
        { WIRE_BITMAP, 0, 0, nothing, WIRE_CHUNK_BYTES, WIRE_MISCOUNTED },
        { WIRE_BITMAP, 0, 2, bitmap, WIRE_CHUNK_BYTES, WIRE_MISCOUNTED },
        { WIRE_ALL_FREE, 65536, WIRE_CHUNK_PAGES, NULL, 0, WIRE_MISCOUNTED },
    };
    struct wire_decoder decoder;
    Taken taken;

    for (int i = 0; i < ARRAY_SIZE(chunks); i++) {
        Report report;

        report_begin(&report, TAG);
        report_add_chunk(&report, chunks[i].encoding, chunks[i].first_pfn,
                         chunks[i].nr_free,
                         chunks[i].payload ?: chunks[i].runs, chunks[i].len);
        g_assert_cmpint(decode(&decoder, report.bytes, &taken), ==,
                        chunks[i].status);
        g_assert_cmpuint(taken.chunks, ==, chunks[i].status == WIRE_MORE);
        report_free(&report);
    }
}

/* It is refused before there is a payload, for which there is no room. */
static void test_payload_len(void)
{
    struct wire_decoder decoder;
    Report report;
    Taken taken;

    report_begin(&report, TAG);
    report_add_chunk(&report, WIRE_ALL_FREE, 0, WIRE_CHUNK_PAGES, NULL, 0);
    wire_put(report.bytes->data + WIRE_RESPONSE_LEN + WIRE_CHUNK_PAYLOAD_LEN, 2,
             WIRE_CHUNK_BYTES + 1);
    g_assert_cmpint(decode(&decoder, report.bytes, &taken), ==, WIRE_MALFORMED);
    report_free(&report);
}

/* In ascending order, and each once */
static void test_order(void)
{
    static const uint64_t orders[][2] = {
        { 0, 0 }, { WIRE_CHUNK_PAGES, 0 },
        { 2 * WIRE_CHUNK_PAGES, 2 * WIRE_CHUNK_PAGES },
    };
    struct wire_decoder decoder;
    Taken taken;

    for (int i = 0; i < ARRAY_SIZE(orders); i++) {
        Report report;

        report_begin(&report, TAG);
        for (int j = 0; j < 2; j++) {
            report_add_chunk(&report, WIRE_RUNS, orders[i][j], 2,
                             (const uint8_t []) { 1, 2 }, 2);
        }
        g_assert_cmpint(decode(&decoder, report.bytes, &taken), ==,
                        WIRE_MISPLACED);
        g_assert_cmpuint(taken.chunks, ==, 1);
        report_free(&report);
    }
}

/* What was said in answer to another request, an earlier one, is of no use. */
static void test_other_seed(void)
{
    struct wire_decoder decoder;
    Report report;
    Taken taken;

    report_begin(&report, TAG);
    report.seed++;
    report_add_chunk(&report, WIRE_RUNS, 0, 2, (const uint8_t []) { 1, 2 }, 2);
    g_assert_cmpint(decode(&decoder, report.bytes, &taken), ==, WIRE_CHECKSUM);
    g_assert_cmpuint(taken.chunks, ==, 0);
    report_free(&report);

    report_begin(&report, TAG);
    report.seed++;
    report_add_end(&report);
    g_assert_cmpint(decode(&decoder, report.bytes, &taken), ==, WIRE_CHECKSUM);
    report_free(&report);
}

static void test_count(void)
{
    struct wire_decoder decoder;
    Report report;
    Taken taken;

    report_begin(&report, TAG);
    report.nr_chunks++;
    report_add_end(&report);
    g_assert_cmpint(decode(&decoder, report.bytes, &taken), ==,
                    WIRE_MISCOUNTED);
    report_free(&report);

    report_begin(&report, TAG);
    report.nr_free++;
    report_add_end(&report);
    g_assert_cmpint(decode(&decoder, report.bytes, &taken), ==,
                    WIRE_MISCOUNTED);
    report_free(&report);
}

/* What remains of earlier answers may stand in front, up to a length. */
static void test_skip(void)
{
    struct wire_expect skips = expect;
    struct wire_decoder decoder;
    Report rest, report;
    Taken taken = {};
    size_t len;

    report_make(&rest, OTHER_TAG);
    g_byte_array_remove_range(rest.bytes, 0, 7);
    /* Another one is whole. */
    report_make(&report, OTHER_TAG);
    g_byte_array_append(rest.bytes, report.bytes->data, report.bytes->len);
    report_free(&report);
    len = rest.bytes->len;
    report_make(&report, TAG);
    g_byte_array_append(rest.bytes, report.bytes->data, report.bytes->len);
    report_free(&report);

    skips.max_skip = len;
    wire_decoder_init(&decoder, &skips);
    g_assert_cmpint(wire_decode(&decoder, rest.bytes->data, rest.bytes->len,
                                NULL, take, &taken), ==, WIRE_DONE);
    g_assert_cmpuint(decoder.skipped, ==, len);
    g_assert_cmpint(decoder.skipped_for, ==, WIRE_OTHER_TAG);
    g_assert_cmpuint(taken.chunks, ==, NR_CHUNKS);
    check_taken(&taken);

    memset(&taken, 0, sizeof(taken));
    skips.max_skip = len - 1;
    wire_decoder_init(&decoder, &skips);
    g_assert_cmpint(wire_decode(&decoder, rest.bytes->data, rest.bytes->len,
                                NULL, take, &taken), <, 0);
    g_assert_cmpuint(taken.chunks, ==, 0);
    report_free(&rest);
}

static void test_stop(void)
{
    struct wire_decoder decoder;
    Taken taken = { .stop_at = 2 };
    Report report;

    report_make(&report, TAG);
    wire_decoder_init(&decoder, &expect);
    g_assert_cmpint(wire_decode(&decoder, report.bytes->data,
                                report.bytes->len, NULL, take, &taken),
                    ==, WIRE_STOPPED);
    g_assert_cmpuint(taken.chunks, ==, 2);
    report_free(&report);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);

    g_test_add_func("/free-page-wire/report", test_report);
    g_test_add_func("/free-page-wire/bytes", test_bytes);
    g_test_add_func("/free-page-wire/nothing-free", test_nothing_free);
    g_test_add_func("/free-page-wire/cut", test_cut);
    g_test_add_func("/free-page-wire/end", test_end);
    g_test_add_func("/free-page-wire/changed", test_changed);
    g_test_add_func("/free-page-wire/header", test_header);
    g_test_add_func("/free-page-wire/chunk", test_chunk);
    g_test_add_func("/free-page-wire/payload-len", test_payload_len);
    g_test_add_func("/free-page-wire/order", test_order);
    g_test_add_func("/free-page-wire/other-seed", test_other_seed);
    g_test_add_func("/free-page-wire/count", test_count);
    g_test_add_func("/free-page-wire/skip", test_skip);
    g_test_add_func("/free-page-wire/stop", test_stop);

    return g_test_run();
}
