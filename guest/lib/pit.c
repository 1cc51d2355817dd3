/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The 8254: channel 0 for IRQ 0, channel 2 as a stop-watch without interrupts. */
#include "cpu.h"
#include "guest.h"
#include "io.h"

#define PIT_CHANNEL0 0x40
#define PIT_CHANNEL2 0x42
#define PIT_CONTROL 0x43
#define CHANNEL0_MODE2 0x34 /* both bytes, rate generator */
#define CHANNEL2_MODE0 0xB0 /* both bytes, one shot: OUT rises at the end */
#define PORT_B 0x61
#define PORT_B_GATE2 0x01
#define PORT_B_SPEAKER 0x02
#define PORT_B_OUT2 0x20

#define CALIBRATION_US 50000u

void pit_periodic(uint32_t hz)
{
    uint32_t count = PIT_HZ / hz;
    outb(CHANNEL0_MODE2, PIT_CONTROL);
    outb((uint8_t)count, PIT_CHANNEL0);
    outb((uint8_t)(count >> 8), PIT_CHANNEL0);
}

void pit_wait_us(uint32_t us)
{
    uint32_t count = divide_64_32((uint64_t)us * PIT_HZ, 1000000);

    outb((uint8_t)((inb(PORT_B) & ~PORT_B_SPEAKER) | PORT_B_GATE2), PORT_B);
    outb(CHANNEL2_MODE0, PIT_CONTROL);
    outb((uint8_t)count, PIT_CHANNEL2);
    outb((uint8_t)(count >> 8), PIT_CHANNEL2);
    while (!(inb(PORT_B) & PORT_B_OUT2))
        ;
}

uint32_t tsc_khz(void)
{
    uint64_t start = tsc_read();
    pit_wait_us(CALIBRATION_US);
    return divide_64_32(tsc_read() - start, CALIBRATION_US / 1000);
}
