// SPDX-License-Identifier: GPL-2.0-only
/* fprctl - the free page filter of KVM's dirty log from the command line */
#include <err.h>
#include <stdio.h>

#include "cli.h"
#include "verbs.h"

const struct cli_verb * const fprctl_verbs[] = {
	&probe_verb,
	&list_verb,
	&stats_verb,
	&arm_verb,
	&set_bitmap_verb,
	&disarm_verb,
	&filter_verb,
	&ping_verb,
	&report_verb,
	&bitmap_info_verb,
	&bitmap_convert_verb,
	&bitmap_diff_verb,
	&bitmap_and_verb,
	&bitmap_andnot_verb,
	&bitmap_or_verb,
	&punch_verb,
	NULL,
};

const char fprctl_about[] =
"Takes pages that the guest reported free out of KVM's dirty log, by the free\n"
"page filter (FPR). Linux's free page reporting is something else: it gives\n"
"memory back to the host.\n";

const char fprctl_examples[] =
"  fprctl probe\n"
"  fprctl list\n"
"  fprctl filter 4321 --guest unix:/run/vm/report.sock\n"
"  fprctl stats 4321\n";

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
