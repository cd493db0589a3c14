import pytest

from tgtcore.device import BoundCommand, CommandTable, DeviceType, command
from tgtcore.device.command import commands_of
from tgtcore.task import Task


class Base(DeviceType):
    code = 0x03

    @command(0x00, "00 00 00 00 00 00")
    def test_unit_ready(self, task: Task) -> None:
        """Base."""

    @command(0xA3, "A3 0C 87 FF FF FF FF FF FF FF 00 00", service_action=0x0C)
    @command(0xC0, "C0 00 00 00 00 00", feature="odd")
    def several(self, task: Task) -> None:
        """Two commands."""


class Derived(Base):
    def test_unit_ready(self, task: Task) -> None:
        """Overrides the handler, keeps the entry."""


def bound(opcode: int, action: int | None = None) -> BoundCommand:
    entry, _ = Base.commands[opcode, action]
    return BoundCommand(entry, lambda device, task: None, None)


def test_the_class_body_is_the_table() -> None:
    assert set(commands_of(Base)) == {(0x00, None), (0xA3, 0x0C), (0xC0, None)}
    assert Derived.commands[0x00, None][1] == "test_unit_ready"


def test_usage_data_must_begin_with_the_opcode() -> None:
    with pytest.raises(TypeError, match="begins with 12h, not with the opcode 28h"):
        command(0x28, "12 00")(lambda self, task: None)


def test_reserved_bits_are_what_the_usage_data_leaves_out() -> None:
    entry, _ = Base.commands[0x00, None]
    assert entry.reserved_bits == int.from_bytes(b"\0" + b"\xff" * 5 + bytes(10), "big")
    entry, _ = Base.commands[0xA3, 0x0C]
    assert entry.reserved_bits.to_bytes(16, "big")[:4] == bytes.fromhex("00 e0 78 00")


def test_finding_by_opcode_and_service_action() -> None:
    ready, report = bound(0x00), bound(0xA3, 0x0C)
    table = CommandTable([ready, report])
    assert table.find(bytes(16)) is ready
    assert table.find(bytes.fromhex("a3ec").ljust(16, b"\0")) is report
    assert table.find(bytes.fromhex("a30d").ljust(16, b"\0")) is None
    assert table.find(b"\xff".ljust(16, b"\0")) is None
    assert table.has_opcode(0xA3)
    assert not table.has_opcode(0xFF)


def test_a_copy_is_independent() -> None:
    table = CommandTable([bound(0x00)])
    copy = table.copy()
    copy.replace(bound(0xC0))
    assert [entry.command.opcode for entry in copy] == [0x00, 0xC0]
    assert [entry.command.opcode for entry in table] == [0x00]


def test_devices_with_the_same_features_share_a_table() -> None:
    class Odd(Base):
        def __init__(self, *features: str) -> None:
            self.features = set(features)

        def command_features(self) -> set[str]:
            return self.features

    table = Odd().bind_commands()
    assert Odd().bind_commands() is table
    assert not table.has_opcode(0xC0)
    assert Odd("odd").bind_commands().has_opcode(0xC0)
    assert table.find(bytes(16)).handler is Odd.test_unit_ready  # type: ignore[union-attr]
