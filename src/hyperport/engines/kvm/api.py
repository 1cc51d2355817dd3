# SPDX-License-Identifier: GPL-2.0-or-later
"""The binding to /dev/kvm: request numbers, structures, and the making of a virtual machine with one vCPU.

All numbers and layouts are those of <linux/kvm.h> and, for x86, <asm/kvm.h>; what they mean stands in the kernel's
Documentation/virt/kvm/api.rst. Running the vCPU is engine.pyx's; nothing here is called between two exits.
"""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
import struct
from collections.abc import Mapping
from enum import IntEnum
from pathlib import Path
from typing import Final

from hyperport.bus.attributes import PortAttributes
from hyperport.cpu.cpuid import STRUCTURED, Leaf
from hyperport.engines.kvm.coalescing import CoalescedPorts
from hyperport.errors import EngineError

DEVICE: Final = Path("/dev/kvm")
API_VERSION: Final = 12

# ioctl numbers: _IO, _IOW, _IOR and _IOWR of type 0xAE, as the macros of <linux/kvm.h> make them.
GET_API_VERSION: Final = 0xAE00
CREATE_VM: Final = 0xAE01
CHECK_EXTENSION: Final = 0xAE03
GET_VCPU_MMAP_SIZE: Final = 0xAE04
GET_SUPPORTED_CPUID: Final = 0xC008AE05
CREATE_VCPU: Final = 0xAE41
SET_TSS_ADDR: Final = 0xAE47
SET_IDENTITY_MAP_ADDR: Final = 0x4008AE48
CREATE_IRQCHIP: Final = 0xAE60
CREATE_PIT2: Final = 0x4040AE77
IOEVENTFD: Final = 0x4040AE79
SET_CPUID2: Final = 0x4008AE90

IO_EVENT: Final = struct.Struct("<QQIiI36x")  # value, port, bytes, descriptor, flags
PIT_CONFIG: Final = struct.Struct("<I60x")  # flags
CPUID_HEAD: Final = struct.Struct("<II")  # entries, padding
CPUID_ENTRY: Final = struct.Struct("<7I12x")  # function, index, flags, eax, ebx, ecx, edx
CPUID_MOST: Final = 256
INDEX_COUNTS: Final = 1 << 0  # KVM_CPUID_FLAG_SIGNIFCANT_INDEX: the answer is for sub-leaf 0 alone
ADDRESS_BITS: Final = 0x80000008  # CPUID leaf
LINEAR_BITS: Final = 48

IO_EVENT_PORT: Final = 1 << 1  # KVM_IOEVENTFD_FLAG_PIO
PIT_WITH_PORT_61: Final = 1 << 0  # KVM_PIT_SPEAKER_DUMMY

# Above the largest RAM (3 GiB) and below the BIOS's place. Wanted on Intel without unrestricted guest.
IDENTITY_MAP_AT: Final = 0xFFFBC000
TSS_AT: Final = 0xFFFBD000


class Cap(IntEnum):
    """Extensions (KVM_CAP_) that the engine asks for."""

    IRQCHIP = 0
    USER_MEMORY = 3
    SET_TSS_ADDR = 4
    COALESCED_MMIO = 15  # answers the page of the ring in the vCPU's mapping
    PIT2 = 33
    IOEVENTFD = 36
    SET_IDENTITY_MAP_ADDR = 37
    VCPU_EVENTS = 41
    XSAVE = 55
    SYNC_REGS = 74  # answers a mask: 1 general registers, 2 special registers
    READONLY_MEM = 81
    IMMEDIATE_EXIT = 136
    COALESCED_PIO = 162


NEEDED: Final = (Cap.USER_MEMORY, Cap.VCPU_EVENTS, Cap.XSAVE, Cap.IMMEDIATE_EXIT)
ADVICE: Final = "use --engine unicorn"


