// SPDX-License-Identifier: GPL-2.0-only
/* Whether this kernel relies on what free pages hold, as far as programs can see. */
#include <err.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <zlib.h>

#include "content.h"

/* Parameters of the kernel, and what makes them the default. */
static const struct {
	const char *name;
	const char *config;	/* NULL: off unless asked for */
} features[] = {
	{ "init_on_free", "CONFIG_INIT_ON_FREE_DEFAULT_ON=y" },
	{ "debug_pagealloc", "CONFIG_DEBUG_PAGEALLOC_ENABLE_DEFAULT=y" },
	{ "page_poison", NULL },
};

#define NR_FEATURES	(sizeof(features) / sizeof(features[0]))

enum setting { UNSET, OFF, ON };

/* What the kernel takes for "no"; anything else counts as on. */
static bool is_off(const char *value)
{
	return strchr("0nNfF", value[0]) || !strncasecmp(value, "of", 2);
}

/* The kernel reads its parameters up to "--", and the last one wins. */
static enum setting setting_of(const char *name, char *cmdline)
{
	enum setting setting = UNSET;
	size_t len = strlen(name);
	char *word, *rest;

	for (word = strtok_r(cmdline, " \n", &rest); word; word = strtok_r(NULL, " \n", &rest)) {
		if (!strcmp(word, "--"))
			break;
		if (!strncmp(word, name, len) && word[len] == '=')
			setting = word[len + 1] && is_off(word + len + 1) ? OFF : ON;
		else if (!strcmp(word, name))
			setting = ON;
	}
	return setting;
}

static bool read_cmdline(char *text, size_t size)
{
	FILE *f = fopen("/proc/cmdline", "re");
	size_t len = f ? fread(text, 1, size - 1, f) : 0;

	if (f)
		fclose(f);
	text[len] = '\0';
	return len && len < size - 1;
}

/* The configuration that the kernel was built with; gzopen() reads both kinds. */
static gzFile open_config(void)
{
	struct utsname uts;
	char path[sizeof(uts.release) + 16];
	gzFile f = gzopen("/proc/config.gz", "re");

	if (f || uname(&uts))
		return f;
	snprintf(path, sizeof(path), "/boot/config-%s", uts.release);
	return gzopen(path, "re");
}

static bool config_has(gzFile f, const char *want)
{
	size_t len = strlen(want);
	char line[512];

	gzrewind(f);
	while (gzgets(f, line, sizeof(line))) {
		if (!strncmp(line, want, len) && line[len] == '\n')
			return true;
	}
	return false;
}

/* -1: can not be known. */
static int is_on_by_default(const char *config)
{
	gzFile f = open_config();
	int found;

	if (!f)
		return -1;
	found = config_has(f, config);
	gzclose(f);
	return found;
}

static bool feature_is_off(size_t i, const char *cmdline)
{
	char words[8192];
	int on;

	snprintf(words, sizeof(words), "%s", cmdline);
	switch (setting_of(features[i].name, words)) {
	case ON:
		on = 1;
		break;
	case OFF:
		return true;
	default:
		on = features[i].config ? is_on_by_default(features[i].config) : 0;
	}
	if (on > 0)
		warnx("this kernel needs the content of free pages: boot with %s=0",
		      features[i].name);
	if (on < 0)
		warnx("can not know whether this kernel uses %s: use --source device, or boot with %s=0",
		      features[i].name, features[i].name);
	return !on;
}

bool content_matters(void)
{
	char cmdline[8192];
	size_t i;

	if (!read_cmdline(cmdline, sizeof(cmdline))) {
		warnx("can not read /proc/cmdline: use --source device");
		return true;
	}
	for (i = 0; i < NR_FEATURES; i++) {
		if (!feature_is_off(i, cmdline))
			return true;
	}
	return false;
}
