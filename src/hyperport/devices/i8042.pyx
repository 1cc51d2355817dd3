# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
"""8042 keyboard controller of a PS/2-style PC, with a keyboard on its first port and a mouse on its second.

Sources: IBM Personal System/2 Hardware Interface Technical Reference (1988), "Keyboard and Auxiliary Device
Controller"; IBM PC AT Technical Reference (1985) for the A20 and pulse commands.

One byte at a time goes to the guest. Whenever the output buffer is empty it is filled at once, first with the
controller's own answer, then from the keyboard if its clock is not held, then likewise from the mouse. Between two
bytes IRQ1 and IRQ12 go low, so each byte has its edge. What the host types comes last, byte by byte as the guest
takes them, and not before the cable could have carried it: a driver that empties the buffer before it begins finds it
empty. Power-on here is what a PC's firmware leaves: keyboard on, translation to set 1 on, IRQ1 on, A20 on, self-test passed.

A20 is one gate with two switches (a20_gate.pyx), so its bit of the output port follows port 92h too, by input 0.

What the host does with the mouse comes as events of four bytes (ui/mouse.py), which the mouse adds up.

Not modelled: the password (its bytes are taken,
none is kept); the key lock; polling of the input port (C1h, C2h); a keyboard whose transmission fails (parity, time-out).
"""

cimport cython
from libc.stdint cimport int8_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memset

from hyperport.host.char cimport CharBackend
from hyperport.time.clock cimport Clock, Timer
from hyperport.bus.device cimport PortDevice
from hyperport.lines.irq cimport IrqLine
from hyperport.lines.saved cimport Fields
from hyperport.devices.ps2_keyboard cimport QUEUE_SIZE, Ps2Keyboard, set2_to_set1
from hyperport.devices.ps2_mouse cimport Ps2Mouse

from hyperport.errors import AccessError, StateError

cdef enum:
    DATA = 0            # port 60h
    COMMAND = 1         # port 64h: status when read

    OUTPUT_FULL = 0x01  # a byte waits at port 60h
    SYSTEM = 0x04       # mirrors the command byte: the self-test has passed
    LAST_COMMAND = 0x08     # the last write was to port 64h
    NOT_INHIBITED = 0x10    # the keyboard lock is open
    AUX_FULL = 0x20     # the byte that waits is of the second port
    TIMED_OUT = 0x40    # the device did not answer

    IRQ1_ON = 0x01      # the command byte, RAM byte 0
    IRQ12_ON = 0x02
    KEYBOARD_OFF = 0x10     # its clock is held low
    AUX_OFF = 0x20
    TRANSLATE = 0x40    # set 2 to set 1
    COMMAND_BYTE = IRQ1_ON | SYSTEM | AUX_OFF | TRANSLATE

    READ_RAM = 0x20     # to 3Fh
    WRITE_RAM = 0x60    # to 7Fh; data byte follows
    PASSWORD_TEST = 0xA4
    LOAD_PASSWORD = 0xA5    # data bytes follow, up to one of 0
    DISABLE_AUX = 0xA7
    ENABLE_AUX = 0xA8
    TEST_AUX = 0xA9
    SELF_TEST = 0xAA
    TEST_KEYBOARD = 0xAB
    DISABLE_KEYBOARD = 0xAD
    ENABLE_KEYBOARD = 0xAE
    READ_INPUT_PORT = 0xC0
    READ_OUTPUT_PORT = 0xD0
    WRITE_OUTPUT_PORT = 0xD1        # data byte follows, for this one and the next three
    WRITE_KEYBOARD_BUFFER = 0xD2    # as if the keyboard had sent it
    WRITE_AUX_BUFFER = 0xD3
    WRITE_AUX = 0xD4
    A20_OFF = 0xDD
    A20_ON = 0xDF
    READ_TEST_INPUTS = 0xE0
    PULSE = 0xF0        # to FFh: output port bits 0-3 that are 0 here go low for 6 us

    PORT_RUN = 0x01     # output port; 0 holds the CPU in reset
    PORT_A20 = 0x02
    PORT_IRQ1 = 0x10
    PORT_IRQ12 = 0x20
    OUTPUT_PORT = 0xCF  # lines at rest
    INPUT_PORT = 0xA0   # not inhibited, no manufacturing jumper

    PASSWORD_NONE = 0xF1
    SELF_TEST_PASSED = 0x55
    TEST_PASSED = 0x00
    EVENT = 4           # bytes of an event of the host's: buttons, then how far right, up, and the wheel down
    RAM_SIZE = 32
    BYTE_NS = 660000    # eleven bits on the cable at 16.7 kHz

