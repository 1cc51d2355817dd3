# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
"""A PS/2 mouse at the 8042's second port, with a wheel: what the cable carries in both directions.

Sources: IBM Personal System/2 Hardware Interface Technical Reference (1988), "Mouse"; for the wheel, Microsoft, "Windows and
the 5-Button Wheel Mouse": the sample rates 200, 100, 80 in a row make it say ID 3 and send four bytes, then 200, 200, 80
make it ID 4 with buttons 4 and 5.

It is no port device: the i8042 hands it the guest's bytes and takes its own one by one. What it answers goes before its
packets. Movement adds up until there is room for a packet; a packet tells at most 255 counts in each direction, and the
rest follows in the next one. So nothing that the host moves is lost while the guest looks elsewhere, but what passes
MOST counts.

Not modelled: the time between packets, so rate and resolution are only kept (a count of the host's is one of the guest's).
"""

from libc.stdint cimport int32_t, uint8_t
from libc.string cimport memset

from hyperport.lines.saved cimport Fields

from hyperport.errors import StateError

cdef enum:
    SCALE_1 = 0xE6
    SCALE_2 = 0xE7
    SET_RESOLUTION = 0xE8   # parameter: 0 to 3
    GET_STATUS = 0xE9
    STREAM = 0xEA
    READ_DATA = 0xEB
    END_WRAP = 0xEC
    WRAP = 0xEE
    REMOTE = 0xF0
    IDENTIFY = 0xF2
    SET_RATE = 0xF3         # parameter: 10, 20, 40, 60, 80, 100 or 200 a second
    ENABLE = 0xF4
    DISABLE = 0xF5
    DEFAULTS = 0xF6
    RESEND = 0xFE           # also the mouse's own "say that again"
    RESET = 0xFF

    ACKNOWLEDGE = 0xFA
    TEST_PASSED = 0xAA

    LEFT = 0x01             # buttons, as in a packet; 08h and 10h are buttons 4 and 5
    RIGHT = 0x02
    MIDDLE = 0x04
    ALL_BUTTONS = 0x1F
    ALWAYS = 0x08           # first byte of a packet
    X_NEGATIVE = 0x10
    Y_NEGATIVE = 0x20
    STATUS_REMOTE = 0x40    # first byte of the status
    STATUS_ON = 0x20
    STATUS_DOUBLED = 0x10

    WHEEL = 3
    FIVE_BUTTONS = 4
    MOST = 0xFFFF           # counts that are held back

cdef int32_t clamp(int32_t value, int32_t low, int32_t high) noexcept nogil:
    return low if value < low else high if value > high else value


