"""Registers of a 64-bit POWER processor, as GDB knows them (feature ``org.gnu.gdb.power.core``)."""

from struct import Struct

PC, MSR, LR = 64, 65, 67
"""Numbers of registers for GDB; general registers have their own."""

_ALL = Struct("<34QIQQI")
"""General registers, PC, MSR; CR; LR, CTR; XER."""

_SIXTY_FOUR_BITS = 1 << 63
_SIXTY_FOUR_ONES = (1 << 64) - 1
_INTERRUPTS = 1 << 15
_USER = 1 << 14
_TRANSLATED = 0x30
_LITTLE_ENDIAN = 1


class Registers:
    """What a processor had in its registers when it was stopped.

    :param answer: to GDB's request ``g``.
    :raises ValueError: it is none.
    """

    def __init__(self, answer: bytes) -> None:
        content = bytes.fromhex(answer.decode("ascii"))
        if len(content) != _ALL.size:
            raise ValueError(f"the registers have {len(content)} bytes, not {_ALL.size}")
        values = _ALL.unpack(content)
        self.general: tuple[int, ...] = values[:32]
        self.pc: int = values[32]
        self.msr: int = values[33]
        self.lr: int = values[35]

    @property
    def in_linux(self) -> bool:
        """Whether Linux has its address space; it has none in firmware and at the first steps of an exception."""
        needed = _SIXTY_FOUR_BITS | _TRANSLATED | _LITTLE_ENDIAN
        return self.msr & needed == needed

    @property
    def in_user_mode(self) -> bool:
        """Whether a user program runs, which may not call the hypervisor."""
        return bool(self.msr & _USER)

    @property
    def without_interrupts(self) -> int:
        """The machine state register, but without leave for interrupts."""
        return self.msr & ~_INTERRUPTS


def assign(register: int, value: int) -> bytes:
    """GDB's request to change a register; a value may be negative."""
    return b"P%x=%b" % (register, (value & _SIXTY_FOUR_ONES).to_bytes(8, "little").hex().encode())
