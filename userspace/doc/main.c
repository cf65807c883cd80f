// SPDX-License-Identifier: GPL-2.0-only
/*
 * fprctl-doc - what fprctl's verb table says, as manual pages and for bash
 *
 * Usage: fprctl-doc man DIR
 *	  fprctl-doc completion
 */
#include <err.h>
#include <stdio.h>
#include <string.h>

#include "doc.h"
#include "../status.h"

int main(int argc, char **argv)
{
	if (argc == 3 && !strcmp(argv[1], "man"))
		doc_write_pages(argv[2]);
	else if (argc == 2 && !strcmp(argv[1], "completion"))
		doc_print_completion();
	else
		errx(FPR_USAGE, "give man DIR or completion");
	if (fflush(stdout))
		err(FPR_ERROR, "stdout");
	return 0;
}
