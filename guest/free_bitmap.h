/* SPDX-License-Identifier: GPL-2.0-only */
/* Which pages are free, as the allocator's lists say. */
#ifndef FPR_GUEST_FREE_BITMAP_H
#define FPR_GUEST_FREE_BITMAP_H

/**
 * struct free_window - part of the bitmap of free pages
 * @first: the first page, a multiple of 64
 * @end: behind the last page
 * @bits: bit n is page @first + n
 */
struct free_window {
	unsigned long first;
	unsigned long end;
	unsigned long *bits;
};

/* free_bitmap_end - behind the last page that any zone has */
unsigned long free_bitmap_end(void);

/**
 * free_bitmap_fill - set the bits of pages that are free
 * @window: its bits are clear
 *
 * Each page whose bit is set was in a free list at some instant during the call,
 * as seen under the lock of that list.
 *
 * Return: 0, -EINTR for a fatal signal, or -EIO where the lists are not what this
 * code takes them for; the window is of no use then.
 */
int free_bitmap_fill(struct free_window *window);

int free_bitmap_init(void);
void free_bitmap_exit(void);

#endif
