// SPDX-License-Identifier: GPL-2.0-only
/*
 * Pages that were never populated.
 *
 * A page of private anonymous memory that the VM's process has neither in memory nor in
 * swap reads as zero.  So the content of a page that is found so after ARM does not matter
 * where its reader has a zero page without being sent one; and if it was written since,
 * that write is in T.  What was found before ARM serves only to arm less.
 */
#include <err.h>
#include <stdlib.h>
#include <unistd.h>

#include "bitmap.h"
#include "kvm_debugfs.h"
#include "source_pagemap.h"
#include "vm.h"

/*
 * Refuse a child that inherited the VM: its pagemap shows other memory than the VM's.
 * @thread: out: one that has the memory
 */
static enum fpr_status check_owner(const char *vm, pid_t *thread)
{
	enum fpr_status status;
	struct proc_vms vms;
	pid_t pid;
	int dir;

	status = vm_find(vm, &pid, &vms);
	if (status)
		return status;
	*thread = vms.thread;
	dir = kvm_debugfs_open(pid, &vms);
	proc_vms_release(&vms);
	if (dir < 0)
		return kvm_debugfs_explain(vm);
	close(dir);
	return FPR_OK;
}

enum fpr_status source_pagemap_open(struct source_pagemap *source, const char *vm)
{
	enum fpr_status status;
	pid_t thread;

	source->pagemap.fd = -1;
	status = check_owner(vm, &thread);
	if (!status)
		status = guest_map_check(&source->map, thread);
	if (status)
		return status;
	source->bits = calloc(1, pagemap_bytes(&source->map));
	if (!source->bits) {
		warn("a bitmap");
		return FPR_ERROR;
	}
	return pagemap_open(&source->pagemap, thread, &source->map);
}

void source_pagemap_release(struct source_pagemap *source)
{
	pagemap_close(&source->pagemap);
	free(source->bits);
}

static enum fpr_status read_pages(void *opaque, struct filter_round *round)
{
	struct source_pagemap *source = opaque;

	round->range.gpa = source->map.gpa;
	round->range.size = source->map.size;
	round->range.report = source->bits;
	return pagemap_read(&source->pagemap, source->bits);
}

static enum fpr_status take(void *opaque, const struct filter *filter, struct filter_round *round)
{
	struct source_pagemap *source = opaque;
	const struct bitmap bitmap = {
		.bits = source->bits,
		.len = pagemap_bytes(&source->map),
	};
	enum fpr_status status = read_pages(source, round);

	/* What was read is true only if the process has the same memory there as before. */
	if (!status)
		status = guest_map_check(&source->map, source->pagemap.pid);
	/* And only if it was this process all the time. */
	if (!status)
		status = filter_check(filter);
	if (!status)
		round->nr_reported = bitmap_count(&bitmap);
	return status;
}

const struct filter_source pagemap_source = {
	.candidates = read_pages,
	.take = take,
};
