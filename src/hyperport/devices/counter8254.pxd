# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
"""One of the three counters of an 8254, as formulas of time: now and all other times are ticks of its input clock.

pit8254.pyx has the essay, the ports, and what the outputs drive. Here is what a counter is by itself: control word, count
register, counting element, latches, gate and OUT.
"""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

cdef enum:
    # control word
    SELECT_SHIFT = 6        # channel, or 3: read-back
    READ_BACK = 3
    ACCESS_SHIFT = 4        # 0 latch command, 1 low byte, 2 high byte, 3 low then high
    LATCH = 0
    LOW = 1
    HIGH = 2
    BOTH = 3
    MODE_SHIFT = 1          # 0-5; 6 and 7 are 2 and 3
    BCD = 0x01              # four decimal digits
    CONTROL_KEPT = 0x3F
    # read-back command: bits 3-1 select channels
    NO_COUNT = 0x20         # do not latch the count
    NO_STATUS = 0x10        # do not latch the status
    # status byte: the low six bits of the control word, and
    STATUS_OUT = 0x80
    STATUS_NULL = 0x40      # the last count written is not in the counting element yet

    # what kind of event load_at is
    LOAD_NONE = 0
    LOAD_START = 1          # written or triggered: starts a period
    LOAD_HIGH = 2           # mode 2 and 3: end of a period, OUT rises
    LOAD_LOW = 3            # mode 3: end of the high half, OUT falls

cdef extern from *:
    """
    #define HP_NO_TICK ((long long) 1 << 62)
    """
    const int64_t NEVER "HP_NO_TICK"

cdef struct Channel:
    uint8_t control         # low six bits of the last control word
    uint8_t mode            # 0-5
    uint8_t gate
    uint8_t written         # a whole count was written since the control word
    uint8_t loaded          # it has been in the counting element: OUT and count follow the mode's formula
    uint8_t running         # it counts; else `held` ticks stand
    uint8_t starts_low      # mode 3: the half-cycle at origin is the low one
    uint8_t rises           # OUT rose at origin
    uint8_t null_count
    uint8_t load_kind
    uint8_t low_byte        # of a count half written
    uint8_t expect_high     # write flip-flop
    uint8_t read_high       # read flip-flop
    uint8_t latched         # bytes left of the latched count
    uint8_t status_latched
    uint8_t status
    uint32_t latch          # output latch, as the guest reads it
    uint32_t residue        # what the counting element shows while not loaded
    uint32_t reload         # count register as a number, 1 to 65536 (an invalid BCD digit counts as it stands)
    uint32_t count          # what the counting element was loaded with
    int64_t origin          # tick of that load; after a pause in mode 0 and 4, moved by the length of the pause
    int64_t held
    int64_t load_at         # NEVER unless load_kind


cdef inline int64_t elapsed(const Channel *ch, int64_t now) noexcept nogil:
    return now - ch.origin if ch.running else ch.held


cdef inline uint32_t within(const Channel *ch, int64_t now) noexcept nogil:
    """Ticks since the period began (mode 2 and 3)."""
    return <uint32_t> (<uint64_t> elapsed(ch, now) % ch.count)


cdef inline int output(const Channel *ch, int64_t now) noexcept nogil:
    """Level of OUT."""
    cdef uint32_t at
    if not ch.loaded:
        return ch.mode != 0
    if ch.mode <= 1:
        return elapsed(ch, now) >= ch.count
    if ch.mode >= 4:
        return elapsed(ch, now) != ch.count
    if not ch.running:
        return 1
    at = within(ch, now)
    if ch.mode == 2:
        return at != ch.count - 1
    return at >= ch.count // 2 if ch.starts_low else at < (ch.count + 1) // 2


cdef inline uint32_t counting_element(const Channel *ch, int64_t now) noexcept nogil:
    """What the counting element holds: 16 bits, binary or BCD."""
    cdef uint32_t modulus = 10000 if ch.control & BCD else 65536
    cdef uint32_t at, first
    cdef int64_t left
    if not ch.loaded:
        return ch.residue
    if ch.mode == 2:
        left = ch.count - within(ch, now)
    elif ch.mode == 3:
        at = within(ch, now)
        first = ch.count // 2 if ch.starts_low else (ch.count + 1) // 2
        left = (ch.count & ~<uint32_t> 1) - 2 * (at - first if at >= first else at)
    else:
        left = ch.count - elapsed(ch, now)
    if modulus == 65536:
        return left & 0xFFFF
    left %= 10000
    return to_bcd(<uint32_t> (left + 10000 if left < 0 else left))


cdef inline uint32_t to_bcd(uint32_t number) noexcept nogil:
    return number // 1000 << 12 | number // 100 % 10 << 8 | number // 10 % 10 << 4 | number % 10


cdef inline uint32_t from_bcd(uint32_t digits) noexcept nogil:
    return (digits >> 12) * 1000 + (digits >> 8 & 15) * 100 + (digits >> 4 & 15) * 10 + (digits & 15)


