/* SPDX-License-Identifier: GPL-2.0-or-later */
/* main() of every workload. */
#include <hyperport/lguest.h>
#include <hyperport/start.h>

#include "segments.h"
#include "workload.h"

#define FNV_START 2166136261u
#define CANNOT_RUN 2

#define PIT_CHANNEL2 0x42
#define PIT_CONTROL 0x43
#define PIT_CHANNEL2_MODE0 0xB0 /* both bytes */
#define PIT_CHANNEL2_LATCH 0x80
#define PIT_LONGEST 0xFFFF
#define PORT_B 0x61
#define PORT_B_GATE2 0x01
#define PORT_B_SPEAKER 0x02
#define CALIBRATION_CYCLES 8000000u /* 2 to 8 ms, and below the channel's 55 ms */
#define CALIBRATIONS 3

#define MARK_START 1
#define MARK_END 0

uint64_t accesses, clock_cycles, clock_started;
uint32_t checksum = FNV_START;

static volatile bool own_vector_reached;

static void on_lguest_vector(struct frame *frame)
{
    (void)frame;
    own_vector_reached = true;
}

/* Our loader passes no boot header. INT 1Fh that never reaches our own gate is as good. */
static bool lguest_answers(void)
{
    interrupt_handle(HYPERPORT_LGUEST_VECTOR, on_lguest_vector);
    (void)hyperport_lguest_call(HYPERPORT_LGUEST_FLUSH_ASYNC, 0, 0, 0);
    return !own_vector_reached;
}

static uint16_t pit_channel2(void)
{
    native_outb(PIT_CHANNEL2_LATCH, PIT_CONTROL);
    uint8_t low = native_inb(PIT_CHANNEL2);
    return (uint16_t)(native_inb(PIT_CHANNEL2) << 8 | low);
}

/* Reads both clocks twice, with few port accesses, whatever a path makes them cost. */
static uint32_t tsc_khz_once(void)
{
    native_outb(PIT_CHANNEL2_MODE0, PIT_CONTROL);
    native_outb(PIT_LONGEST & 0xFF, PIT_CHANNEL2);
    native_outb(PIT_LONGEST >> 8, PIT_CHANNEL2);
    (void)pit_channel2();
    uint64_t start = tsc_read();
    uint16_t count = pit_channel2();
    while (tsc_read() - start < CALIBRATION_CYCLES)
        ;
    uint64_t cycles = tsc_read() - start;
    count = (uint16_t)(count - pit_channel2());
    return count ? divide_64_32(cycles * (PIT_HZ / 1000), count) : 0;
}

/* The median: a measurement in which the host took the CPU away does not count. */
static uint32_t tsc_khz_measure(void)
{
    uint32_t khz[CALIBRATIONS];
    native_outb((uint8_t)((native_inb(PORT_B) & ~PORT_B_SPEAKER) | PORT_B_GATE2), PORT_B);
    for (unsigned i = 0; i < CALIBRATIONS; i++) {
        uint32_t value = tsc_khz_once();
        unsigned at = i;
        for (; at && khz[at - 1] > value; at--)
            khz[at] = khz[at - 1];
        khz[at] = value;
    }
    return khz[CALIBRATIONS / 2] ? khz[CALIBRATIONS / 2] : 1;
}

static int cannot_run(const char *reason)
{
    print("workload %s: %s\n", workload.name, reason);
    return CANNOT_RUN;
}

int main(const char *command_line)
{
    struct hyperport_io_config config = {.backend = HYPERPORT_AUTO};
    const char *reason;

    gdt_init();
    interrupt_init();
    pic_init();
    if (!hyperport_io_options(command_line, &config))
        return cannot_run("ops= is one of native, vmi, kvm, lguest, auto");
    if (config.backend == HYPERPORT_LGUEST && lguest_answers())
        config.hardware_subarch = HYPERPORT_LGUEST_SUBARCH;
    struct hyperport_io_result io = hyperport_io_init(&config);
    if (config.backend != HYPERPORT_AUTO && io.reason)
        return cannot_run(io.reason);
    uint32_t khz = option_number(command_line, "tsc_khz", 0);
    if (!khz)
        khz = tsc_khz_measure();
    if (workload.prepare && (reason = workload.prepare(command_line)))
        return cannot_run(reason);
    uint32_t units = option_number(command_line, "n", workload.units);
    uint16_t mark = (uint16_t)option_number(command_line, "mark", 0);
    if (mark)
        native_outb(MARK_START, mark);
    clock_start();
    workload.run(units);
    clock_stop();
    if (mark)
        native_outb(MARK_END, mark);
    print("workload %s units %u accesses ", workload.name, units);
    print_long(accesses);
    print(" checksum %08x ns ", checksum);
    print_long(divide_64(clock_cycles * 1000000, khz));
    print(" tsc_khz %u ops %s taken %u sites %u patched %u\n", khz, hyperport_backend_name(io.backend), io.taken,
          io.patch.sites, io.patch.patched);
    return 0;
}
