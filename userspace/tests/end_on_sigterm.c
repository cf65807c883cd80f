// SPDX-License-Identifier: GPL-2.0-only
/*
 * Part of programs built with sanitizers: what runs until it is killed is asked for leaks
 * then, too.
 */
#include <signal.h>
#include <unistd.h>

#include <sanitizer/lsan_interface.h>

static void on_sigterm(int number)
{
	(void)number;
	/* It says what leaked and exits, or returns. The program sleeps when it is signalled. */
	/* NOLINTNEXTLINE(bugprone-signal-handler,cert-sig30-c,cert-msc54-cpp) */
	__lsan_do_leak_check();
	_exit(0);
}

static void __attribute__((constructor)) end_on_sigterm(void)
{
	signal(SIGTERM, on_sigterm);
}
