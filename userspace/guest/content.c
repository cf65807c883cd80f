// SPDX-License-Identifier: GPL-2.0-only
/* Whether this kernel relies on what free pages hold, as far as programs can see. */
#include <dirent.h>
#include <err.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>
#include <zlib.h>

#include "content.h"
#include "uevents.h"

#define VIRTIO_DEVICES	"/sys/bus/virtio/devices"
#define BALLOON_ID	0x5

/* The feature bits 24 to 49 are the transport's; all others are the device's. */
#define TRANSPORT_FIRST	24
#define TRANSPORT_END	50

/* Parameters of the kernel, and the option that makes each the default, or "". */
static const struct {
	const char *name;
	const char *config;
	const char *is_on;	/* as the kernel writes it */
	const char *why;
} features[] = {
#define CONTENT_REASON(parameter, config, is_on, why)	{ parameter, config, #is_on, why }
#include "../../guest/content_reasons.h"
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
		if (!strncmp(line, want, len) && !strcmp(line + len, "=y\n"))
			return true;
	}
	return false;
}

/* Return: 1, 0, or -1 where the kernel does not show its configuration. */
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
		on = features[i].config[0] ? is_on_by_default(features[i].config) : 0;
	}
	if (on > 0)
		warnx("this kernel needs the content of free pages: boot with %s=0",
		      features[i].name);
	if (on < 0)
		warnx("cannot know whether this kernel uses %s: use --source device, or boot with %s=0",
		      features[i].name, features[i].name);
	return !on;
}

/* A newer kernel may have reasons that nobody has looked for. */
static bool content_is_looked_at(void)
{
	unsigned int major, minor;
	struct utsname uts;

	if (uname(&uts) || sscanf(uts.release, "%u.%u", &major, &minor) != 2) {
		warnx("cannot know which kernel this is: use --source device");
		return false;
	}
	if (major < CONTENT_LOOKED_AT_MAJOR ||
	    (major == CONTENT_LOOKED_AT_MAJOR && minor <= CONTENT_LOOKED_AT_MINOR))
		return true;
	warnx("cannot know whether Linux %u.%u needs the content of free pages: use --source device",
	      major, minor);
	return false;
}

bool content_matters(void)
{
	char cmdline[8192];
	size_t i;

	if (!content_is_looked_at())
		return true;
	if (!read_cmdline(cmdline, sizeof(cmdline))) {
		warnx("cannot read /proc/cmdline: use --source device");
		return true;
	}
	for (i = 0; i < NR_FEATURES; i++) {
		if (!feature_is_off(i, cmdline))
			return true;
	}
	return false;
}

/* One attribute of a device.  Return: whether it could be read; if not, @text is "". */
static bool read_attribute(char *text, size_t size, int devices, const char *device,
			   const char *name)
{
	char path[NAME_MAX + sizeof("/features")];
	ssize_t len = -1;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", device, name);
	fd = openat(devices, path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		len = read(fd, text, size - 1);
		close(fd);
	}
	text[len > 0 ? len : 0] = '\0';
	return len > 0;
}

/* Also true if nobody can tell. */
static bool may_be_balloon(int devices, const char *device)
{
	char id[32];

	return !read_attribute(id, sizeof(id), devices, device, "device") ||
	       strtoul(id, NULL, 16) == BALLOON_ID;
}

/* Whether the driver uses what nobody has looked at; sysfs shows one digit a feature. */
static bool has_unknown_feature(int devices, const char *balloon)
{
	char bits[256];
	unsigned int i;

	read_attribute(bits, sizeof(bits), devices, balloon, "features");
	for (i = 0; bits[i]; i++) {
		if (bits[i] != '1' || i < CONTENT_BALLOON_FEATURES ||
		    (i >= TRANSPORT_FIRST && i < TRANSPORT_END))
			continue;
		warnx("the balloon %s has feature %u, by which free pages may be taken for zeroed: use a newer fprctl",
		      balloon, i);
		return true;
	}
	return false;
}

/*
 * Without the buffers of opendir() and fopen(), which would be pages that the guest writes.
 *
 * @none: out: it is certain that there is no balloon
 */
static bool look_at_balloons(bool *none)
{
	_Alignas(struct dirent64) char entries[512];
	const struct dirent64 *entry;
	bool found = false;
	ssize_t len = 0, at;
	int devices;

	*none = false;
	devices = open(VIRTIO_DEVICES, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (devices < 0)
		return false;	/* no virtio, or no sysfs: then no port of it either */
	*none = true;
	while (!found && (len = getdents64(devices, entries, sizeof(entries))) > 0) {
		for (at = 0; at < len && !found; at += entry->d_reclen) {
			entry = (const struct dirent64 *)(entries + at);
			if (entry->d_name[0] == '.' || !may_be_balloon(devices, entry->d_name))
				continue;
			*none = false;
			found = has_unknown_feature(devices, entry->d_name);
		}
	}
	if (len < 0)
		*none = false;
	close(devices);
	return found;
}

/*
 * Asked before each report.  Whoever looks at files writes to the kernel's objects for them, which are in the guest's
 * next snapshot then.  So they are not looked at where there was no balloon and the kernel has not told of
 * any device since: it tells of a new one before a driver can have it, and with it a feature.
 */
bool content_is_promised(void)
{
	static bool none;

	if (!uevents_came() && none)
		return false;
	return look_at_balloons(&none);
}
