# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
"""The keyboard at the other end of the 8042's cable: IBM 101/102-key, scan-code sets 1, 2 and 3.

Source: IBM Personal System/2 Hardware Interface Technical Reference (1988), "Keyboard (101- and 102-Key)"; the
scan-code sets and their translation: Microsoft, Keyboard Scan Code Specification.

It is no port device: the i8042 hands it the bytes that the guest sends and takes its bytes one by one. What it
answers goes before the keys that wait. Sixteen bytes of keys wait; the first that does not fit leaves one
overrun code behind and is lost, with all after it until there is room.

In set 3 each key has one code, and a type: whether it repeats, and whether it tells its release. Commands change the types
of all keys, or of those whose codes follow; until the next command the keyboard does not scan. F5h and F6h bring back what
power-on gave: set 2, types, typematic rate, lights off, nothing waiting. F5h stops scanning; F6h leaves it as it is.

Not modelled: automatic repeat, so the rate and the type's repeat are only kept (who presses the keys repeats them); in
set 3 the key between left shift and Z of a 102-key keyboard, and one code for backslash in both layouts.
"""

from libc.stdint cimport uint8_t
from libc.string cimport memset

from hyperport.lines.saved cimport Fields

from hyperport.errors import StateError

cdef enum:
    SET_LEDS = 0xED         # parameter: bit 0 scroll lock, 1 num lock, 2 caps lock
    ECHO = 0xEE
    SELECT_SET = 0xF0       # parameter: the set, or 0 to ask
    IDENTIFY = 0xF2
    SET_TYPEMATIC = 0xF3    # parameter: rate in bits 0-4, delay in 5-6
    ENABLE = 0xF4
    DISABLE = 0xF5          # and defaults
    DEFAULTS = 0xF6
    ALL_TYPEMATIC = 0xF7    # to FAh: all keys get the type ALL_TYPES has; set 3 only
    ALL_LAST = 0xFA
    KEYS_TYPEMATIC = 0xFB   # to FDh: the keys whose codes follow get it
    KEYS_LAST = 0xFD
    RESEND = 0xFE           # also the keyboard's own "say that again"
    RESET = 0xFF

    ACKNOWLEDGE = 0xFA
    TEST_PASSED = 0xAA
    OVERRUN_SET1 = 0xFF
    OVERRUN_SET2 = 0x00     # of set 3 too
    RELEASE = 0xF0          # set 2: the next code is a break code
    EXTENDED = 0xE0
    PAUSE = 0xE1            # begins the eight bytes of the Pause key, which has no release
    PAUSE_REST = 7
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

# Set 3 code at the index of the set 2 code, and of the code after E0h; 0 for none.
cdef const uint8_t *SET3 = (
    b"\x00\x47\x00\x27\x17\x07\x0f\x5e\x00\x4f\x3f\x2f\x1f\x0d\x0e\x00"
    b"\x00\x19\x12\x00\x11\x15\x16\x00\x00\x00\x1a\x1b\x1c\x1d\x1e\x00"
    b"\x00\x21\x22\x23\x24\x25\x26\x00\x00\x29\x2a\x2b\x2c\x2d\x2e\x00"
    b"\x00\x31\x32\x33\x34\x35\x36\x00\x00\x00\x3a\x3b\x3c\x3d\x3e\x00"
    b"\x00\x41\x42\x43\x44\x45\x46\x00\x00\x49\x4a\x4b\x4c\x4d\x4e\x00"
    b"\x00\x00\x52\x00\x54\x55\x00\x00\x14\x59\x5a\x5b\x00\x5c\x00\x00"
    b"\x00\x00\x00\x00\x00\x00\x66\x00\x00\x69\x00\x6b\x6c\x00\x00\x00"
    b"\x70\x71\x72\x73\x74\x75\x08\x76\x56\x7c\x7a\x84\x7e\x7d\x5f\x00"
    b"\x00\x00\x00\x37\x57\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
)
cdef const uint8_t *SET3_EXTENDED = (
    b"\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
    b"\x00\x39\x00\x00\x58\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x8b"
    b"\x00\x00\x00\x00\x00\x00\x00\x8c\x00\x00\x00\x00\x00\x00\x00\x8d"
    b"\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
    b"\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x77\x00\x00\x00\x00\x00"
    b"\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x79\x00\x00\x00\x00\x00"
    b"\x00\x00\x00\x00\x00\x00\x00\x00\x00\x65\x00\x61\x6e\x00\x00\x00"
    b"\x67\x64\x60\x00\x6a\x63\x00\x00\x00\x00\x6d\x00\x57\x6f\x00\x00"
    b"\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
)
cdef enum:
    SET3_PAUSE = 0x62
    # what a key of set 3 does besides telling that it was pressed
    MAKE_ONLY = 0
    TELLS_BREAK = 1
    REPEATS = 2
cdef uint8_t[4] ALL_TYPES = [REPEATS, TELLS_BREAK, MAKE_ONLY, REPEATS | TELLS_BREAK]    # F7h to FAh; FBh to FDh likewise
# At power-on: shift, control and alt on the left and caps lock tell their release; these only that they were pressed
# (Esc, the F keys, the right control and alt, the keypad but for +, and those above the arrows); all others repeat.
cdef const uint8_t *BREAK_KEYS = b"\x11\x12\x14\x19\x59\x00"
cdef const uint8_t *MAKE_KEYS = (
    b"\x08\x07\x0f\x17\x1f\x27\x2f\x37\x3f\x47\x4f\x56\x5e\x57\x5f\x62\x39\x58\x67\x6e\x65\x6f\x6d"
    b"\x76\x6c\x6b\x69\x77\x75\x73\x72\x70\x7e\x7d\x74\x7a\x71\x84\x79\x8b\x8c\x8d\x00"
)

