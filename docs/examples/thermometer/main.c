/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What calls the driver in the guest. Ends with its result. */
#include <hyperport/start.h>

#include "guest.h"
#include "thermo.h"

int main(const char *command_line)
{
    struct hyperport_io_config config = {.backend = HYPERPORT_AUTO}; /* by hypercalls, where the machine offers them */
    enum thermo_result result;
    int celsius;

    (void)command_line;
    hyperport_io_init(&config);
    result = thermo_read(&celsius);
    if (result == THERMO_OK)
        print("it is %d degrees\n", celsius);
    else
        print("no temperature: error %d\n", result);
    return result;
}
