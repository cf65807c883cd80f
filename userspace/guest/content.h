/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef FPRCTL_CONTENT_H
#define FPRCTL_CONTENT_H

#include <stdbool.h>

/**
 * content_matters - whether this kernel may rely on what free pages hold
 *
 * For sources that do not know it themselves.  Says so; what cannot be found out
 * counts as yes.
 */
bool content_matters(void);

/**
 * content_is_promised - whether a balloon has a feature that nobody has looked at
 *
 * With one of them the guest may take pages for zeroed that its host has dropped: that has
 * been proposed.  For all sources, for the module does not see a device's features.  Says so.
 */
bool content_is_promised(void);

#endif
