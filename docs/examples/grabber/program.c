/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What runs the driver in the guest: a picture, a mark on it, and the picture again. Ends: the number of failures. */
#include <hyperport/start.h>

#include "grabber.h"
#include "guest.h"

static unsigned char picture[GRABBER_WIDTH * GRABBER_HEIGHT];

static int show(void)
{
    unsigned sum = 0;

    if (grabber_frame(picture) < 0) {
        print("no picture\n");
        return 1;
    }
    for (unsigned at = 0; at < sizeof picture; at++)
        sum = sum * 31 + picture[at];
    print("picture %x\n", sum);
    return 0;
}

int main(const char *command_line)
{
    struct hyperport_io_config config = {.backend = HYPERPORT_AUTO}; /* by hypercalls, where the machine offers them */
    int failures;

    (void)command_line;
    hyperport_io_init(&config);
    failures = show();
    grabber_mark(2, 1, 0xEE);
    return failures + show();
}
