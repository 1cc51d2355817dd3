/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a kernel calls once, early, to let its port I/O go the best way there is. */
#ifndef HYPERPORT_START_H
#define HYPERPORT_START_H

#include <stdbool.h>
#include <stdint.h>

#include "patch.h"
#include "vmi.h"

enum hyperport_backend {
    HYPERPORT_AUTO, /* VMI if a ROM is there, else native */
    HYPERPORT_NATIVE,
    HYPERPORT_VMI,
    HYPERPORT_KVM,
    HYPERPORT_LGUEST,
};

struct hyperport_io_config {
    enum hyperport_backend backend;
    bool disable_io_ops;       /* keep the twelve ops native whatever is found */
    bool keep_indirect;        /* do not rewrite sites: for kernels whose code cannot be written, and for measurements */
    uintptr_t direct_map;      /* virtual address of physical address 0, for the ROM */
    uint32_t hardware_subarch; /* from the boot header (lguest.h); 0 if there is none */
};

struct hyperport_io_result {
    enum hyperport_backend backend; /* in use; never HYPERPORT_AUTO */
    const char *reason;             /* why the one asked for is not in use, or null */
    const struct hyperport_vmi_rom *rom; /* when the back end is VMI */
    unsigned taken;                 /* how many of the twelve ops go through it */
    bool exitless;                  /* accesses that need no crossing make none (exitless.h) */
    struct hyperport_patch_result patch;
};

/* Takes these words of a command line into config, which holds the defaults:
 *   ops=native|vmi|kvm|lguest|auto
 *   vmi=disable_io_ops  (also as one of several words after vmi=, with commas)
 *   ops_indirect
 * False if ops= names nothing known; config then holds the default. */
bool hyperport_io_options(const char *command_line, struct hyperport_io_config *config);

/* Finds the back end, activates it, fills hyperport_io and rewrites the sites. Call with interrupts off (for VMI's init), flat
 * segments and paging as it will stay. What is asked for and not there leaves everything native. */
struct hyperport_io_result hyperport_io_init(const struct hyperport_io_config *config);

/* "native", "vmi", "kvm", "lguest" or "auto". */
const char *hyperport_backend_name(enum hyperport_backend backend);

#endif
