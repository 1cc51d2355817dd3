/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What runs the driver in the guest: samples all channels, one line each. Ends: the number of failures. */
#include <hyperport/start.h>

#include "adc.h"
#include "guest.h"

int main(const char *command_line)
{
    struct hyperport_io_config config = {.backend = HYPERPORT_AUTO}; /* by hypercalls, where the machine offers them */
    int failures = 0;

    (void)command_line;
    hyperport_io_init(&config);
    for (unsigned channel = 0; channel < ADC_CHANNELS; channel++) {
        int sample = adc_sample(channel);
        failures += sample < 0;
        if (sample < 0)
            print("channel %u: no answer\n", channel);
        else
            print("channel %u: %u\n", channel, (unsigned)sample);
    }
    return failures;
}
