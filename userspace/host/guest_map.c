// SPDX-License-Identifier: GPL-2.0-only
/* Where the guest's memory lies elsewhere, in the process that runs it or in a file, as the user says. */
#include <err.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "guest_map.h"

static bool overlap(uint64_t a, uint64_t a_size, uint64_t b, uint64_t b_size)
{
	return a < b + b_size && b < a + a_size;
}

static enum fpr_status check_range(const struct guest_map *map, const char *option,
				   const struct guest_range *range)
{
	const struct guest_range *other;

	if (!range->size || range->size > UINT64_MAX - range->gpa ||
	    range->size > UINT64_MAX - range->place) {
		warnx("%s: 0x%llx bytes at 0x%llx: a range has at least one page and ends below 2^64",
		      option, (unsigned long long)range->size, (unsigned long long)range->gpa);
		return FPR_USAGE;
	}
	for (other = map->range; other < map->range + map->nr; other++) {
		if (overlap(range->gpa, range->size, other->gpa, other->size) ||
		    overlap(range->place, range->size, other->place, other->size)) {
			warnx("%s: the ranges at 0x%llx and 0x%llx overlap: each page has one place",
			      option, (unsigned long long)other->gpa, (unsigned long long)range->gpa);
			return FPR_USAGE;
		}
	}
	return FPR_OK;
}

/* The number that a word of the form stands for. */
static uint64_t *number_of(struct guest_range *range, const char *word)
{
	if (!strncmp(word, "GPA", 3))
		return &range->gpa;
	return !strncmp(word, "SIZE", 4) ? &range->size : &range->place;
}

/* Cuts up @text, which is of the form @form. */
static enum fpr_status parse_range(struct guest_range *range, const char *option,
				   const char *form, char *text)
{
	enum fpr_status status = FPR_OK;
	const char *word, *part;
	bool has_place = false;

	for (word = form; !status && *word; word += strcspn(word, ":")) {
		word += *word == ':';
		part = strsep(&text, ":");
		if (!part || !*part)
			break;
		has_place |= number_of(range, word) == &range->place;
		status = cli_bytes(option, part, number_of(range, word));
	}
	if (!status && (*word || text)) {
		warnx("%s: give %s for each range", option, form);
		status = FPR_USAGE;
	}
	if (!has_place)
		range->place = range->gpa;
	return status;
}

static void find_span(struct guest_map *map)
{
	const struct guest_range *range;
	uint64_t end = 0;

	map->gpa = UINT64_MAX;
	for (range = map->range; range < map->range + map->nr; range++) {
		if (range->gpa < map->gpa)
			map->gpa = range->gpa;
		if (range->gpa + range->size > end)
			end = range->gpa + range->size;
	}
	map->size = end - map->gpa;
}

enum fpr_status guest_map_parse(struct guest_map *map, const char *option, const char *form,
				const char *text)
{
	enum fpr_status status = FPR_OK;
	char *copy = strdup(text);
	char *rest = copy, *part;

	if (!copy)
		err(FPR_ERROR, "%s", option);
	map->nr = 0;
	while (!status && (part = strsep(&rest, ","))) {
		struct guest_range range = { 0 };

		if (map->nr == GUEST_MAP_MAX) {
			warnx("%s: more than %d ranges", option, GUEST_MAP_MAX);
			status = FPR_USAGE;
			break;
		}
		status = parse_range(&range, option, form, part);
		if (!status)
			status = check_range(map, option, &range);
		if (!status)
			map->range[map->nr++] = range;
	}
	free(copy);
	if (!status)
		find_span(map);
	return status;
}

/* One line of /proc/PID/smaps that begins the description of an area. */
struct area {
	uint64_t start;
	uint64_t end;
	bool anonymous;		/* private, and of no file */
};

/* Whether @line begins an area: all other lines begin with a word and a colon. */
static bool parse_area(const char *line, struct area *area)
{
	unsigned long long start, end, inode;
	char access[5];
	int path = 0;

	if (sscanf(line, "%llx-%llx %4s %*x %*x:%*x %llu %n", &start, &end, access, &inode,
		   &path) != 4 || !path)
		return false;
	*area = (struct area) {
		.start = start,
		.end = end,
		.anonymous = access[3] == 'p' && !inode &&
			     (!line[path] || !strncmp(line + path, "[heap]", 6) ||
			      !strncmp(line + path, "[anon:", 6)),
	};
	return true;
}

/* Whether a userfaultfd serves missing pages: these are not zero, but come from elsewhere. */
static bool is_served(const char *flags)
{
	return strstr(flags, " um") || strstr(flags, " ui");
}

static uint64_t common_size(const struct guest_range *range, const struct area *area)
{
	uint64_t start = range->place > area->start ? range->place : area->start;
	uint64_t range_end = range->place + range->size;
	uint64_t end = range_end < area->end ? range_end : area->end;

	return start < end ? end - start : 0;
}

static enum fpr_status refuse(const struct area *area, const char *why)
{
	warnx("--map: 0x%llx to 0x%llx is %s: what pagemap does not show may be there all the same",
	      (unsigned long long)area->start, (unsigned long long)area->end, why);
	return FPR_ERROR;
}

static bool is_used(const struct guest_map *map, const struct area *area)
{
	size_t i;

	for (i = 0; i < map->nr; i++) {
		if (common_size(&map->range[i], area))
			return true;
	}
	return false;
}

/* Reads all areas; @covered: out: bytes of each range that are mapped. */
static enum fpr_status check_areas(const struct guest_map *map, FILE *f, uint64_t *covered)
{
	struct area area = { 0 };
	char line[8192];
	size_t i;

	while (fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = '\0';
		if (parse_area(line, &area)) {
			if (is_used(map, &area) && !area.anonymous)
				return refuse(&area, "not private anonymous memory");
			for (i = 0; i < map->nr; i++)
				covered[i] += common_size(&map->range[i], &area);
		} else if (!strncmp(line, "VmFlags:", 8) && is_served(line) &&
			   is_used(map, &area)) {
			return refuse(&area, "served by a userfaultfd");
		}
	}
	return FPR_OK;
}

enum fpr_status guest_map_check(const struct guest_map *map, pid_t pid)
{
	uint64_t covered[GUEST_MAP_MAX] = { 0 };
	enum fpr_status status;
	char path[64];
	size_t i;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/smaps", pid);
	f = fopen(path, "re");
	if (!f) {
		warn("%s", path);
		return FPR_ERROR;
	}
	status = check_areas(map, f, covered);
	if (!status && ferror(f)) {
		warn("%s", path);
		status = FPR_ERROR;
	}
	fclose(f);
	for (i = 0; !status && i < map->nr; i++) {
		if (covered[i] != map->range[i].size) {
			warnx("--map: the process has no memory in all of 0x%llx bytes at 0x%llx: see %s",
			      (unsigned long long)map->range[i].size,
			      (unsigned long long)map->range[i].place, path);
			status = FPR_ERROR;
		}
	}
	return status;
}
