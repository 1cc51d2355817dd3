/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A driver for an A/D converter card with eight channels of 12 bits, at ports 0x310 to 0x313. */
#ifndef ADC_H
#define ADC_H

#define ADC_CHANNELS 8

/* The sample of a channel, 0 to 4095, or -1: there is no such channel, or the card does not get ready. */
int adc_sample(unsigned channel);

#endif
