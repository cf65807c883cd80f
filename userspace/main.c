// SPDX-License-Identifier: GPL-2.0-only
/* fprctl - the free page filter of KVM's dirty log from the command line */
#include <err.h>
#include <stdio.h>

#include "cli.h"
#include "verbs.h"

int main(int argc, char **argv)
{
	enum fpr_status status = cli_main(fprctl_verbs, fprctl_about, argc, argv);

	if (fflush(stdout) || ferror(stdout)) {
		warn("stdout");
		if (!status)
			status = FPR_ERROR;
	}
	return status;
}
