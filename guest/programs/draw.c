/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Draws a picture in one graphics mode, so that what is on the screen can be looked at and compared.
 * Command line: one word for the mode; 13h if there is none.
 *   mode13  320 x 200, 256 colours, chained: stores to a window of plain bytes
 *   mode12  640 x 480, 16 colours in four planes: all write modes, latches, set/reset, bit mask, XOR
 *   modex   320 x 240, 256 colours, unchained: plane by plane, on a second page that is shown then
 *   vbe     800 x 600 by the display interface of Bochs, bits=8|15|16|24|32, with an offset, in the linear frame buffer
 *   stay    waits for a key before the end
 * Drives: the VGA's register files and windows, VBE DISPI. What each pixel must be is in tests/guest/test_draw.py.
 * Unit of work: one picture. Ends: value 0 when it is drawn, 1 where there is no such display. */
#include "guest.h"
#include "io.h"

#define WINDOW ((volatile uint8_t *)0xA0000)
#define FRAME_BUFFER ((volatile uint8_t *)0xE0000000)

#define ATTRIBUTE 0x3C0
#define MISC_OUTPUT 0x3C2
#define SEQUENCER 0x3C4
#define DAC_INDEX 0x3C8
#define DAC_DATA 0x3C9
#define GRAPHICS 0x3CE
#define CRTC 0x3D4
#define STATUS_1 0x3DA
#define PICTURE_ON 0x20 /* of the attribute controller's index */

#define MAP_MASK 2 /* sequencer */

#define SET_RESET 0 /* graphics controller */
#define ENABLE_SET_RESET 1
#define FUNCTION 3
#define FUNCTION_XOR 0x18
#define MODE 5
#define BIT_MASK 8

#define START_HIGH 0x0C /* CRTC */
#define START_LOW 0x0D
#define PROTECT 0x11

#define DISPI_INDEX 0x1CE
#define DISPI_DATA 0x1CF
enum dispi { DISPI_ID, DISPI_X, DISPI_Y, DISPI_BITS, DISPI_ENABLE, DISPI_BANK, DISPI_WIDTH, DISPI_HEIGHT, DISPI_X_OFFSET, DISPI_Y_OFFSET };
#define DISPI_OLDEST 0xB0C2 /* with a linear frame buffer */
#define DISPI_ON 0x41       /* and linear */

#define KEYBOARD_STATUS 0x64
#define KEYBOARD_FULL 0x01

struct mode {
    uint8_t misc, sequencer[5], crtc[25], graphics[9], attribute[21];
};

static const struct mode mode_13h = {
    0x63,
    {0x03, 0x01, 0x0F, 0x00, 0x0E},
    {0x5F, 0x4F, 0x50, 0x82, 0x54, 0x80, 0xBF, 0x1F, 0x00, 0x41, 0, 0, 0, 0, 0, 0, 0x9C, 0x8E, 0x8F, 0x28, 0x40, 0x96, 0xB9, 0xA3, 0xFF},
    {0x00, 0x00, 0x00, 0x00, 0x00, 0x40, 0x05, 0x0F, 0xFF},
    {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 0x41, 0x00, 0x0F, 0x00, 0x00},
};
static const struct mode mode_12h = {
    0xE3,
    {0x03, 0x01, 0x0F, 0x00, 0x06},
    {0x5F, 0x4F, 0x50, 0x82, 0x54, 0x80, 0x0B, 0x3E, 0x00, 0x40, 0, 0, 0, 0, 0, 0, 0xEA, 0x8C, 0xDF, 0x28, 0x00, 0xE7, 0x04, 0xE3, 0xFF},
    {0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x05, 0x0F, 0xFF},
    {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 0x01, 0x00, 0x0F, 0x00, 0x00},
};
static const struct mode mode_x = {
    0xE3,
    {0x03, 0x01, 0x0F, 0x00, 0x06},
    {0x5F, 0x4F, 0x50, 0x82, 0x54, 0x80, 0x0D, 0x3E, 0x00, 0x41, 0, 0, 0, 0, 0, 0, 0xEA, 0xAC, 0xDF, 0x28, 0x00, 0xE7, 0x06, 0xE3, 0xFF},
    {0x00, 0x00, 0x00, 0x00, 0x00, 0x40, 0x05, 0x0F, 0xFF},
    {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 0x41, 0x00, 0x0F, 0x00, 0x00},
};

