// SPDX-License-Identifier: GPL-2.0-only
/* In the guest: where the bitmap of its free pages is read. */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/kernel-page-flags.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "content.h"
#include "free_source.h"

#define KPAGEFLAGS	"/proc/kpageflags"
#define WORD		sizeof(uint64_t)

enum fpr_status free_source_choose(struct free_source *source, const char *name,
				   const char *device)
{
	bool kpageflags = name && !strcmp(name, "kpageflags");

	if (name && !kpageflags && strcmp(name, "device")) {
		warnx("--source %s: give device or kpageflags", name);
		return FPR_USAGE;
	}
	if (kpageflags && device) {
		warnx("--device is for --source device: give one of them");
		return FPR_USAGE;
	}
	if (kpageflags)
		warnx("kpageflags is read without the allocator's lock: a page that is in use may be reported, and lost");
	*source = (struct free_source) {
		.path = kpageflags ? KPAGEFLAGS : device ? device : FREE_SOURCE_DEVICE,
		.kpageflags = kpageflags,
		.fd = -1,
		.page_shift = (uint32_t)__builtin_ctzl((unsigned long)sysconf(_SC_PAGESIZE)),
	};
	return FPR_OK;
}

/* Reads until @len or the end; -1 with errno. */
static ssize_t read_at(int fd, void *buf, size_t len, uint64_t offset)
{
	size_t done = 0;
	ssize_t n;

	while (done < len) {
		n = pread(fd, (char *)buf + done, len - done, (off_t)(offset + done));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		if (!n)
			break;
		done += (size_t)n;
	}
	return (ssize_t)done;
}

static enum fpr_status explain_open(const struct free_source *source,
				    enum wire_refusal *refusal)
{
	*refusal = WIRE_REFUSED_SOURCE;
	if (errno == EOPNOTSUPP) {
		*refusal = WIRE_REFUSED_CONTENT;
		warnx("%s: this kernel needs the content of free pages, its log says why: boot without init_on_free, page_poison and debug_pagealloc",
		      source->path);
	} else if (errno == ENOENT) {
		warnx("%s does not exist: load the module fpr_guest", source->path);
	} else if (errno == EACCES || errno == EPERM) {
		warnx("not permitted to read %s: run as root", source->path);
	} else {
		warn("%s", source->path);
	}
	return FPR_ERROR;
}

static bool has_page(int fd, uint64_t pfn)
{
	uint64_t flags;

	return read_at(fd, &flags, sizeof(flags), pfn * WORD) == sizeof(flags);
}

/* kpageflags has no size; it ends behind the last page. */
static uint64_t count_pages(int fd)
{
	uint64_t low = 0, high = 1, middle;

	while (has_page(fd, high))
		high *= 2;
	while (high - low > 1) {
		middle = low + (high - low) / 2;
		if (has_page(fd, middle))
			low = middle;
		else
			high = middle;
	}
	return high;
}

/* Of a device the size says enough; any file can be given in its place. */
static enum fpr_status check_kind(const struct free_source *source)
{
	uint8_t magic[4];
	struct stat st;

	if (fstat(source->fd, &st)) {
		warn("%s", source->path);
		return FPR_ERROR;
	}
	if (S_ISDIR(st.st_mode)) {
		warnx("%s: a directory: give a device or a file with the bitmap of free pages",
		      source->path);
		return FPR_ERROR;
	}
	/* Its bytes would become page numbers. */
	if (S_ISREG(st.st_mode) && read_at(source->fd, magic, sizeof(magic), 0) == sizeof(magic) &&
	    wire_get(magic, sizeof(magic)) == WIRE_MAGIC_RESPONSE) {
		warnx("%s: a report already: hand it over as it is, or give what fprctl bitmap convert makes of it",
		      source->path);
		return FPR_ERROR;
	}
	return FPR_OK;
}

static enum fpr_status find_size(struct free_source *source)
{
	off_t size;

	if (source->kpageflags) {
		source->bytes = (count_pages(source->fd) + 63) / 64 * WORD;
		return FPR_OK;
	}
	size = lseek(source->fd, 0, SEEK_END);
	if (size < 0) {
		warn("%s: not a device with the bitmap of free pages", source->path);
		return FPR_ERROR;
	}
	if (!size || (uint64_t)size % WORD) {
		warnx("%s: its size, %lld bytes, is not that of a bitmap in 64-bit words",
		      source->path, (long long)size);
		return FPR_ERROR;
	}
	source->bytes = (uint64_t)size;
	return FPR_OK;
}

/* A file with a bitmap is somebody else's word. */
static bool is_this_kernels(const struct free_source *source)
{
	struct stat st;

	return source->fd >= 0 || source->kpageflags ||
	       (!stat(source->path, &st) && S_ISCHR(st.st_mode));
}

static enum fpr_status open_path(struct free_source *source, enum wire_refusal *refusal)
{
	source->fd = open(source->path, O_RDONLY | O_CLOEXEC);
	return source->fd < 0 ? explain_open(source, refusal) : check_kind(source);
}

enum fpr_status free_source_open(struct free_source *source, enum wire_refusal *refusal)
{
	enum fpr_status status = FPR_OK;

	if (is_this_kernels(source) &&
	    (content_is_promised() || (source->kpageflags && content_matters()))) {
		*refusal = WIRE_REFUSED_CONTENT;
		return FPR_ERROR;
	}
	*refusal = WIRE_REFUSED_SOURCE;
	if (source->fd < 0)
		status = open_path(source, refusal);
	if (!status)
		status = find_size(source);
	if (status)
		free_source_close(source);
	return status;
}

void free_source_close(struct free_source *source)
{
	if (source->fd >= 0)
		close(source->fd);
	source->fd = -1;
}

/*
 * The module looks at reasons to refuse when it is opened.  They are parameters of the kernel's and do not
 * change while it runs.  Of a file there may be another one by the next report, and kpageflags is slow anyway.
 */
void free_source_rest(struct free_source *source)
{
	struct stat st;

	if (source->kpageflags || fstat(source->fd, &st) || !S_ISCHR(st.st_mode))
		free_source_close(source);
}

static void add_flags(uint8_t *bits, uint64_t first, const uint64_t *flags, size_t nr)
{
	size_t n;

	for (n = 0; n < nr; n++) {
		if (flags[n] >> KPF_BUDDY & 1)
			bits[(first + n) / 8] |= (uint8_t)(1u << (first + n) % 8);
	}
}

static ssize_t read_kpageflags(int fd, uint8_t *bits, size_t len, uint64_t offset)
{
	uint64_t flags[4096], page, pages = len * 8;
	size_t part;
	ssize_t n;

	memset(bits, 0, len);
	for (page = 0; page < pages; page += part) {
		part = pages - page < 4096 ? pages - page : 4096;
		n = read_at(fd, flags, part * WORD, (offset * 8 + page) * WORD);
		if (n < 0)
			return -1;
		add_flags(bits, page, flags, (size_t)n / WORD);
	}
	return (ssize_t)len;
}

enum fpr_status free_source_read(const struct free_source *source, uint8_t *bits,
				 size_t len, uint64_t offset)
{
	ssize_t n;

	if (source->kpageflags)
		n = read_kpageflags(source->fd, bits, len, offset);
	else
		n = read_at(source->fd, bits, len, offset);
	if (n < 0) {
		warn("%s", source->path);
		return FPR_ERROR;
	}
	memset(bits + n, 0, len - (size_t)n);
	return FPR_OK;
}
