// SPDX-License-Identifier: GPL-2.0-only
/*
 * /dev/fpr_guest: the free pages of this machine, for the host that migrates it
 *
 * Its content at offset n is the bitmap of the pages 8n, 8n + 1, ..., in 64-bit
 * little-endian words, worked out while it is read.  A page whose bit is set was free
 * at some instant after the read began.  Nothing is held: it may be in use again.
 *
 * It tells which physical pages are in use, so it is for root alone.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/capability.h>
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/uio.h>

#include "free_bitmap.h"

#define WORD_BYTES	sizeof(u64)

/*
 * The most that one read returns: 128 GiB of memory.  Each read goes through the lists of
 * all CPUs once, so that few large reads cost less than many small ones.
 */
#define MAX_READ	(4UL << 20)

#define CONTENT_REASON(parameter, config, is_on, why)	{ parameter, config, is_on, why }

/* Whether this kernel needs what free pages hold; if so, the log gets a line that says why. */
static bool content_matters(void)
{
	const struct {
		const char *parameter;
		const char *config;
		bool is_on;
		const char *why;
	} reasons[] = {
		/* The name that Kbuild found in this kernel's headers. */
#ifdef FPR_SAYS_ZEROED
		{ FPR_SAYS_ZEROED, "", true, "this kernel may take free pages for zeroed" },
#endif
#include "content_reasons.h"
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(reasons); i++) {
		if (!reasons[i].is_on)
			continue;
		pr_warn_ratelimited("free pages are not reported with %s: %s\n",
				    reasons[i].parameter, reasons[i].why);
		return true;
	}
	return false;
}

static int fpr_guest_open(struct inode *inode, struct file *file)
{
	if (!capable(CAP_SYS_ADMIN))
		return -EPERM;
	return content_matters() ? -EOPNOTSUPP : 0;
}

static loff_t device_size(void)
{
	return (loff_t)DIV_ROUND_UP(free_bitmap_end(), BITS_PER_TYPE(u64)) * WORD_BYTES;
}

static loff_t fpr_guest_llseek(struct file *file, loff_t offset, int whence)
{
	return fixed_size_llseek(file, offset, whence, device_size());
}

static ssize_t read_window(loff_t pos, size_t len, struct iov_iter *to)
{
	struct free_window window = {
		.first = pos * BITS_PER_BYTE,
		.end = (pos + len) * BITS_PER_BYTE,
	};
	ssize_t r;

	window.bits = kvzalloc(len, GFP_KERNEL_ACCOUNT);
	if (!window.bits)
		return -ENOMEM;
	r = free_bitmap_fill(&window);
	if (!r)
		r = copy_to_iter(window.bits, len, to) == len ? len : -EFAULT;
	kvfree(window.bits);
	return r;
}

static ssize_t fpr_guest_read(struct kiocb *iocb, struct iov_iter *to)
{
	size_t len = min(iov_iter_count(to), MAX_READ);
	loff_t size = device_size();
	ssize_t r;

	if (!IS_ALIGNED(iocb->ki_pos, WORD_BYTES) || !IS_ALIGNED(len, WORD_BYTES))
		return -EINVAL;
	if (!len || iocb->ki_pos >= size)
		return 0;

	len = min_t(loff_t, len, size - iocb->ki_pos);
	r = read_window(iocb->ki_pos, len, to);
	if (r > 0)
		iocb->ki_pos += r;
	return r;
}

static const struct file_operations fpr_guest_fops = {
	.owner = THIS_MODULE,
	.open = fpr_guest_open,
	.llseek = fpr_guest_llseek,
	.read_iter = fpr_guest_read,
};

static struct miscdevice fpr_guest_device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "fpr_guest",
	.fops = &fpr_guest_fops,
	.mode = 0400,
};

static int __init fpr_guest_init(void)
{
	int r;

	/* Words are copied as they are. */
	BUILD_BUG_ON(IS_ENABLED(CONFIG_CPU_BIG_ENDIAN));

	r = free_bitmap_init();
	if (r)
		return r;
	r = misc_register(&fpr_guest_device);
	if (r)
		free_bitmap_exit();
	return r;
}

static void __exit fpr_guest_exit(void)
{
	misc_deregister(&fpr_guest_device);
	free_bitmap_exit();
}

module_init(fpr_guest_init);
module_exit(fpr_guest_exit);

MODULE_DESCRIPTION("Bitmap of free pages, for the host");
MODULE_LICENSE("GPL");