cdef inline int64_t rising(uint8_t mode, uint32_t count, int64_t origin, bint starts_low, int64_t after) noexcept nogil:
    """The first tick later than `after` at which OUT rises, for a count loaded at origin with gate high."""
    cdef int64_t edge
    if mode == 0 or mode == 4:
        edge = origin + count + (1 if mode == 4 else 0)
        return edge if edge > after else NEVER
    if mode == 1 or mode == 5 or count < 2:     # a count of 1 is illegal in mode 2 and 3
        return NEVER
    edge = origin + (count // 2 if starts_low else count)
    if edge <= after:
        edge += (after - edge) // count * count + count
    return edge


cdef inline int64_t next_rising(const Channel *ch, int64_t after) noexcept nogil:
    """The same for a channel, across the load it waits for."""
    cdef int64_t edge = NEVER
    if ch.loaded:
        if ch.rises and after < ch.origin:
            return ch.origin
        edge = rising(ch.mode, ch.count, ch.origin, ch.starts_low, after)
    if ch.load_kind and edge > ch.load_at:
        edge = rising(ch.mode, ch.reload, ch.load_at, ch.load_kind == LOAD_LOW, after)
    return edge


cdef inline uint8_t mode_of(uint8_t control) noexcept nogil:
    cdef uint8_t mode = control >> MODE_SHIFT & 7
    return mode & 3 if mode > 5 else mode


cdef inline void read_channel(Channel *ch, int64_t now, uint8_t *data, uint32_t count) noexcept nogil:
    """Bytes one after the other: the latched status, the latched count, then the count as it runs."""
    cdef uint32_t access = ch.control >> ACCESS_SHIFT, value, i = 0
    while i < count and (ch.status_latched or ch.latched):
        data[i] = read_latched(ch, access)
        i += 1
    if i == count:
        return
    value = counting_element(ch, now)
    for i in range(i, count):
        data[i] = <uint8_t> (value >> 8 if access == HIGH or access == BOTH and ch.read_high else value)
        if access == BOTH:
            ch.read_high ^= 1


cdef inline uint8_t read_latched(Channel *ch, uint32_t access) noexcept nogil:
    if ch.status_latched:
        ch.status_latched = 0
        return ch.status
    ch.latched -= 1
    return <uint8_t> (ch.latch >> 8 if access == HIGH or access == BOTH and not ch.latched else ch.latch)


cdef inline void latch_count(Channel *ch, int64_t now) noexcept nogil:
    if not ch.latched:
        ch.latch = counting_element(ch, now)
        ch.latched = 2 if ch.control >> ACCESS_SHIFT == BOTH else 1


cdef inline void latch_status(Channel *ch, int64_t now) noexcept nogil:
    if not ch.status_latched:
        ch.status = ch.control | (STATUS_OUT if output(ch, now) else 0) | (STATUS_NULL if ch.null_count else 0)
        ch.status_latched = 1


cdef inline void stop(Channel *ch, int64_t now) noexcept nogil:
    """Freeze the counting element; OUT goes to the mode's first level."""
    if ch.loaded:
        ch.residue = counting_element(ch, now)
    ch.loaded = 0
    ch.running = 0
    ch.rises = 0
    ch.load_kind = LOAD_NONE
    ch.load_at = NEVER


cdef inline void set_mode(Channel *ch, uint8_t byte, int64_t now) noexcept nogil:
    stop(ch, now)
    ch.control = byte & CONTROL_KEPT
    ch.mode = mode_of(ch.control)
    ch.written = 0
    ch.null_count = 1
    ch.expect_high = 0
    ch.read_high = 0
    ch.latched = 0
    ch.status_latched = 0


cdef inline void load(Channel *ch) noexcept nogil:
    """The count register goes to the counting element, as load_at and load_kind say."""
    ch.count = ch.reload
    ch.origin = ch.load_at
    ch.held = 0
    ch.loaded = 1
    ch.running = ch.gate or ch.mode == 1 or ch.mode == 5
    ch.null_count = 0
    ch.starts_low = ch.load_kind == LOAD_LOW
    ch.rises = ch.load_kind == LOAD_HIGH
    ch.load_at = NEVER
    ch.load_kind = LOAD_NONE


cdef inline void load_next_pulse(Channel *ch, int64_t now) noexcept nogil:
    ch.load_kind = LOAD_START
    ch.load_at = now + 1


cdef inline void new_count(Channel *ch, uint32_t written, int64_t now) noexcept nogil:
    """A whole count has come in: 16 bits as the guest wrote them, 0 for the largest."""
    cdef uint32_t at, half
    if ch.control & BCD:
        ch.reload = from_bcd(written) if written else 10000
    else:
        ch.reload = written if written else 65536
    ch.written = 1
    ch.null_count = 1
    if ch.mode == 0 or ch.mode == 4:
        load_next_pulse(ch, now)
    elif (ch.mode == 2 or ch.mode == 3) and not ch.load_kind:
        if not ch.loaded:
            load_next_pulse(ch, now)
        elif ch.running:
            at = within(ch, now)
            half = ch.count
            ch.load_kind = LOAD_HIGH
            if ch.mode == 3:
                half = ch.count // 2 if ch.starts_low else (ch.count + 1) // 2
                if at >= half:
                    half = ch.count
                if (half == ch.count) == ch.starts_low:
                    ch.load_kind = LOAD_LOW
            ch.load_at = now + (half - at)


cdef inline void set_gate(Channel *ch, uint8_t level, int64_t now) noexcept nogil:
    if level == ch.gate:
        return
    ch.gate = level
    if ch.mode == 0 or ch.mode == 4:
        if not ch.loaded:
            return
        if level:
            ch.origin = now - ch.held
        else:
            ch.held = now - ch.origin
        ch.running = level
    elif level:
        if ch.written:
            load_next_pulse(ch, now)
    elif (ch.mode == 2 or ch.mode == 3) and ch.running:
        ch.held = now - ch.origin
        ch.running = 0
        if ch.load_kind != LOAD_START:
            ch.load_kind = LOAD_NONE
            ch.load_at = NEVER
