// SPDX-License-Identifier: GPL-2.0-only
/* A bitmap of pages from a file, in either of the two formats. */
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bitmap.h"
#include "wire.h"

#define WORD		sizeof(uint64_t)
#define WORD_PAGES	(8 * WORD)

/* As many as the longest raw bitmap that is read. */
#define MAX_PAGES	((uint64_t)1 << 33)

/* Behind BITMAP_ANY, in the order of enum bitmap_format. */
static const char * const format_names[] = { "raw", "report" };

#define NR_FORMATS	(sizeof(format_names) / sizeof(format_names[0]))

const char *bitmap_format_name(enum bitmap_format format)
{
	return format_names[format - BITMAP_RAW];
}

enum fpr_status bitmap_parse_format(const char *option, const char *text,
				    enum bitmap_format *format)
{
	size_t i;

	*format = BITMAP_ANY;
	if (!text)
		return FPR_OK;
	for (i = 0; i < NR_FORMATS; i++) {
		if (!strcmp(text, format_names[i])) {
			*format = BITMAP_RAW + i;
			return FPR_OK;
		}
	}
	warnx("%s %s: give raw or report", option, text);
	return FPR_USAGE;
}

static bool begins_as_report(const struct report *data)
{
	return data->len >= 4 && wire_get(data->bits, 4) == WIRE_MAGIC_RESPONSE;
}

struct decoding {
	struct bitmap *bitmap;
	const struct wire_decoder *decoder;
	const char *name;
};

/* Pages that no chunk is about take no memory. */
static int allocate(const struct decoding *decoding)
{
	struct bitmap *bitmap = decoding->bitmap;

	bitmap->nr_pages = decoding->decoder->nr_pages;
	bitmap->len = (size_t)((bitmap->nr_pages + WORD_PAGES - 1) / WORD_PAGES * WORD);
	bitmap->bits = calloc(bitmap->len ? bitmap->len : 1, 1);
	if (!bitmap->bits) {
		warn("%s: a bitmap of %llu pages", decoding->name,
		     (unsigned long long)bitmap->nr_pages);
		return -1;
	}
	return 0;
}

static int take_chunk(void *opaque, uint64_t first_pfn, uint32_t nr_pages, const uint8_t *bits)
{
	struct decoding *decoding = opaque;
	struct bitmap *bitmap = decoding->bitmap;

	if (!bitmap->bits && allocate(decoding))
		return -1;
	memcpy(bitmap->bits + first_pfn / 8, bits,
	       (nr_pages + WORD_PAGES - 1) / WORD_PAGES * WORD);
	return 0;
}

static enum fpr_status refuse(const char *name, const struct wire_decoder *decoder,
			      enum wire_status status)
{
	if (status == WIRE_REFUSED)
		warnx("%s: not a bitmap: its guest refused: %s", name,
		      wire_refusal_text(decoder->refusal));
	else if (status == WIRE_TOO_MANY_PAGES)
		warnx("%s: it says that the memory spans %llu pages: fprctl takes %llu", name,
		      (unsigned long long)decoder->nr_pages, (unsigned long long)MAX_PAGES);
	else if (status != WIRE_STOPPED)	/* take_chunk() said why */
		warnx("%s: not a whole report: %s: give --from raw if it is a bitmap without a header",
		      name, wire_status_text(status));
	return FPR_ERROR;
}

static enum fpr_status decode(struct bitmap *bitmap, const char *name, const struct report *data)
{
	const struct wire_expect expect = {
		.any_tag = true,
		.page_shift = (uint32_t)__builtin_ctzl((unsigned long)sysconf(_SC_PAGESIZE)),
		.max_pages = MAX_PAGES,
	};
	struct wire_decoder decoder;
	struct decoding decoding = { bitmap, &decoder, name };
	enum wire_status status;
	size_t used;

	wire_decoder_init(&decoder, &expect);
	status = wire_decode(&decoder, data->bits, data->len, &used, take_chunk, &decoding);
	if (status != WIRE_DONE)
		return refuse(name, &decoder, status);
	if (used < data->len) {
		warnx("%s: %zu bytes follow the end of its report: give one report",
		      name, data->len - used);
		return FPR_ERROR;
	}
	/* Where nothing is free there was no chunk. */
	if (!bitmap->bits && allocate(&decoding))
		return FPR_ERROR;
	bitmap->tag = decoder.tag;
	return FPR_OK;
}

static enum fpr_status take_raw(struct bitmap *bitmap, const char *name, struct report *data)
{
	enum fpr_status status = report_check_words(name, data);

