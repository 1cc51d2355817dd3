/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The driver: starts a conversion, waits until it is over, gives the temperature. */
#include "thermo.h"

#include <hyperport/io.h>

enum {
    STATUS = 0x320, /* write: start a conversion */
    DATA = 0x321,
};
#define STATUS_READY 0x01
#define STATUS_OTHERS 0xFE /* always 0: all ones is a port where no card is */
#define POLLS 100000

enum thermo_result thermo_read(int *celsius)
{
    uint8_t status;

    outb(0, STATUS);
    for (unsigned poll = 0; poll < POLLS; poll++) {
        status = inb(STATUS);
        if (status & STATUS_OTHERS)
            return THERMO_NO_CARD;
        if (status & STATUS_READY) {
            *celsius = (int8_t)inb(DATA);
            return THERMO_OK;
        }
    }
    return THERMO_STUCK;
}
