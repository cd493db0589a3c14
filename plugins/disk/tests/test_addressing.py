import pytest
from tgtcore_disk import Disk

from tgtcore import Command, SharedCommands
from tgtcore.testing.initiator import Initiator, MemoryTask

BLOCKS = 2048


def task_of(initiator: Initiator, cdb: str, data_out: bytes = b"") -> MemoryTask:
    """A task as filters meet it: it is to run, and its data-out is there."""
    raw = bytes.fromhex(cdb).ljust(16, b"\0")
    task = MemoryTask(initiator.nexus, 0, 1, 1, raw, data_out, 0)
    task.data_out = data_out
    task.wanted_out = len(data_out)
    return task


@pytest.mark.parametrize(
    ("cdb", "ranges"),
    [
        ("08 000005 03 00", [(5, 8)]),
        ("0a 000005 00 00", [(5, 261)]),
        ("28 00 00000005 00 0003 00", [(5, 8)]),
        ("2a 00 00000005 00 0000 00", []),
        ("a8 00 00000005 00000003 00 00", [(5, 8)]),
        ("8a 00 0000000000000005 00000003 00 00", [(5, 8)]),
        ("2f 02 00000005 00 0003 00", [(5, 8)]),
        ("ae 00 00000005 00000003 00 00", [(5, 8)]),
        ("93 08 0000000000000005 00000003 00 00", [(5, 8)]),
        ("8b 00 0000000000000005 00000003 00 00", [(5, 8)]),
        ("88 00 ffffffffffffffff ffffffff 00 00", [((1 << 64) - 1, (1 << 64) + (1 << 32) - 2)]),
        ("89 00 0000000000000005 000000 03 00 00", [(5, 8)]),
        ("89 00 0000000000000005 000000 00 00 00", []),
        ("35 00 00000005 00 0003 00", [(5, 8)]),
        ("35 00 00000000 00 0000 00", [(0, BLOCKS)]),
        ("91 00 0000000000000005 00000000 00 00", [(5, BLOCKS)]),
        ("91 00 0000000000000900 00000000 00 00", []),
        ("34 00 00000005 00 0003 00", [(5, 8)]),
        ("04 00 00 00 00 00", [(0, BLOCKS)]),
        ("9e 12 0000000000000005 00000040 00 00", [(5, BLOCKS)]),
        ("9e 10 0000000000000000 00000020 00 00", []),
        ("00 00 00 00 00 00", []),
        ("12 00 00 00 ff 00", []),
        ("c1 00 00 00 00 00", []),
    ],
)
def test_what_the_cdb_names(initiator: Initiator, disk: Disk, cdb: str, ranges: list[tuple[int, int]]) -> None:
    assert [(one.start, one.stop) for one in disk.addressed(task_of(initiator, cdb))] == ranges


UNMAP = "42 00 00 00 00 00 00 0038 00"


def parameters(*descriptors: tuple[int, int], length: int | None = None) -> bytes:
    body = b"".join(lba.to_bytes(8, "big") + blocks.to_bytes(4, "big") + bytes(4) for lba, blocks in descriptors)
    said = len(body) if length is None else length
    return (said + 6).to_bytes(2, "big") + said.to_bytes(2, "big") + bytes(4) + body


@pytest.mark.parametrize(
    ("data", "ranges"),
    [
        (parameters((5, 3), (0, 0), (7, 1)), [range(5, 8), range(7, 8)]),
        (parameters((5, 3), (7, 1), length=16), [range(5, 8)]),
        (parameters((5, 3), length=65520), [range(5, 8)]),
        (parameters((5, 3))[:-1], []),
        (parameters(*[(1, 1)] * 300), [range(1, 2)] * 256),
        (b"", []),
        (b"1234567", []),
    ],
)
def test_what_the_list_of_an_unmap_names(initiator: Initiator, disk: Disk, data: bytes, ranges: list[range]) -> None:
    assert list(disk.addressed(task_of(initiator, UNMAP, data))) == ranges


def test_before_its_data_has_come_an_unmap_is_about_nothing_known(initiator: Initiator, disk: Disk) -> None:
    task = task_of(initiator, UNMAP)
    task.data_out = None
    assert disk.addressed(task) == ()


def test_every_command_that_touches_blocks_says_which(initiator: Initiator, disk: Disk) -> None:
    """A command that is added must not be forgotten: of those that the disk itself has, these are about no blocks."""
    shared = set(SharedCommands.commands)
    silent = {
        bound.command.name
        for bound in disk.lu.commands
        if (bound.command.opcode, bound.command.service_action) not in shared
        and not any(disk.addressed(filled(initiator, bound.command, fill)) for fill in (b"\0", b"\1"))
    }
    assert silent == {
        "read_capacity_10",
        "read_capacity_16",
        "read_defect_data_10",
        "read_defect_data_12",
        "start_stop_unit",
    }


def filled(initiator: Initiator, entry: Command, fill: bytes) -> MemoryTask:
    cdb = bytes((entry.opcode, entry.service_action or 0)).ljust(16, fill)
    return task_of(initiator, cdb.hex(), parameters((1, 1)))
