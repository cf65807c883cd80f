/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Why a kernel may need what its free pages hold: the one list, which the module and
 * fprctl compile.
 *
 * "Free" must mean that the content does not matter.  A kernel that checks what a free page
 * holds, or hands it out as zeroed because it was zeroed while it was free, loses data when
 * a host leaves that page out.  The list was compared with the sources of 6.1 (6.1.192),
 * 6.12 (6.12.117) and 7.3 (7.3.4):
 *
 *  - free_pages_prepare() and post_alloc_hook() are all that is done to a page on its way
 *    to the free lists and back.  The static keys below decide there; KASAN, KMSAN, page
 *    owner, page table check and allocation profiling keep what they know somewhere else.
 *  - Hibernation clears or poisons free pages by the same keys.
 *  - Page reporting and the balloon: the host may have dropped a reported page, but nobody
 *    expects it to be zeroed, unless by the same keys.  Upstream has proposals that do.
 *  - HugeTLB pages of the pool, pages that are not accepted yet, and pages of a zone's
 *    trylock_free_pages are in no list that is read here.
 *
 * scripts/tests/guest_content_test compares the functions with the list that is kept there,
 * for each kernel whose source is at hand.  A newer kernel is recognised by its names:
 * see Kbuild, and content_is_looked_at() of fprctl.
 *
 * It is included where the list is to stand, with CONTENT_REASON() as it is wanted there:
 *
 * @parameter: of the kernel's command line, by which it is switched on or off
 * @config: what makes it the default, "" where nothing does
 * @is_on: an expression of the kernel
 * @why: what the kernel does then
 */
/* The newest kernel that the list was compared with. */
#define CONTENT_LOOKED_AT_MAJOR	7
#define CONTENT_LOOKED_AT_MINOR	3

/* The features of virtio-balloon that were looked at are those below this one. */
#define CONTENT_BALLOON_FEATURES	6

CONTENT_REASON("init_on_free", "CONFIG_INIT_ON_FREE_DEFAULT_ON",
	       want_init_on_free(), "pages are zeroed when they are freed"),
CONTENT_REASON("page_poison", "",
	       page_poisoning_enabled_static(), "free pages hold a pattern"),
CONTENT_REASON("debug_pagealloc", "CONFIG_DEBUG_PAGEALLOC_ENABLE_DEFAULT",
	       debug_pagealloc_enabled_static(), "free pages are watched"),
