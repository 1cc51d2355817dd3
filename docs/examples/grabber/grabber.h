/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A driver for a frame grabber: ports 0x340 and 0x341, and a picture of 64 x 48 bytes in memory at 0xd8000. */
#ifndef GRABBER_H
#define GRABBER_H

#define GRABBER_WIDTH 64
#define GRABBER_HEIGHT 48

/* Grab a picture and copy it, a byte a pixel. 0, or -1: the card does not get ready, or does not show the picture. */
int grabber_frame(unsigned char *pixels);

/* Paint a mark on the card's picture: the four pixels from (4 * column, row) on. */
void grabber_mark(unsigned column, unsigned row, unsigned char pixel);

#endif
