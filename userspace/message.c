// SPDX-License-Identifier: GPL-2.0-only
/* What is said on stderr: the functions of <err.h>, with what a terminal would obey escaped. */
#include <err.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "message.h"

static bool say_once;
static char *last_line;
static unsigned int left_out;

/* The length of the character at @s if it is UTF-8 that a terminal shows, else 0. */
static size_t shown_length(const unsigned char *s)
{
	size_t i, len;

	if (s[0] >= ' ' && s[0] <= '~')
		return 1;
	if (s[0] >= 0xc2 && s[0] <= 0xdf)
		len = 2;
	else if (s[0] >= 0xe0 && s[0] <= 0xef)
		len = 3;
	else if (s[0] >= 0xf0 && s[0] <= 0xf4)
		len = 4;
	else
		return 0;
	for (i = 1; i < len; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	}
	/* U+0080 to U+009f are controls. */
	return s[0] == 0xc2 && s[1] < 0xa0 ? 0 : len;
}

static void put_escaped(FILE *f, const char *text)
{
	const unsigned char *s = (const unsigned char *)text;
	size_t len;

	while (*s) {
		len = shown_length(s);
		if (len) {
			fwrite(s, len, 1, f);
			s += len;
		} else {
			fprintf(f, "\\x%02x", *s++);
		}
	}
}

/* Without memory for it, nothing is said. */
static void say(const char *text, const char *error)
{
	char *line = NULL;
	size_t len;
	FILE *f = open_memstream(&line, &len);

	if (!f)
		return;
	put_escaped(f, program_invocation_short_name);
	fputs(": ", f);
	put_escaped(f, text);
	if (error)
		fprintf(f, ": %s", error);
	fputc('\n', f);
	fclose(f);
	if (say_once && last_line && !strcmp(last_line, line)) {
		left_out++;
		free(line);
		return;
	}
	fputs(line, stderr);
	free(last_line);
	last_line = line;
}

static void vsay(const char *format, va_list args, const char *error)
{
	char *text = NULL;

	if (vasprintf(&text, format, args) < 0)
		return;
	say(text, error);
	free(text);
}

void message_say_once(bool once)
{
	say_once = once;
}

unsigned int message_left_out(void)
{
	unsigned int nr = left_out;

	left_out = 0;
	free(last_line);
	last_line = NULL;
	return nr;
}

/* All that glibc has in one file, so that its own are not linked besides. */

void vwarn(const char *format, va_list args)
{
	int error = errno;

	vsay(format, args, strerror(error));
	errno = error;
}

void vwarnx(const char *format, va_list args)
{
	int error = errno;

	vsay(format, args, NULL);
	errno = error;
}

void verr(int status, const char *format, va_list args)
{
	vwarn(format, args);
	exit(status);
}

void verrx(int status, const char *format, va_list args)
{
	vwarnx(format, args);
	exit(status);
}

void warn(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vwarn(format, args);
	va_end(args);
}

void warnx(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vwarnx(format, args);
	va_end(args);
}

void err(int status, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vwarn(format, args);
	va_end(args);
	exit(status);
}

void errx(int status, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vwarnx(format, args);
	va_end(args);
	exit(status);
}