cdef uint64_t NEVER = <uint64_t> -1
cdef int64_t MOST = (<int64_t> 1 << 62) - 1 + (<int64_t> 1 << 62)     # of a time in ns


cdef inline bint takes_data(uint8_t command) noexcept nogil:
    return (WRITE_RAM <= command < WRITE_RAM + RAM_SIZE or WRITE_OUTPUT_PORT <= command <= WRITE_AUX
            or command == LOAD_PASSWORD)


@cython.final
cdef class I8042(PortDevice):
    """irq1, irq12: the ports' interrupts. reset_line: high resets the machine. a20_line: high opens address line 20.

    typed, clock: scan codes of set 2 from the host (ui/keyboard.py), and by whose time the cable carries them. pointed: the
    host's mouse.
    """

    name = "i8042"
    span = 2

    cdef IrqLine irq1, irq12, reset_line, a20_line
    cdef CharBackend typed
    cdef Clock clock
    cdef Timer cable
    cdef uint64_t cable_free        # ns: the keyboard's next byte cannot be here before
    cdef readonly Ps2Keyboard keyboard
    cdef CharBackend pointed
    cdef readonly Ps2Mouse mouse
    cdef uint8_t ram[RAM_SIZE]
    cdef uint8_t status, data, output_port
    cdef uint8_t awaiting           # the command whose data byte comes next, or 0
    cdef uint8_t released           # of the translation: a release prefix was swallowed
    cdef bint answers               # an answer waits for the output buffer, with its status flags
    cdef uint8_t answer, answer_flags

    def __init__(self, IrqLine irq1=None, IrqLine irq12=None, IrqLine reset_line=None, IrqLine a20_line=None,
                 CharBackend typed=None, Clock clock=None, CharBackend pointed=None):
        self.irq1 = IrqLine() if irq1 is None else irq1
        self.irq12 = IrqLine() if irq12 is None else irq12
        self.reset_line = IrqLine() if reset_line is None else reset_line
        self.a20_line = IrqLine() if a20_line is None else a20_line
        self.typed = CharBackend() if typed is None else typed
        self.clock = Clock() if clock is None else clock
        self.cable = Timer(self.clock, self, 0)
        self.keyboard = Ps2Keyboard()
        self.pointed = CharBackend() if pointed is None else pointed
        self.mouse = Ps2Mouse()
        self.reset()

    def reset(self):
        memset(self.ram, 0, RAM_SIZE)
        self.ram[0] = COMMAND_BYTE
        self.status = NOT_INHIBITED | SYSTEM
        self.data = self.awaiting = self.released = self.answer = self.answer_flags = 0
        self.answers = False
        self.cable_free = 0
        self.cable.disarm()
        self.keyboard.reset()
        self.mouse.reset()
        self.drive_port(OUTPUT_PORT)
        self.update_irq()

    cdef uint32_t io_read(self, uint32_t offset, uint32_t size) noexcept nogil:
        if offset == COMMAND:
            return self.status
        return self.take()

    cdef uint8_t take(self) noexcept nogil:
        """The byte in the output buffer; an empty one still shows the last."""
        cdef uint8_t byte = self.data
        if self.status & OUTPUT_FULL:
            self.status &= ~(OUTPUT_FULL | AUX_FULL)
            self.update_irq()
            self.cable_free = self.clock.now() + BYTE_NS
            self.fill()
        return byte

    cdef void io_write(self, uint32_t offset, uint32_t size, uint32_t value) noexcept nogil:
        cdef uint8_t byte = <uint8_t> value
        if offset == COMMAND:
            self.status |= LAST_COMMAND
            self.awaiting = byte if takes_data(byte) else 0
            if not self.awaiting:
                self.command(byte)
        else:
            self.status &= ~LAST_COMMAND
            if self.awaiting:
                self.command_data(self.awaiting, byte)
                if self.awaiting != LOAD_PASSWORD or not byte:
                    self.awaiting = 0
            else:
                self.ram[0] &= ~KEYBOARD_OFF
                self.keyboard.receive(byte)
        self.fill()
        self.update_irq()

    cdef void io_write_block(self, uint32_t offset, uint32_t size, uint32_t count, const uint8_t *data) noexcept nogil:
        cdef uint32_t i
        for i in range(count):
            self.io_write(offset, 1, data[i])

    cdef void command(self, uint8_t byte) noexcept nogil:
        if READ_RAM <= byte < READ_RAM + RAM_SIZE:
            self.give(self.ram[byte - READ_RAM], 0)
        elif byte == PASSWORD_TEST:
            self.give(PASSWORD_NONE, 0)
        elif byte == DISABLE_AUX:
            self.ram[0] |= AUX_OFF
        elif byte == ENABLE_AUX:
            self.ram[0] &= ~AUX_OFF
        elif byte == TEST_AUX or byte == TEST_KEYBOARD:
            self.give(TEST_PASSED, 0)
        elif byte == SELF_TEST:
            self.ram[0] |= SYSTEM
            self.status |= SYSTEM
            self.give(SELF_TEST_PASSED, 0)
        elif byte == DISABLE_KEYBOARD:
            self.ram[0] |= KEYBOARD_OFF
        elif byte == ENABLE_KEYBOARD:
            self.ram[0] &= ~KEYBOARD_OFF
        elif byte == READ_INPUT_PORT:
            self.give(INPUT_PORT, 0)
        elif byte == READ_OUTPUT_PORT:
            self.give(self.output_port & ~(PORT_IRQ1 | PORT_IRQ12) | (PORT_IRQ1 if self.irq1.level else 0)
                      | (PORT_IRQ12 if self.irq12.level else 0), 0)
        elif byte == A20_OFF:
            self.drive_port(self.output_port & ~PORT_A20)
        elif byte == A20_ON:
            self.drive_port(self.output_port | PORT_A20)
        elif byte == READ_TEST_INPUTS:
            self.give(0, 0)
        elif byte >= PULSE and not byte & PORT_RUN:
            self.reset_line.drive(1)
            self.reset_line.drive(not self.output_port & PORT_RUN)

    cdef void command_data(self, uint8_t command, uint8_t byte) noexcept nogil:
        if command < WRITE_RAM + RAM_SIZE:
            self.ram[command - WRITE_RAM] = byte
            self.status = self.status & ~SYSTEM | self.ram[0] & SYSTEM
        elif command == LOAD_PASSWORD:
            pass
        elif command == WRITE_OUTPUT_PORT:
            self.drive_port(byte)
        elif command == WRITE_KEYBOARD_BUFFER:
            self.give(byte, 0)
        elif command == WRITE_AUX_BUFFER:
            self.give(byte, AUX_FULL)
        else:
            self.ram[0] &= ~AUX_OFF
            self.mouse.receive(byte)

    # Side effects.

    cdef void give(self, uint8_t byte, uint8_t flags) noexcept nogil:
        """Have an answer ready for when the output buffer is empty."""
        self.answers = True
        self.answer = byte
        self.answer_flags = flags

    cdef void fill(self) noexcept nogil:
        """Fill the output buffer if it is empty and there is something to send."""
        cdef int byte = -1
        if self.status & OUTPUT_FULL:
            return
        if self.answers:
            self.answers = False
            self.put(self.answer, self.answer_flags)
            return
        while not self.ram[0] & KEYBOARD_OFF:
            byte = self.keyboard.next_byte()
            if byte < 0:
                if not self.take_typed():
                    break
                continue
            if self.ram[0] & TRANSLATE:
                byte = set2_to_set1(<uint8_t> byte, &self.released)
            if byte >= 0:
                self.put(<uint8_t> byte, 0)
                return
        self.take_pointed()
        if not self.ram[0] & AUX_OFF:
            byte = self.mouse.next_byte()
            if byte >= 0:
                self.put(<uint8_t> byte, AUX_FULL)

    cdef void take_pointed(self) noexcept nogil:
        """Let the mouse have what the host's hand has done; a button after another waits until the guest was told."""
        cdef uint8_t event[EVENT]
        cdef int i
        while self.pointed.waiting() >= EVENT and not self.mouse.owes():
            for i in range(EVENT):
                event[i] = <uint8_t> self.pointed.get()
            self.mouse.feel(event[0], <int8_t> event[1], <int8_t> event[2], <int8_t> event[3])

    cdef bint take_typed(self) noexcept nogil:
        """Give the keyboard one byte of what the host has typed; False if there is none, or not yet."""
        if not self.keyboard.scans() or not self.typed.waiting():
            return False
        if self.clock.now() < self.cable_free:
            self.cable.arm(self.cable_free)
            return False
        self.keyboard.enqueue(<uint8_t> self.typed.get())
        return True

    cdef void on_line(self, int number, int level) noexcept nogil:
        """Input 0 is the state of the A20 gate."""
        self.drive_port(self.output_port | PORT_A20 if level else self.output_port & ~PORT_A20)

    cdef void on_input(self) noexcept nogil:
        self.fill()

    cdef void on_timer(self, int number) noexcept nogil:
        self.fill()

    cdef void put(self, uint8_t byte, uint8_t flags) noexcept nogil:
        self.data = byte
        self.status = self.status & ~(AUX_FULL | TIMED_OUT) | OUTPUT_FULL | flags
        self.update_irq()

    cdef void drive_port(self, uint8_t value) noexcept nogil:
        self.output_port = value
        self.a20_line.drive(value & PORT_A20)
        self.reset_line.drive(not value & PORT_RUN)

    cdef void update_irq(self) noexcept nogil:
        cdef uint8_t waiting = self.status & (OUTPUT_FULL | AUX_FULL)
        self.irq1.drive(waiting == OUTPUT_FULL and self.ram[0] & IRQ1_ON)
        self.irq12.drive(waiting == OUTPUT_FULL | AUX_FULL and self.ram[0] & IRQ12_ON)

    # The host's fingers. Call these on the vCPU's thread, or while no guest runs.

    def inject(self, codes):
        """Send raw set 2 scan-code bytes from the keyboard; returns how many were not lost to a full queue."""
        cdef uint32_t accepted = 0
        for code in bytes(codes):
            accepted += self.keyboard.enqueue(code)
            self.fill()
        return accepted

    def press(self, code, pressed=True):
        """Press or release the key of a set 2 code (E0xxh for the extended keys); False if the queue lacks the room.

        Nothing is queued of a key that does not fit whole.
        """
        if not (0 < code < 0x100 or 0xE000 < code < 0xE100):
            raise AccessError(f"{self.name}: {code:#x} is no set 2 code; give 0x01 to 0xff or 0xe001 to 0xe0ff")
        stroke = ([0xE0] if code > 0xFF else []) + ([] if pressed else [0xF0]) + [code & 0xFF]
        if self.keyboard.queue_used + len(stroke) > QUEUE_SIZE:
            return False
        return self.inject(stroke) == len(stroke)

    cdef declare(self, Fields fields):
        fields.u8s("ram", self.ram, RAM_SIZE)
        fields.u8("status", &self.status, OUTPUT_FULL | SYSTEM | LAST_COMMAND | NOT_INHIBITED | AUX_FULL | TIMED_OUT)
        fields.u8("data", &self.data)
        fields.u8("output_port", &self.output_port)
        fields.u8("awaiting", &self.awaiting)
        fields.u8("released", &self.released, 1)
        fields.flag("answers", &self.answers)
        fields.u8("answer", &self.answer)
        fields.u8("answer_flags", &self.answer_flags, AUX_FULL | TIMED_OUT)
        fields.u64("cable_free", &self.cable_free)
        fields.derived("cable_at", MOST)
        fields.part("keyboard_", self.keyboard)
        fields.part("mouse_", self.mouse)

    cdef dict derived(self):
        return {"cable_at": 0 if self.cable.deadline == NEVER else self.cable.deadline}

    cdef consistent(self, dict record):
        cdef uint8_t status = record["status"]
        if (not status & NOT_INHIBITED or (status ^ <uint8_t> record["ram"][0]) & SYSTEM
                or status & (OUTPUT_FULL | AUX_FULL) == AUX_FULL):
            raise StateError(f"{self.name}: field status holds bits that cannot be set together")
        if record["awaiting"] and not takes_data(record["awaiting"]):
            raise StateError(f"{self.name}: field awaiting holds {record['awaiting']:#x}, a command without data")

    cdef after_load(self, dict record):
        self.drive_port(self.output_port)
        self.update_irq()
        self.cable.disarm()
        if record["cable_at"]:
            self.cable.arm(record["cable_at"])
        self.fill()
