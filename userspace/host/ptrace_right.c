// SPDX-License-Identifier: GPL-2.0-only
/* The right to look at other processes, which the kernel ties to that of ptrace(). */
#include <linux/capability.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "ptrace_right.h"

#define YAMA_SCOPE	"/proc/sys/kernel/yama/ptrace_scope"

/* Where that cannot be known, it is taken to be there. */
static bool has_cap_sys_ptrace(void)
{
	FILE *f = fopen("/proc/self/status", "re");
	unsigned long long caps = UINT64_MAX;
	char line[256];

	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "CapEff: %llx", &caps) == 1)
			break;
	}
	if (f)
		fclose(f);
	return caps >> CAP_SYS_PTRACE & 1;
}

/* As kernel.yama.ptrace_scope is; 0 without Yama. */
static int yama_scope(void)
{
	FILE *f = fopen(YAMA_SCOPE, "re");
	int scope = 0;

	if (!f)
		return 0;
	if (fscanf(f, "%d", &scope) != 1)
		scope = 0;
	fclose(f);
	return scope;
}

const char *ptrace_right_missing(bool attach)
{
	int scope = attach ? yama_scope() : 0;
	static char text[256];

	if (scope == 3)
		return "Yama lets nobody until the next boot (kernel.yama.ptrace_scope is 3): give fd:FD, a descriptor that the VMM passed on";
	if (has_cap_sys_ptrace())
		return "the process is in another user namespace, or a security module such as SELinux forbids it: run as root in the initial user namespace";
	snprintf(text, sizeof(text),
		 "it takes CAP_SYS_PTRACE%s: run as root, in a container one that has this capability",
		 scope ? ", as kernel.yama.ptrace_scope is set" : " or to be the process's user");
	return text;
}
