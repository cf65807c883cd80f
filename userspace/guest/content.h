/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef FPRCTL_CONTENT_H
#define FPRCTL_CONTENT_H

#include <stdbool.h>

/**
 * content_matters - whether this kernel may rely on what free pages hold
 *
 * For sources that do not know it themselves.  Says so; what can not be found out
 * counts as yes.
 */
bool content_matters(void);

#endif
