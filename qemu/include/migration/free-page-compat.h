/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What QEMU 10.0 names otherwise than the newer versions that the free page
 * filter is built for.  Our code has the newer names.
 */

#ifndef MIGRATION_FREE_PAGE_COMPAT_H
#define MIGRATION_FREE_PAGE_COMPAT_H

#include "chardev/char-fe.h"

#if QEMU_VERSION_MAJOR == 10 && QEMU_VERSION_MINOR == 0

#include "exec/address-spaces.h"
#include "exec/memory.h"
#include "exec/ramblock.h"
#include "qemu/accel.h"

typedef struct CharBackend CharFrontend;

/* What TypeInfo's class_init is passed, a pointer to const since */
typedef void FreePageClassData;

#else

#include "accel/accel-ops.h"
#include "system/address-spaces.h"
#include "system/memory.h"
#include "system/ramblock.h"

typedef const void FreePageClassData;

#endif

#endif
