/* SPDX-License-Identifier: GPL-2.0-only */
/* What differs between the kernels that this module is built for. */
#ifndef FPR_GUEST_COMPAT_H
#define FPR_GUEST_COMPAT_H

#include <linux/mmzone.h>
#include <linux/spinlock.h>
#include <linux/version.h>

/* The order of the largest free block; before 6.4 MAX_ORDER was one above it. */
#ifndef MAX_PAGE_ORDER
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 4, 0)
#define MAX_PAGE_ORDER	MAX_ORDER
#else
#define MAX_PAGE_ORDER	(MAX_ORDER - 1)
#endif
#endif

/*
 * Interrupts try the lock of their CPU's lists and do without the lists if they
 * don't get it.  Before 6.2 some waited for it, and on one CPU without PREEMPT_RT
 * trying always succeeds: there, they must be off.  This is what the kernel itself
 * does to drain the lists.
 */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 2, 0) && \
	(defined(CONFIG_SMP) || defined(CONFIG_PREEMPT_RT))
static inline void pcp_lock(struct per_cpu_pages *pcp, unsigned long *flags)
	__acquires(&pcp->lock)
{
	*flags = 0;
	spin_lock(&pcp->lock);
}

static inline void pcp_unlock(struct per_cpu_pages *pcp, unsigned long flags)
	__releases(&pcp->lock)
{
	spin_unlock(&pcp->lock);
}
#else
static inline void pcp_lock(struct per_cpu_pages *pcp, unsigned long *flags)
	__acquires(&pcp->lock)
{
	spin_lock_irqsave(&pcp->lock, *flags);
}

static inline void pcp_unlock(struct per_cpu_pages *pcp, unsigned long flags)
	__releases(&pcp->lock)
{
	spin_unlock_irqrestore(&pcp->lock, flags);
}
#endif

#endif
