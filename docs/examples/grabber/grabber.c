/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The driver under test: registers by inb and outb, the picture by loads and stores through a volatile pointer. */
#include <hyperport/io.h>

#include "grabber.h"

#define GRABBER 0x340
enum {
    GRABBER_CONTROL = GRABBER + 0,
    GRABBER_STATUS = GRABBER + 1, /* read */
};
#define CONTROL_GRAB 0x01 /* starts */
#define CONTROL_SHOW 0x02 /* the window is there while this is set */
#define STATUS_DONE 0x01
#define WINDOW ((volatile uint32_t *)0xD8000)
#define WINDOW_SIGN 0x42524746u /* behind the picture, "FGRB": the window is there */
#define FRAME_WORDS (GRABBER_WIDTH * GRABBER_HEIGHT / 4)
#define POLLS 1000

static int wait_done(void)
{
    for (unsigned poll = 0; poll < POLLS; poll++)
        if (inb(GRABBER_STATUS) & STATUS_DONE)
            return 0;
    return -1;
}

int grabber_frame(unsigned char *pixels)
{
    int result = -1;

    outb(CONTROL_GRAB, GRABBER_CONTROL);
    if (wait_done() < 0)
        return -1;
    outb(CONTROL_SHOW, GRABBER_CONTROL);
    if (WINDOW[FRAME_WORDS] == WINDOW_SIGN) {
        for (unsigned at = 0; at < FRAME_WORDS; at++) {
            uint32_t four = WINDOW[at];
            for (unsigned i = 0; i < 4; i++)
                *pixels++ = (unsigned char)(four >> 8 * i);
        }
        result = 0;
    }
    outb(0, GRABBER_CONTROL);
    return result;
}

void grabber_mark(unsigned column, unsigned row, unsigned char pixel)
{
    outb(CONTROL_SHOW, GRABBER_CONTROL);
    WINDOW[row * (GRABBER_WIDTH / 4) + column] = pixel * 0x01010101u;
    outb(0, GRABBER_CONTROL);
}
