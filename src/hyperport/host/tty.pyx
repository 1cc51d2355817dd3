# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
"""A serial port of the host behind a UART of the guest: speed, character, break and modem wires follow the chip's.

Source: tty_ioctl(4), termios(3). Speeds are 115,200 by the divisor, those that termios has no name for by BOTHER. A
port without modem wires (a pty) is a cable whose end is always there, as for any other backend. Wires are looked at
when the guest reads MSR, and every 10 ms for the interrupt that their change asks for.

Not passed on: parity, framing errors and breaks that come in; the host's driver drops what was not received well.
"""

from libc.stdint cimport uint8_t, uint64_t

from hyperport.host.char cimport FdBackend
from hyperport.lines.attention cimport ATTENTION_INPUT, Attention
from hyperport.time.clock cimport Clock, Timer

cdef extern from *:
    """
    #include <asm/termbits.h>   /* not <termios.h>, which has no speeds but the named ones */
    #include <sys/ioctl.h>
    #include <time.h>
    #ifndef TIOCM_RTS
    #include <asm/termios.h>
    #endif

    static inline int hp_line_settings(int fd, unsigned speed, unsigned flags)
    {
        static const struct { unsigned speed, name; } named[] = {
            {50, B50}, {75, B75}, {110, B110}, {150, B150}, {300, B300}, {600, B600}, {1200, B1200}, {1800, B1800},
            {2400, B2400}, {4800, B4800}, {9600, B9600}, {19200, B19200}, {38400, B38400}, {57600, B57600}, {115200, B115200},
        };
        struct termios2 mode;
        unsigned name = BOTHER;
        if (ioctl(fd, TCGETS2, &mode))
            return -1;
        for (unsigned i = 0; i < sizeof(named) / sizeof(named[0]); i++)
            if (named[i].speed == speed)
                name = named[i].name;
        mode.c_cflag &= ~(CBAUD | CBAUD << IBSHIFT | CSIZE | CSTOPB | PARENB | PARODD | CMSPAR);
        mode.c_cflag |= name | flags | CREAD | CLOCAL;  /* the speed of input is that of output: B0 << IBSHIFT */
        mode.c_ispeed = mode.c_ospeed = speed;
        return ioctl(fd, TCSETS2, &mode);
    }

    static inline int hp_unsent(int fd)     /* bytes that the driver still has to send */
    {
        int count = 0;
        return ioctl(fd, TIOCOUTQ, &count) ? 0 : count;
    }

    static inline int hp_modem(int fd)      /* the modem bits, or -1: there are none */
    {
        int bits = 0;
        return ioctl(fd, TIOCMGET, &bits) ? -1 : bits;
    }

    static inline int hp_set_modem(int fd, int set, int clear)
    {
        return ioctl(fd, TIOCMBIS, &set) | ioctl(fd, TIOCMBIC, &clear);
    }

    static inline int hp_break(int fd, int on) { return ioctl(fd, on ? TIOCSBRK : TIOCCBRK, 0); }

    static inline void hp_pause_ms(int ms)
    {
        struct timespec t = {0, ms * 1000000L};
        nanosleep(&t, NULL);
    }
    """
    int hp_line_settings(int fd, unsigned speed, unsigned flags) nogil
    int hp_unsent(int fd) nogil
    int hp_modem(int fd) nogil
    int hp_set_modem(int fd, int set, int clear) nogil
    int hp_break(int fd, int on) nogil
    void hp_pause_ms(int ms) nogil
    int CS5, CS6, CS7, CS8, CSTOPB, PARENB, PARODD, CMSPAR
    int TIOCM_DTR, TIOCM_RTS, TIOCM_CTS, TIOCM_DSR, TIOCM_RI, TIOCM_CAR

