"""Which blocks a command is about, for filters that choose commands by that."""

from collections.abc import Callable

from tgtcore import Task
from tgtcore_disk.atomic import AtomicCommands, compare_and_write_fields
from tgtcore_disk.fields import Fields, fields_of
from tgtcore_disk.provisioning import ProvisioningCommands

Ranges = tuple[range, ...]


class Addressing(AtomicCommands, ProvisioningCommands):
    """The answer of a disk; what a command asks for is not checked, nor cut to the size of the medium."""

    def addressed(self, task: Task) -> Ranges:
        """The blocks that the CDB names, or the parameter list of UNMAP; for FORMAT UNIT all of them."""
        found = _BY_OPCODE.get(task.cdb[0])
        return () if found is None else found(self, task)


def _some(fields: Fields) -> Ranges:
    lba, blocks, _ = fields
    return (range(lba, lba + blocks),) if blocks else ()


def _named(disk: Addressing, task: Task) -> Ranges:
    return _some(fields_of[task.cdb[0]](task.cdb))


def _compared(disk: Addressing, task: Task) -> Ranges:
    return _some(compare_and_write_fields(task.cdb))


def _from_a_block_on(disk: Addressing, lba: int) -> Ranges:
    return (range(lba, disk.blocks),) if lba < disk.blocks else ()


def _cached(disk: Addressing, task: Task) -> Ranges:
    """Zero blocks mean the rest of the medium (SBC-4 5.10, 5.33)."""
    return _named(disk, task) or _from_a_block_on(disk, fields_of[task.cdb[0]](task.cdb)[0])


def _asked_about(disk: Addressing, task: Task) -> Ranges:
    """GET LBA STATUS, and READ CAPACITY (16), which is about none, have one operation code."""
    if task.cdb[1] & 0x1F != _GET_LBA_STATUS:
        return ()
    return _from_a_block_on(disk, int.from_bytes(task.cdb[2:10], "big"))


def _all(disk: Addressing, task: Task) -> Ranges:
    return (range(disk.blocks),)


_GET_LBA_STATUS = 0x12

_READS_AND_WRITES = (
    0x08,
    0x0A,
    0x28,
    0x2A,
    0x2E,
    0x2F,
    0x41,
    0x88,
    0x8A,
    0x8B,
    0x8E,
    0x8F,
    0x93,
    0xA8,
    0xAA,
    0xAE,
    0xAF,
)
_CACHE = (0x34, 0x35, 0x90, 0x91)

_BY_OPCODE: dict[int, Callable[[Addressing, Task], Ranges]] = {
    **dict.fromkeys(_READS_AND_WRITES, _named),
    **dict.fromkeys(_CACHE, _cached),
    0x04: _all,
    0x42: Addressing.unmap_addressed,
    0x89: _compared,
    0x9E: _asked_about,
}
