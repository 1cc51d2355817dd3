/* SPDX-License-Identifier: GPL-2.0-or-later */
/* lguest's convention: its entries. */
#include <hyperport/lguest.h>

#include "call.h"

CALL_TABLE(lguest, "int $0x1F");
