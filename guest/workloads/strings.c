/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Blocks of 512 bytes by REP INS and REP OUTS, as a disk driver moves sectors.
 * Drives: the VMM's test device at port 0x340: data at offset 0, checksum and seed at offset 4.
 * Unit of work: one block in every chosen form. Command line: width=1, 2 or 4 for only that width (else all three), in or out
 * for only that direction (else both); port=N; any: do not ask whether the device is there (the checksum is then the port's).
 * Checksum: all bytes read, and the device's own checksum of all that was written. Taking it is not timed. */
#include "workload.h"

#define BLOCK 512u
#define PORT 0x340u
#define CONTROL 4
#define SEED 0x48500001u
#define DEVICE_START 2166136261u /* its checksum after seeding */

static uint32_t buffer[BLOCK / 4];
static uint16_t port;
static uint32_t width;
static bool in, out;

static const char *prepare(const char *command_line)
{
    port = (uint16_t)option_number(command_line, "port", PORT);
    width = option_number(command_line, "width", 0);
    in = !option_given(command_line, "out") || option_given(command_line, "in");
    out = !option_given(command_line, "in") || option_given(command_line, "out");
    if (width > 4 || width == 3)
        return "width= is 1, 2 or 4";
    outl(SEED, (uint16_t)(port + CONTROL));
    if (!option_given(command_line, "any") && inl((uint16_t)(port + CONTROL)) != DEVICE_START)
        return "no device";
    return NULL;
}

static void block_in(uint32_t size)
{
    if (size == 1)
        insb(port, buffer, BLOCK);
    else if (size == 2)
        insw(port, buffer, BLOCK / 2);
    else
        insl(port, buffer, BLOCK / 4);
}

static void block_out(uint32_t size)
{
    if (size == 1)
        outsb(port, buffer, BLOCK);
    else if (size == 2)
        outsw(port, buffer, BLOCK / 2);
    else
        outsl(port, buffer, BLOCK / 4);
}

static void both(uint32_t size)
{
    if (in) {
        block_in(size);
        accesses += BLOCK / size;
        clock_stop();
        checksum_block((const uint8_t *)buffer, BLOCK);
        clock_start();
    }
    if (out) {
        block_out(size);
        accesses += BLOCK / size;
    }
}

static void run(uint32_t units)
{
    while (units--)
        for (uint32_t size = 1; size <= 4; size *= 2)
            if (!width || width == size)
                both(size);
    clock_stop();
    checksum_long(inl((uint16_t)(port + CONTROL)));
    clock_start();
}

const struct workload workload = {"strings", 200, prepare, run};