	if (status)
		return status;
	bitmap->bits = data->bits;
	bitmap->len = data->len;
	bitmap->nr_pages = data->len * 8;
	data->bits = NULL;
	return FPR_OK;
}

enum fpr_status bitmap_read(struct bitmap *bitmap, struct report_source *source,
			    enum bitmap_format format)
{
	enum fpr_status status;
	struct report data;

	*bitmap = (struct bitmap) { .format = format };
	status = report_read_bytes(source, &data);
	if (!status) {
		bitmap->file_bytes = data.len;
		if (format == BITMAP_ANY)
			bitmap->format = begins_as_report(&data) ? BITMAP_REPORT : BITMAP_RAW;
		if (bitmap->format == BITMAP_RAW)
			status = take_raw(bitmap, source->name, &data);
		else
			status = decode(bitmap, source->name, &data);
	}
	free(data.bits);
	if (status)
		bitmap_release(bitmap);
	return status;
}

void bitmap_release(struct bitmap *bitmap)
{
	free(bitmap->bits);
	bitmap->bits = NULL;
}

enum fpr_status bitmap_cut(struct bitmap *bitmap, uint64_t pages)
{
	uint64_t has = bitmap->len * 8;
	size_t i = (size_t)(pages / 8);

	if (pages > has || has - pages >= WORD_PAGES) {
		warnx("--size: %llu pages, but the bitmap has %llu: only pages of its last 64-bit word can be cut off",
		      (unsigned long long)pages, (unsigned long long)has);
		return FPR_ERROR;
	}
	if (pages % 8)
		bitmap->bits[i++] &= (uint8_t)((1U << pages % 8) - 1);
	memset(bitmap->bits + i, 0, bitmap->len - i);
	bitmap->nr_pages = pages;
	return FPR_OK;
}

uint64_t bitmap_word(const struct bitmap *bitmap, size_t index)
{
	return index < bitmap->len / WORD ? wire_get(bitmap->bits + index * WORD, WORD) : 0;
}

uint64_t bitmap_count(const struct bitmap *bitmap)
{
	uint64_t n = 0;
	size_t i;

	for (i = 0; i < bitmap->len / WORD; i++)
		n += (uint64_t)__builtin_popcountll(bitmap_word(bitmap, i));
	return n;
}

uint64_t bitmap_find(const struct bitmap *bitmap, uint64_t from, bool named)
{
	uint64_t word, page = from - from % WORD_PAGES;
	/* Of the first word, only pages from @from on. */
	uint64_t mask = ~0ULL << from % WORD_PAGES;

	for (; page < bitmap->nr_pages; page += WORD_PAGES) {
		word = bitmap_word(bitmap, (size_t)(page / WORD_PAGES));
		word = (named ? word : ~word) & mask;
		if (word) {
			page += (uint64_t)__builtin_ctzll(word);
			break;
		}
		mask = ~0ULL;
	}
	return page < bitmap->nr_pages ? page : bitmap->nr_pages;
}

static void write_chunks(FILE *f, struct wire_encoder *encoder, const struct bitmap *bitmap)
{
	uint8_t record[WIRE_CHUNK_MAX], bits[WIRE_CHUNK_BYTES];
	size_t at, part, len;

	for (at = 0; at < bitmap->len; at += part) {
		part = bitmap->len - at < sizeof(bits) ? bitmap->len - at : sizeof(bits);
		memset(bits, 0, sizeof(bits));
		memcpy(bits, bitmap->bits + at, part);
		len = wire_encode_chunk(encoder, record, at * 8, bits);
		fwrite(record, len, 1, f);
	}
}

enum fpr_status bitmap_encode(const struct bitmap *bitmap, uint64_t tag, char **data,
			      size_t *len)
{
	const uint32_t page_shift = (uint32_t)__builtin_ctzl((unsigned long)sysconf(_SC_PAGESIZE));
	uint8_t record[WIRE_RESPONSE_LEN];
	struct wire_encoder encoder;
	FILE *f;

	*data = NULL;
	f = open_memstream(data, len);
	if (!f)
		err(FPR_ERROR, "the report");
	wire_encode_response(&encoder, record, tag, bitmap->nr_pages, page_shift);
	fwrite(record, WIRE_RESPONSE_LEN, 1, f);
	write_chunks(f, &encoder, bitmap);
	wire_encode_end(&encoder, record);
	fwrite(record, WIRE_END_LEN, 1, f);
	if (ferror(f) | fclose(f)) {
		warn("the report");
		free(*data);
		return FPR_ERROR;
	}
	return FPR_OK;
}