def open_device() -> int:
    """A descriptor of /dev/kvm. Raises EngineError with one line that says why not, and what to do."""
    try:
        descriptor = os.open(DEVICE, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        raise EngineError(f"kvm: {DEVICE} is not there: load the module kvm_intel or kvm_amd, or {ADVICE}") from None
    except PermissionError:
        raise EngineError(f"kvm: {DEVICE} is not for this user: join the group that owns it, or {ADVICE}") from None
    except OSError as error:
        raise EngineError(f"kvm: {DEVICE} cannot be opened: {error.strerror}; {ADVICE}") from error
    try:
        version = fcntl.ioctl(descriptor, GET_API_VERSION, 0)
        if version != API_VERSION:
            raise EngineError(f"kvm: the kernel has API {version}, not {API_VERSION}; {ADVICE}")
        if missing := [cap.name for cap in NEEDED if not extension(descriptor, cap)]:
            raise EngineError(f"kvm: the kernel lacks {', '.join(missing)}: it is older than 4.12; {ADVICE}")
    except OSError as error:
        os.close(descriptor)
        raise EngineError(f"kvm: {DEVICE} does not answer as KVM: {error.strerror}; {ADVICE}") from error
    except EngineError:
        os.close(descriptor)
        raise
    return descriptor


def extension(descriptor: int, cap: Cap) -> int:
    """What CHECK_EXTENSION says of a capability: 0 if it is not there."""
    return fcntl.ioctl(descriptor, CHECK_EXTENSION, cap)


class VirtualMachine:
    """The descriptors of a machine with one vCPU, and the page that it shares with the kernel.

    It has no memory yet. irqchip: interrupt controllers and timer in the kernel. Raises EngineError.
    """

    def __init__(self, *, irqchip: bool = False) -> None:
        self.fds: list[int] = []
        self.shared: mmap.mmap | None = None
        self.coalesced: CoalescedPorts | None = None
        try:
            self.fds.append(open_device())
            self.system = self.fds[0]
            self.vm = self._create(self.system, CREATE_VM, "a virtual machine")
            if self.has(Cap.SET_IDENTITY_MAP_ADDR):
                fcntl.ioctl(self.vm, SET_IDENTITY_MAP_ADDR, IDENTITY_MAP_AT.to_bytes(8, "little"))
            if irqchip:
                self._create_irqchip()
            self.vcpu = self._create(self.vm, CREATE_VCPU, "a vCPU")
            self.shared = mmap.mmap(self.vcpu, fcntl.ioctl(self.system, GET_VCPU_MMAP_SIZE, 0))
        except OSError as error:
            self.close()
            raise EngineError(f"kvm: setting up the machine: {error.strerror}; {ADVICE}") from error
        except EngineError:
            self.close()
            raise

    def _create(self, descriptor: int, request: int, what: str) -> int:
        try:
            created = fcntl.ioctl(descriptor, request, 0)
        except OSError as error:
            if error.errno == errno.EBUSY:
                raise EngineError(
                    f"kvm: {DEVICE} is busy: another hypervisor has the CPU; stop it, or {ADVICE}"
                ) from error
            raise EngineError(f"kvm: making {what}: {error.strerror}; {ADVICE}") from error
        self.fds.append(created)
        os.set_inheritable(created, False)
        return created

    def _create_irqchip(self) -> None:
        if not (self.has(Cap.IRQCHIP) and self.has(Cap.PIT2)):
            raise EngineError("kvm: the kernel has no interrupt controllers and timer to offer; use --kvm-irqchip off")
        fcntl.ioctl(self.vm, CREATE_IRQCHIP, 0)
        fcntl.ioctl(self.vm, CREATE_PIT2, PIT_CONFIG.pack(PIT_WITH_PORT_61))

    def has(self, cap: Cap) -> int:
        """What the kernel says of a capability."""
        return extension(self.system, cap)

    def set_cpuid(self, wanted: Mapping[int, Leaf]) -> dict[int, Leaf]:
        """Let CPUID answer with wanted, less the feature bits that this host cannot give; returns what was set.

        KVM takes no table with 32 linear address bits, so the guest is told of 48; in 32-bit modes none can be used.
        """
        supported = self.supported_cpuid()
        granted = dict(wanted)
        for leaf in (1, 0x80000001):
            if leaf in wanted and leaf in supported:
                eax, ebx, ecx, edx = wanted[leaf]
                granted[leaf] = (eax, ebx, ecx & supported[leaf][2], edx & supported[leaf][3])
        if ADDRESS_BITS in wanted:
            eax, ebx, ecx, edx = wanted[ADDRESS_BITS]
            granted[ADDRESS_BITS] = (eax & 0xFF | LINEAR_BITS << 8, ebx, ecx, edx)
        entries = b"".join(
            CPUID_ENTRY.pack(leaf, 0, INDEX_COUNTS if leaf == STRUCTURED else 0, *answer)
            for leaf, answer in sorted(granted.items())
        )
        try:
            fcntl.ioctl(self.vcpu, SET_CPUID2, CPUID_HEAD.pack(len(granted), 0) + entries)
        except OSError as error:
            raise EngineError(f"kvm: the kernel refuses our CPUID table: {error.strerror}; {ADVICE}") from error
        return granted

    def supported_cpuid(self) -> dict[int, Leaf]:
        """What this host can give, index 0 of each leaf."""
        buffer = bytearray(CPUID_HEAD.size + CPUID_MOST * CPUID_ENTRY.size)
        CPUID_HEAD.pack_into(buffer, 0, CPUID_MOST, 0)
        fcntl.ioctl(self.system, GET_SUPPORTED_CPUID, buffer)
        count, _ = CPUID_HEAD.unpack_from(buffer)
        entries = (CPUID_ENTRY.unpack_from(buffer, CPUID_HEAD.size + n * CPUID_ENTRY.size) for n in range(count))
        return {entry[0]: (entry[3], entry[4], entry[5], entry[6]) for entry in entries if entry[1] == 0}

    def coalesce(self, attributes: PortAttributes) -> None:
        """Let the kernel queue OUTs in the ring instead of leaving the guest, while attributes let them be posted."""
        self.coalesced = CoalescedPorts(self.vm)
        attributes.observe(self.coalesced)

    def signal_on_write(self, port: int, size: int, eventfd: int) -> None:
        """Let the kernel answer OUTs of size bytes to port by adding one to an eventfd; the guest goes on."""
        fcntl.ioctl(self.vm, IOEVENTFD, IO_EVENT.pack(0, port, size, eventfd, IO_EVENT_PORT))

    def close(self) -> None:
        """Give all back. Whoever holds a view of the shared page must have let go of it."""
        if self.coalesced is not None:
            self.coalesced.close()
        if self.shared is not None:
            self.shared.close()
            self.shared = None
        while self.fds:
            os.close(self.fds.pop())
