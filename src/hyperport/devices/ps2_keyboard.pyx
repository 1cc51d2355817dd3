# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
"""The keyboard at the other end of the 8042's cable: IBM 101/102-key, scan-code sets 1 and 2.

Source: IBM Personal System/2 Hardware Interface Technical Reference (1988), "Keyboard (101- and 102-Key)"; the
scan-code sets and their translation: Microsoft, Keyboard Scan Code Specification 1.3a, appendix C.

It is no port device: the i8042 hands it the bytes that the guest sends and takes its bytes one by one. What it
answers goes before the keys that wait. Sixteen bytes of keys wait; the first that does not fit leaves one
overrun code behind and is lost, with all after it until there is room. It repeats no keys: who presses them
does. Set 3 is answered with a request to resend, as by keyboards that lack it.
"""

from libc.stdint cimport uint8_t, uint32_t

from hyperport.bus.record import check_record
from hyperport.errors import StateError

cdef enum:
    SET_LEDS = 0xED         # parameter: bit 0 scroll lock, 1 num lock, 2 caps lock
    ECHO = 0xEE
    SELECT_SET = 0xF0       # parameter: the set, or 0 to ask
    IDENTIFY = 0xF2
    SET_TYPEMATIC = 0xF3    # parameter: rate in bits 0-4, delay in 5-6
    ENABLE = 0xF4
    DISABLE = 0xF5
    DEFAULTS = 0xF6
    RESEND = 0xFE           # also the keyboard's own "say that again"
    RESET = 0xFF

    ACKNOWLEDGE = 0xFA
    TEST_PASSED = 0xAA
    OVERRUN_SET1 = 0xFF
    OVERRUN_SET2 = 0x00
    RELEASE = 0xF0          # set 2: the next code is a break code
    EXTENDED = 0xE0
    TYPEMATIC_DEFAULT = 0x2B    # 10.9 keys a second after 500 ms

# Set 1 code at the index of the set 2 code; 85h and above stay as they are.
cdef const uint8_t *SET1 = (
    b"\xff\x43\x41\x3f\x3d\x3b\x3c\x58\x64\x44\x42\x40\x3e\x0f\x29\x59"
    b"\x65\x38\x2a\x70\x1d\x10\x02\x5a\x66\x71\x2c\x1f\x1e\x11\x03\x5b"
    b"\x67\x2e\x2d\x20\x12\x05\x04\x5c\x68\x39\x2f\x21\x14\x13\x06\x5d"
    b"\x69\x31\x30\x23\x22\x15\x07\x5e\x6a\x72\x32\x24\x16\x08\x09\x5f"
    b"\x6b\x33\x25\x17\x18\x0b\x0a\x60\x6c\x34\x35\x26\x27\x19\x0c\x61"
    b"\x6d\x73\x28\x74\x1a\x0d\x62\x6e\x3a\x36\x1c\x1b\x75\x2b\x63\x76"
    b"\x55\x56\x77\x78\x79\x7a\x0e\x7b\x7c\x4f\x7d\x4b\x47\x7e\x7f\x6f"
    b"\x52\x53\x50\x4c\x4d\x48\x01\x45\x57\x4e\x51\x4a\x37\x49\x46\x54"
    b"\x80\x81\x82\x41\x54"
)
cdef enum:
    SET1_SIZE = 0x85

FIELDS = {
    "queue": (8, QUEUE_SIZE + 1), "replies": (8, REPLY_SIZE), "scan_set": 2, "leds": 3, "typematic": 7,
    "expecting": 8, "last_sent": 8, "released": 1, "scanning": 1,
}
PARAMETER_FOR = (0, SET_LEDS, SELECT_SET, SET_TYPEMATIC)


cdef int set2_to_set1(uint8_t code, uint8_t *released) noexcept nogil:
    """The set 1 byte for a set 2 byte; -1 for the release prefix, which is kept in released until the key's code."""
    cdef int key
    if code == RELEASE:
        released[0] = 1
        return -1
    if code >= SET1_SIZE:
        return code
    key = SET1[code] | (0x80 if released[0] else 0)
    released[0] = 0
    return key


