/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The driver under test. It says inb and outb as in a kernel, and does not know what becomes of them. */
#include <hyperport/io.h>

#include "adc.h"

#define ADC 0x310
enum {
    ADC_START = ADC + 0,  /* write: bits 0-2 the channel; starts a conversion */
    ADC_STATUS = ADC + 0, /* read */
    ADC_DATA = ADC + 2,   /* word: the sample in bits 0-11; reading it clears STATUS_DONE */
};
#define STATUS_BUSY 0x80
#define STATUS_DONE 0x01
#define DATA_MASK 0x0FFF
#define POLLS 1000

int adc_sample(unsigned channel)
{
    if (channel >= ADC_CHANNELS)
        return -1;
    outb((uint8_t)channel, ADC_START);
    for (unsigned poll = 0; poll < POLLS; poll++) {
        uint8_t status = inb(ADC_STATUS);
        if (!(status & STATUS_BUSY) && status & STATUS_DONE)
            return inw(ADC_DATA) & DATA_MASK;
    }
    return -1;
}