static void set(uint16_t index_port, uint8_t number, uint8_t value)
{
    outw((uint16_t)(number | value << 8), index_port);
}

static void set_all(uint16_t index_port, const uint8_t *values, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        set(index_port, (uint8_t)i, values[i]);
}

static void set_mode(const struct mode *mode)
{
    outb(mode->misc, MISC_OUTPUT);
    set_all(SEQUENCER, mode->sequencer, sizeof(mode->sequencer));
    set(CRTC, PROTECT, 0);
    set_all(CRTC, mode->crtc, sizeof(mode->crtc));
    set_all(GRAPHICS, mode->graphics, sizeof(mode->graphics));
    inb(STATUS_1); /* the attribute controller expects an index now */
    for (unsigned i = 0; i < sizeof(mode->attribute); i++) {
        outb((uint8_t)i, ATTRIBUTE);
        outb(mode->attribute[i], ATTRIBUTE);
    }
    outb(PICTURE_ON, ATTRIBUTE);
}

/* Colour i: a red that rises, a green that is lowest in the middle, a blue that falls. */
static void set_palette(unsigned count)
{
    outb(0, DAC_INDEX);
    for (unsigned i = 0; i < count; i++) {
        unsigned level = i * 63 / (count - 1);
        outb((uint8_t)level, DAC_DATA);
        outb((uint8_t)(level < 32 ? 63 - 2 * level : 2 * level - 63), DAC_DATA);
        outb((uint8_t)(63 - level), DAC_DATA);
    }
}

static void draw_13h(void)
{
    set_mode(&mode_13h);
    set_palette(256);
    for (unsigned y = 0; y < 200; y++)
        for (unsigned x = 0; x < 320; x++)
            WINDOW[320 * y + x] = (uint8_t)(x ^ y);
}

/* Reads a byte of the window, which fills the latches. */
static void latch(unsigned at)
{
    (void)WINDOW[at];
}

static void draw_12h(void)
{
    enum { PITCH = 80 };

    set_mode(&mode_12h);
    set_palette(16);
    set(GRAPHICS, MODE, 2); /* squares of 40 by 60, a colour each */
    for (unsigned y = 0; y < 480; y++)
        for (unsigned byte = 0; byte < PITCH; byte++)
            WINDOW[PITCH * y + byte] = (uint8_t)((byte / 5 + y / 60) & 15);

    set(GRAPHICS, MODE, 0); /* a diagonal, dot by dot: set/reset has the colour, the bit mask the dot */
    set(GRAPHICS, SET_RESET, 15);
    set(GRAPHICS, ENABLE_SET_RESET, 15);
    for (unsigned x = 0; x < 640; x++) {
        unsigned at = PITCH * (x * 3 / 4) + x / 8;
        set(GRAPHICS, BIT_MASK, (uint8_t)(0x80 >> (x & 7)));
        latch(at);
        WINDOW[at] = 0;
    }

    set(GRAPHICS, BIT_MASK, 0xFF); /* a square of 64 by 64 with planes 1 and 3 turned over */
    set(GRAPHICS, SET_RESET, 10);
    set(GRAPHICS, FUNCTION, FUNCTION_XOR);
    for (unsigned y = 32; y < 96; y++)
        for (unsigned byte = 8; byte < 16; byte++) {
            latch(PITCH * y + byte);
            WINDOW[PITCH * y + byte] = 0;
        }
    set(GRAPHICS, FUNCTION, 0);

    set(GRAPHICS, MODE, 3); /* a strip whose every second dot is drawn, by the byte stored */
    set(GRAPHICS, SET_RESET, 12);
    for (unsigned y = 200; y < 216; y++)
        for (unsigned byte = 20; byte < 40; byte++) {
            latch(PITCH * y + byte);
            WINDOW[PITCH * y + byte] = 0xAA;
        }

    set(GRAPHICS, MODE, 1); /* the upper left corner once more, below on the right, all planes at once */
    for (unsigned y = 0; y < 48; y++)
        for (unsigned byte = 0; byte < 10; byte++) {
            latch(PITCH * y + byte);
            WINDOW[PITCH * (y + 400) + byte + 60] = 0;
        }
    set(GRAPHICS, MODE, 0);
    set(GRAPHICS, ENABLE_SET_RESET, 0);
}