cdef class Ps2Mouse(Saved):
    """One mouse. Made by the i8042 that it is plugged into."""

    name = "ps2-mouse"

    def __init__(self):
        self.reset()

    def reset(self):
        """Power-on, the self-test's result already taken by the firmware."""
        self.reply_head = self.reply_used = 0
        self.expecting = self.last_sent = self.kind = 0
        self.buttons = 0
        memset(self.knock, 0, 3)
        self.defaults()

    cdef void defaults(self) noexcept nogil:
        self.queue_head = self.queue_used = 0
        self.dx = self.dy = self.dz = 0
        self.told_buttons = self.buttons
        self.rate, self.resolution = 100, 2
        self.remote = self.wrap = self.reporting = self.doubled = False

    cdef int next_byte(self) noexcept nogil:
        """The next byte to the controller, or -1."""
        if self.reply_used:
            self.last_sent = self.replies[self.reply_head % REPLIES]
            self.reply_head = (self.reply_head + 1) % REPLIES
            self.reply_used -= 1
            return self.last_sent
        if not self.queue_used and self.reporting and not self.remote and self.moved():
            self.make_packet()
        if not self.queue_used:
            return -1
        self.last_sent = self.queue[self.queue_head]
        self.queue_head = (self.queue_head + 1) % WAITING
        self.queue_used -= 1
        return self.last_sent

    cdef bint moved(self) noexcept nogil:
        return self.dx or self.dy or (self.dz and self.kind) or self.buttons != self.told_buttons

    cdef bint owes(self) noexcept nogil:
        """Whether the guest has still to be told of a button."""
        return self.reporting and self.buttons != self.told_buttons

    cdef void make_packet(self) noexcept nogil:
        """What has happened since the last one, as far as a packet can tell."""
        cdef int32_t x = clamp(self.dx, -255, 255), y = clamp(self.dy, -255, 255), z = clamp(self.dz, -8, 7)
        self.push(ALWAYS | self.buttons & 7 | (X_NEGATIVE if x < 0 else 0) | (Y_NEGATIVE if y < 0 else 0))
        self.push(<uint8_t> (x & 0xFF))
        self.push(<uint8_t> (y & 0xFF))
        if self.kind == WHEEL:
            self.push(<uint8_t> (z & 0xFF))
        elif self.kind == FIVE_BUTTONS:
            self.push(<uint8_t> (z & 0x0F | self.buttons << 1 & 0x30))
        self.dx -= x
        self.dy -= y
        self.dz = self.dz - z if self.kind else 0
        self.told_buttons = self.buttons

    cdef void push(self, uint8_t byte) noexcept nogil:
        if self.queue_used < WAITING:
            self.queue[(self.queue_head + self.queue_used) % WAITING] = byte
            self.queue_used += 1

    cdef void reply(self, uint8_t byte) noexcept nogil:
        self.replies[(self.reply_head + self.reply_used) % REPLIES] = byte
        self.reply_used += 1

    cdef void receive(self, uint8_t byte) noexcept nogil:
        """One byte from the controller. A new one ends the answer to the one before."""
        cdef uint8_t before = self.expecting
        self.expecting = 0
        self.reply_head = self.reply_used = 0
        if self.wrap and byte != END_WRAP and byte != RESET:
            self.reply(byte)
        elif before and byte < SCALE_1:
            self.parameter(before, byte)
        elif byte == RESEND:
            self.reply(self.last_sent)
        else:
            self.command(byte)

    cdef void command(self, uint8_t byte) noexcept nogil:
        if byte < SCALE_1 or byte == 0xED or byte == 0xEF or byte == 0xF1 or 0xF7 <= byte < RESEND:
            self.reply(RESEND)
            return
        self.reply(ACKNOWLEDGE)
        if byte != READ_DATA and byte != IDENTIFY and byte != GET_STATUS:
            self.queue_head = self.queue_used = 0       # of a packet that is half told the rest is not sent
        if byte == SCALE_1 or byte == SCALE_2:
            self.doubled = byte == SCALE_2
        elif byte == SET_RESOLUTION or byte == SET_RATE:
            self.expecting = byte
        elif byte == GET_STATUS:
            self.reply((STATUS_REMOTE if self.remote else 0) | (STATUS_ON if self.reporting else 0)
                       | (STATUS_DOUBLED if self.doubled else 0) | (MIDDLE if self.buttons & LEFT else 0)
                       | self.buttons & RIGHT | (LEFT if self.buttons & MIDDLE else 0))
            self.reply(self.resolution)
            self.reply(self.rate)
        elif byte == STREAM or byte == REMOTE:
            self.remote = byte == REMOTE
        elif byte == READ_DATA:
            self.queue_head = self.queue_used = 0
            self.make_packet()
        elif byte == WRAP or byte == END_WRAP:
            self.wrap = byte == WRAP
        elif byte == IDENTIFY:
            self.reply(self.kind)
        elif byte == ENABLE or byte == DISABLE:
            self.reporting = byte == ENABLE
        elif byte == DEFAULTS:
            self.defaults()
        elif byte == RESET:
            self.defaults()
            self.kind = 0
            memset(self.knock, 0, 3)
            self.reply(TEST_PASSED)
            self.reply(0)

    cdef void parameter(self, uint8_t command, uint8_t byte) noexcept nogil:
        if command == SET_RESOLUTION:
            self.resolution = byte & 3
        else:
            self.rate = byte
            self.knock[0], self.knock[1], self.knock[2] = self.knock[1], self.knock[2], byte
            if self.knock[0] == 200 and self.knock[2] == 80:
                if self.knock[1] == 100:
                    self.kind = WHEEL
                elif self.knock[1] == 200:
                    self.kind = FIVE_BUTTONS
        self.reply(ACKNOWLEDGE)

    cdef void feel(self, uint8_t buttons, int right, int up, int wheel) noexcept nogil:
        """The host's hand: buttons that are down, counts moved. A mouse that does not report forgets how it was moved."""
        self.buttons = buttons & ALL_BUTTONS
        if self.reporting:
            self.dx = clamp(self.dx + right, -MOST, MOST)
            self.dy = clamp(self.dy + up, -MOST, MOST)
            self.dz = clamp(self.dz + wheel, -MOST, MOST)

    cdef declare(self, Fields fields):
        fields.ring("replies", self.replies, REPLIES, &self.reply_head, &self.reply_used)
        fields.ring("queue", self.queue, WAITING, &self.queue_head, &self.queue_used)
        fields.u8("buttons", &self.buttons, ALL_BUTTONS)
        fields.u8("told_buttons", &self.told_buttons, ALL_BUTTONS)
        fields.derived_list("moved", 3, 0x1FFFF)
        fields.u8("kind", &self.kind, 7)
        fields.u8s("knock", self.knock, 3)
        fields.u8("rate", &self.rate)
        fields.u8("resolution", &self.resolution, 3)
        fields.u8("expecting", &self.expecting)
        fields.u8("last_sent", &self.last_sent)
        fields.flag("remote", &self.remote)
        fields.flag("wrap", &self.wrap)
        fields.flag("reporting", &self.reporting)
        fields.flag("doubled", &self.doubled)

    cdef dict derived(self):
        return {"moved": [self.dx + MOST, self.dy + MOST, self.dz + MOST]}

    cdef consistent(self, dict record):
        if record["kind"] not in (0, WHEEL, FIVE_BUTTONS) or record["expecting"] not in (0, SET_RATE, SET_RESOLUTION):
            raise StateError(f"{self.name}: field kind or expecting holds what this mouse does not know")
        if max(record["moved"]) > 2 * MOST:
            raise StateError(f"{self.name}: field moved holds more than it keeps")

    cdef after_load(self, dict record):
        self.dx, self.dy, self.dz = (<int32_t> number - MOST for number in record["moved"])