PARAMETER_FOR = (0, SET_LEDS, SELECT_SET, SET_TYPEMATIC, *range(KEYS_TYPEMATIC, KEYS_LAST + 1))


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
        self.expecting = self.last_sent = 0
        self.scanning = True
        self.set_defaults()

    cdef void set_defaults(self) noexcept nogil:
        cdef const uint8_t *key
        self.forget_keys()
        self.scan_set = 2
        self.typematic = TYPEMATIC_DEFAULT
        self.leds = 0
        memset(self.types, REPEATS, SET3_CODES)
        key = BREAK_KEYS
        while key[0]:
            self.types[key[0]] = TELLS_BREAK
            key += 1
        key = MAKE_KEYS
        while key[0]:
            self.types[key[0]] = MAKE_ONLY
            key += 1

    cdef void forget_keys(self) noexcept nogil:
        """Nothing waits, and no key is half told."""
        self.queue_head = self.queue_used = 0
        self.released = self.extended = self.skipping = 0

    cdef bint scans(self) noexcept nogil:
        """Whether a key that is pressed now is told."""
        return self.scanning and self.expecting < KEYS_TYPEMATIC

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
        if command >= KEYS_TYPEMATIC and byte < SET3_CODES:
            self.types[byte] = ALL_TYPES[command - KEYS_TYPEMATIC]
            self.expecting = command
            self.reply(ACKNOWLEDGE)
        elif command and byte < 0x80:
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
            self.forget_keys()
            self.scanning = True
            self.reply(ACKNOWLEDGE)
        elif byte == DISABLE or byte == DEFAULTS:
            self.set_defaults()
            self.scanning = self.scanning and byte == DEFAULTS
            self.reply(ACKNOWLEDGE)
        elif ALL_TYPEMATIC <= byte <= ALL_LAST:
            self.forget_keys()
            memset(self.types, ALL_TYPES[byte - ALL_TYPEMATIC], SET3_CODES)
            self.reply(ACKNOWLEDGE)
        elif KEYS_TYPEMATIC <= byte <= KEYS_LAST:
            self.forget_keys()
            self.expecting = byte
            self.reply(ACKNOWLEDGE)
        elif byte == RESET:
            self.set_defaults()
            self.scanning = True
            self.reply(ACKNOWLEDGE)
            self.reply(TEST_PASSED)
        else:
            self.reply(RESEND)

    cdef void take_parameter(self, uint8_t command, uint8_t byte) noexcept nogil:
        if command == SELECT_SET and byte > 3:
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
            self.forget_keys()

    cdef bint enqueue(self, uint8_t code) noexcept nogil:
        """Queue one set 2 byte in the guest's set; False when it was lost."""
        cdef int byte = code
        if not self.scans():
            return False
        if self.scan_set == 3:
            return self.enqueue_set3(code)
        if self.scan_set == 1:
            byte = set2_to_set1(code, &self.released)
        return byte < 0 or self.wait(<uint8_t> byte)

    cdef bint enqueue_set3(self, uint8_t code) noexcept nogil:
        """The same for set 3: one code at the last byte of a key, and its release if that is told."""
        cdef uint8_t key
        cdef bint released = self.released
        if self.skipping:
            self.skipping -= 1
            return True
        if code == PAUSE:
            self.skipping = PAUSE_REST
            return self.wait(SET3_PAUSE)
        if code == EXTENDED:
            self.extended = 1
            return True
        if code == RELEASE:
            self.released = 1
            return True
        key = 0
        if code < SET3_CODES:
            key = SET3_EXTENDED[code] if self.extended else SET3[code]
        self.released = self.extended = 0
        if not key or released and not self.types[key] & TELLS_BREAK:
            return True
        if released and not self.wait(RELEASE):
            return False
        return self.wait(key)

    cdef bint wait(self, uint8_t byte) noexcept nogil:
        """Put one byte behind those that wait for the controller; False when it was lost."""
        if self.queue_used >= QUEUE_SIZE:
            if self.queue_used == QUEUE_SIZE:
                self.queue[(self.queue_head + QUEUE_SIZE) % (QUEUE_SIZE + 1)] = (
                    OVERRUN_SET1 if self.scan_set == 1 else OVERRUN_SET2)
                self.queue_used += 1
            return False
        self.queue[(self.queue_head + self.queue_used) % (QUEUE_SIZE + 1)] = byte
        self.queue_used += 1
        return True

    cdef declare(self, Fields fields):
        fields.ring("queue", self.queue, QUEUE_SIZE + 1, &self.queue_head, &self.queue_used)
        fields.ring("replies", self.replies, REPLY_SIZE, &self.reply_head, &self.reply_used)
        fields.u8("scan_set", &self.scan_set, 3)
        fields.u8("leds", &self.leds, 7)
        fields.u8("typematic", &self.typematic, 0x7F)
        fields.u8("expecting", &self.expecting)
        fields.u8("last_sent", &self.last_sent)
        fields.u8("released", &self.released, 1)
        fields.u8("extended", &self.extended, 1)
        fields.u8("skipping", &self.skipping, 7)
        fields.flag("scanning", &self.scanning)
        fields.u8s("types", self.types, SET3_CODES, REPEATS | TELLS_BREAK)

    cdef consistent(self, dict record):
        if record["scan_set"] == 0 or record["expecting"] not in PARAMETER_FOR:
            raise StateError(f"{self.name}: field scan_set or expecting holds what this keyboard does not know")