static void draw_x(void)
{
    enum { PITCH = 80, PAGE = PITCH * 240 };

    set_mode(&mode_x);
    set_palette(256);
    for (unsigned plane = 0; plane < 4; plane++) {
        set(SEQUENCER, MAP_MASK, (uint8_t)(1 << plane));
        for (unsigned y = 0; y < 240; y++)
            for (unsigned x = plane; x < 320; x += 4)
                WINDOW[PAGE + PITCH * y + x / 4] = (uint8_t)((x * x + y * y) >> 7);
    }
    set(CRTC, START_HIGH, PAGE >> 8);
    set(CRTC, START_LOW, PAGE & 0xFF);
}

static void dispi_set(enum dispi number, uint32_t value)
{
    outw(number, DISPI_INDEX);
    outw((uint16_t)value, DISPI_DATA);
}

static uint32_t dispi_get(enum dispi number)
{
    outw(number, DISPI_INDEX);
    return inw(DISPI_DATA);
}

static int draw_vbe(uint32_t bits)
{
    enum { WIDE = 800, HIGH = 600, PITCH = 832, LEFT = 16, TOP = 9 };
    uint32_t bytes = (bits + 7) / 8;

    if (dispi_get(DISPI_ID) < DISPI_OLDEST || dispi_get(DISPI_ID) == 0xFFFF)
        return 1;
    set_palette(256);
    dispi_set(DISPI_ENABLE, 0);
    dispi_set(DISPI_X, WIDE);
    dispi_set(DISPI_Y, HIGH);
    dispi_set(DISPI_BITS, bits);
    dispi_set(DISPI_ENABLE, DISPI_ON);
    dispi_set(DISPI_WIDTH, PITCH);
    dispi_set(DISPI_X_OFFSET, LEFT);
    dispi_set(DISPI_Y_OFFSET, TOP);
    if (dispi_get(DISPI_BITS) != bits || dispi_get(DISPI_WIDTH) != PITCH)
        return 1;
    for (uint32_t y = 0; y < HIGH; y++) {
        volatile uint8_t *at = FRAME_BUFFER + (PITCH * (y + TOP) + LEFT) * bytes;
        for (uint32_t x = 0; x < WIDE; x++) {
            uint32_t red = x * 255 / (WIDE - 1), green = y * 255 / (HIGH - 1), blue = (x ^ y) & 255, pixel;
            if (bits == 8)
                pixel = blue;
            else if (bits == 15)
                pixel = red >> 3 << 10 | green >> 3 << 5 | blue >> 3;
            else if (bits == 16)
                pixel = red >> 3 << 11 | green >> 2 << 5 | blue >> 3;
            else
                pixel = red << 16 | green << 8 | blue;
            for (uint32_t i = 0; i < bytes; i++)
                *at++ = (uint8_t)(pixel >> 8 * i);
        }
    }
    return 0;
}

int main(const char *command_line)
{
    int failed = 0;

    if (option_given(command_line, "mode12"))
        draw_12h();
    else if (option_given(command_line, "modex"))
        draw_x();
    else if (option_given(command_line, "vbe"))
        failed = draw_vbe(option_number(command_line, "bits", 32));
    else
        draw_13h();
    print("draw: %s\n", failed ? "there is no such display" : "done");
    while (option_given(command_line, "stay") && !(inb(KEYBOARD_STATUS) & KEYBOARD_FULL))
        ;
    return failed;
}
