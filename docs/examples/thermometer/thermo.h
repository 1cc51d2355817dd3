/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef THERMO_H
#define THERMO_H

enum thermo_result {
    THERMO_OK,
    THERMO_NO_CARD,
    THERMO_STUCK, /* it does not get ready */
};

/* Waits for a conversion; *celsius is changed only where the result is THERMO_OK. */
enum thermo_result thermo_read(int *celsius);

#endif