cdef enum:
    UART_CLOCK = 115200     # 1.8432 MHz / 16

    LCR_BITS = 0x03         # WLS: bits in a character, less 5
    LCR_STOP = 0x04         # two stop bits
    LCR_PARITY = 0x08
    LCR_EVEN = 0x10
    LCR_STICK = 0x20        # the parity bit is fixed: EPS inverted
    LCR_BREAK = 0x40

    MCR_DTR = 0x01
    MCR_RTS = 0x02

    MSR_CTS = 0x10
    MSR_DSR = 0x20
    MSR_RI = 0x40
    MSR_DCD = 0x80

    WIRES_TIMER = 1         # 0 is CharBackend's own
    PATIENCE_MS = 500       # for what the driver still has to send before the line is another one

cdef uint64_t WIRES_NS = 10_000_000


cdef unsigned character_of(uint8_t lcr) noexcept nogil:
    """The bits of LCR as those of c_cflag."""
    cdef int sizes[4]
    cdef int flags
    sizes[:] = [CS5, CS6, CS7, CS8]
    flags = sizes[lcr & LCR_BITS]
    if lcr & LCR_STOP:
        flags |= CSTOPB
    if lcr & LCR_PARITY:
        flags |= PARENB | (0 if lcr & LCR_EVEN else PARODD) | (CMSPAR if lcr & LCR_STICK else 0)
    return <unsigned> flags


cdef class TtyBackend(FdBackend):
    """The host's end. fd: an open serial port in raw mode; the caller closes it. modem: whether it has modem wires."""

    name = "tty"
    cdef readonly bint modem
    cdef readonly unsigned speed        # as it was set last; 0: not yet
    cdef bint breaking
    cdef Timer wires_timer

    def __init__(self, int fd, where=None):
        FdBackend.__init__(self, fd, where=where)
        self.modem = hp_modem(fd) >= 0

    def connect(self, Attention attention not None, Clock clock not None):
        """As CharBackend's."""
        FdBackend.connect(self, attention, clock)
        if self.modem:
            self.look_at_wires()
            self.wires_timer = Timer(clock, self, WIRES_TIMER)
            self.wires_timer.arm(clock.now() + WIRES_NS)

    cdef void line_changed(self) noexcept nogil:
        cdef uint8_t lcr = self.line_control
        cdef int waited = 0
        cdef bint wanted = lcr & LCR_BREAK != 0
        self.flush()
        while waited < PATIENCE_MS and hp_unsent(self.fd):
            hp_pause_ms(1)
            waited += 1
        if self.divisor:            # 0 stops the chip's clock; there is no such speed
            self.speed = UART_CLOCK // self.divisor
            hp_line_settings(self.fd, self.speed, character_of(lcr))
        if wanted != self.breaking:
            self.breaking = wanted
            hp_break(self.fd, wanted)

    @staticmethod
    def flags_of(lcr):
        """The bits of c_cflag that an LCR means."""
        return character_of(lcr)

    cdef void outputs_changed(self) noexcept nogil:
        cdef int on
        if self.modem:
            on = (TIOCM_DTR if self.modem_control & MCR_DTR else 0) | (TIOCM_RTS if self.modem_control & MCR_RTS else 0)
            hp_set_modem(self.fd, on, (TIOCM_DTR | TIOCM_RTS) & ~on)

    cdef void look_at_wires(self) noexcept nogil:
        cdef int bits
        if not self.modem:
            return
        bits = hp_modem(self.fd)
        if bits >= 0:
            self.wires = ((MSR_CTS if bits & TIOCM_CTS else 0) | (MSR_DSR if bits & TIOCM_DSR else 0)
                          | (MSR_RI if bits & TIOCM_RI else 0) | (MSR_DCD if bits & TIOCM_CAR else 0))

    cdef void on_timer(self, int number) noexcept nogil:
        cdef int before = self.wires
        if number != WIRES_TIMER:
            FdBackend.on_timer(self, number)
            return
        self.look_at_wires()
        if self.wires != before:
            self.attention.raise_flags(ATTENTION_INPUT)
        self.wires_timer.arm(self.clock.now() + WIRES_NS)
