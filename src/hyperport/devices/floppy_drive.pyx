# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
"""A floppy drive and the medium in it: where the heads are, what a track holds, and the lines that tell of a change.

It has no ports: the controller (fdc82077.pyx) steps it and asks it for sectors. Source: the interface of a PC's drives as
the 82077AA datasheet (290166) has it, "Drive Interface". Which image is which medium: host/floppy_image.py.

DSKCHG is active from the moment that the medium is taken out, until the heads step with a medium in. Power-on finds it
active: nobody has looked at the medium yet. A medium of 40 cylinders in a drive of 80 has one at every second step.

What is written is in the host's file at once, and durable when the motor stops, the medium is changed, or the run ends.

Not modelled: the motor's start, the time of a turn, marks of deleted data, sectors that are not of 512 bytes.
"""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memset

from hyperport.host.disk cimport SECTOR, Disk
from hyperport.lines.saved cimport Fields, Saved

cdef enum:
    LAST_CYLINDER = 83      # of the mechanics: some steps beyond the 80 that are used
    NARROW = 42             # so many cylinders and fewer are those of 48 tracks an inch
    PAST_END = 0            # a sector of the format that a short image does not have reads as zeros


cdef class FloppyDrive(Saved):
    """kind: of the drive, as in CMOS byte 10h. geometry: of the medium: cylinders, heads, sectors a track, data rate."""

    name = "floppy-drive"

    def __init__(self, kind, Disk disk=None, geometry=(0, 0, 0, 0)):
        self.kind = kind
        self.disk = Disk()
        self.insert(disk, geometry)
        self.reset()

    def reset(self):
        """Power-on: heads over the first cylinder."""
        self.cylinder = self.rotation = 0
        self.changed = True

    def insert(self, Disk disk, geometry=(0, 0, 0, 0)):
        """Take the medium out, put another or none in. The old one stays open: whoever has opened it closes it."""
        self.settle()
        self.disk = Disk() if disk is None else disk    # the base class has no sectors
        self.cylinders, self.heads, self.sectors, self.rate = geometry if disk is not None else (0, 0, 0, 0)
        self.changed = True

    def flush(self):
        """Make durable what was written. A host that fails is told of by the disk's failures."""
        self.settle()

    cdef void settle(self) noexcept nogil:
        if self.dirty:
            self.dirty = False
            self.disk.flush()

    cdef bint loaded(self) noexcept nogil:
        return self.sectors > 0

    cdef uint32_t stretch(self) noexcept nogil:
        """Steps from one cylinder of the medium to the next."""
        return 2 if 0 < self.cylinders <= NARROW else 1

    cdef bint step_to(self, int cylinder) noexcept nogil:
        """Step the heads; they stop at both ends. False if they could not get there."""
        cdef int target = max(0, min(cylinder, LAST_CYLINDER))
        if target != self.cylinder and self.loaded():
            self.changed = False
        self.cylinder = <uint8_t> target
        return target == cylinder

    cdef int64_t find(self, uint32_t cylinder, uint32_t head, uint32_t sector) noexcept nogil:
        """The number in the image of the sector with this ID (C, H, R); -1 if there is none."""
        if cylinder >= self.cylinders or head >= self.heads or not 1 <= sector <= self.sectors:
            return -1
        return (<int64_t> cylinder * self.heads + head) * self.sectors + sector - 1

    cdef uint32_t passing(self) noexcept nogil:
        """R of the sector ID that passes under the heads next; 0 if none does."""
        if not self.loaded() or self.cylinder // self.stretch() >= self.cylinders:
            return 0
        self.rotation = <uint8_t> (self.rotation % self.sectors + 1)
        return self.rotation

    cdef int load_sector(self, int64_t number, uint8_t *data) noexcept nogil:
        """0, or an errno."""
        if <uint64_t> number >= self.disk.sectors:
            memset(data, PAST_END, SECTOR)
            return 0
        return self.disk.read(number, 1, data)

    cdef int store_sector(self, int64_t number, const uint8_t *data) noexcept nogil:
        """0, or an errno."""
        self.dirty = True
        return self.disk.write(number, 1, data)

    cdef declare(self, Fields fields):
        fields.u8("cylinder", &self.cylinder, 0x7F)
        fields.flag("changed", &self.changed)
        fields.u8("rotation", &self.rotation, 0x7F)