cdef class Ps2Keyboard:
    """One keyboard. Made by the i8042 that it is plugged into."""

    name = "ps2-keyboard"

    def __init__(self):
        self.reset()

    def reset(self):
        """Bring the keyboard to its power-on state, the self-test's result already taken by the firmware."""
        self.reply_head = self.reply_used = 0
        self.expecting = self.last_sent = self.leds = 0
        self.set_defaults()

    cdef void set_defaults(self) noexcept nogil:
        self.queue_head = self.queue_used = 0
        self.scan_set = 2
        self.typematic = TYPEMATIC_DEFAULT
        self.released = 0
        self.scanning = True

    cdef int next_byte(self) noexcept nogil:
        """The next byte to the controller, or -1."""
        if self.reply_used:
            self.last_sent = self.replies[self.reply_head]
            self.reply_head += 1
            self.reply_used -= 1
        elif self.queue_used:
            self.last_sent = self.queue[self.queue_head]
            self.queue_head = (self.queue_head + 1) % (QUEUE_SIZE + 1)
            self.queue_used -= 1
        else:
            return -1
        return self.last_sent

    cdef void receive(self, uint8_t byte) noexcept nogil:
        """One byte from the controller. A new one ends the answer to the one before."""
        cdef uint8_t command = self.expecting
        self.expecting = 0
        self.reply_head = self.reply_used = 0
        if command and byte < 0x80:
            self.take_parameter(command, byte)
        elif byte == ECHO:
            self.reply(ECHO)
        elif byte == RESEND:
            self.reply(self.last_sent)
        elif byte == SET_LEDS or byte == SELECT_SET or byte == SET_TYPEMATIC:
            self.expecting = byte
            self.reply(ACKNOWLEDGE)
        elif byte == IDENTIFY:
            self.reply(ACKNOWLEDGE)
            self.reply(0xAB)
            self.reply(0x83)
        elif byte == ENABLE:
            self.queue_used = self.released = 0
            self.scanning = True
            self.reply(ACKNOWLEDGE)
        elif byte == DISABLE or byte == DEFAULTS:
            self.set_defaults()
            self.scanning = byte == DEFAULTS
            self.reply(ACKNOWLEDGE)
        elif byte == RESET:
            self.set_defaults()
            self.leds = 0
            self.reply(ACKNOWLEDGE)
            self.reply(TEST_PASSED)
        else:
            self.reply(RESEND)

    cdef void take_parameter(self, uint8_t command, uint8_t byte) noexcept nogil:
        if command == SELECT_SET and byte > 2:
            self.reply(RESEND)
            return
        self.reply(ACKNOWLEDGE)
        if command == SET_LEDS:
            self.leds = byte & 7
        elif command == SET_TYPEMATIC:
            self.typematic = byte
        elif byte == 0:
            self.reply(self.scan_set)
        else:
            self.scan_set = byte
            self.queue_used = self.released = 0

    cdef void reply(self, uint8_t byte) noexcept nogil:
        self.replies[self.reply_used] = byte
        self.reply_used += 1

    cdef bint enqueue(self, uint8_t code) noexcept nogil:
        """Queue one set 2 byte in the guest's set; False when it was lost."""
        cdef int byte = code
        if not self.scanning:
            return False
        if self.queue_used >= QUEUE_SIZE:
            if self.queue_used == QUEUE_SIZE:
                self.queue[(self.queue_head + QUEUE_SIZE) % (QUEUE_SIZE + 1)] = (
                    OVERRUN_SET1 if self.scan_set == 1 else OVERRUN_SET2)
                self.queue_used += 1
            return False
        if self.scan_set == 1:
            byte = set2_to_set1(code, &self.released)
        if byte >= 0:
            self.queue[(self.queue_head + self.queue_used) % (QUEUE_SIZE + 1)] = <uint8_t> byte
            self.queue_used += 1
        return True

    def save(self):
        """The keyboard's state as a record, with queues from the oldest byte on."""
        return {
            "queue": [self.queue[(self.queue_head + i) % (QUEUE_SIZE + 1)] for i in range(self.queue_used)],
            "replies": [self.replies[self.reply_head + i] for i in range(self.reply_used)],
            "scan_set": self.scan_set, "leds": self.leds, "typematic": self.typematic, "expecting": self.expecting,
            "last_sent": self.last_sent, "released": self.released, "scanning": int(self.scanning),
        }

    def load(self, record):
        """Take back what save() gave. Raises StateError for a record this keyboard cannot have made."""
        cdef uint32_t i
        check_record(self.name, record, FIELDS)
        if record["scan_set"] not in (1, 2) or record["expecting"] not in PARAMETER_FOR:
            raise StateError(f"{self.name}: field scan_set or expecting holds what this keyboard does not know")
        self.queue_head, self.queue_used = 0, len(record["queue"])
        for i in range(self.queue_used):
            self.queue[i] = record["queue"][i]
        self.reply_head, self.reply_used = 0, len(record["replies"])
        for i in range(self.reply_used):
            self.replies[i] = record["replies"][i]
        self.scan_set, self.leds, self.typematic = record["scan_set"], record["leds"], record["typematic"]
        self.expecting, self.last_sent = record["expecting"], record["last_sent"]
        self.released, self.scanning = record["released"], record["scanning"]
