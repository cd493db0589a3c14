"""The conformance kit of device types: every promise of :mod:`tgtcore.device` as a test.

Subclass it in a test module::

    class TestMyDevice(DeviceTypeConformance):
        def add_device(self, bench: Bench) -> None:
            bench.add(MyDevice, RamStore(), MyOptions())
"""

from collections.abc import Iterator
from typing import ClassVar

try:
    import hypothesis
    import pytest
    from hypothesis import strategies
except ModuleNotFoundError as missing:
    raise ImportError(
        f"the conformance kit needs {missing.name}; install what it uses with: pip install pytest hypothesis"
    ) from missing

from tgtcore.device import BoundCommand
from tgtcore.device.command import VARIABLE_LENGTH
from tgtcore.logical_unit import LogicalUnit, Pause
from tgtcore.scsi import asc
from tgtcore.scsi.sense import FieldPointer, SenseKey
from tgtcore.scsi.status import Status
from tgtcore.store import OpenStore
from tgtcore.testing.initiator import Bench, Initiator, Result, bench

_CDB_LENGTHS = (6, 10, 12, 16, 32, 260)
_ALLOCATION_LENGTHS = (0, 1, 3, 4, 7, 8, 255, 65535)
_SERVICE_ACTION_BITS = 0x1F
_PAUSE_S = 10
_FILL = bytes(range(256)) * 32

_DATA_IN = {
    "REQUEST SENSE": ("03 00 00 00 00 00", 4, 1),
    "INQUIRY": ("12 00 00 00 00 00", 3, 2),
    "INQUIRY, page 83h": ("12 01 83 00 00 00", 3, 2),
    "MODE SENSE (6)": ("1A 00 3F 00 00 00", 4, 1),
    "MODE SENSE (10)": ("5A 00 3F FF 00 00 00 00 00 00", 7, 2),
    "LOG SENSE": ("4D 00 40 00 00 00 00 00 00 00", 7, 2),
    "REPORT LUNS": ("A0 00 02 00 00 00 00 00 00 00 00 00", 6, 4),
    "REPORT SUPPORTED OPERATION CODES": ("A3 0C 80 00 00 00 00 00 00 00 00 00", 6, 4),
    "REPORT TARGET PORT GROUPS": ("A3 0A 00 00 00 00 00 00 00 00 00 00", 6, 4),
}
"""CDB without allocation length, and where that lies: byte and number of bytes."""


def check_well_formed(result: Result) -> None:
    """Status and sense data are what the standard allows, and nothing went wrong inside.

    :raises AssertionError: they are not.
    """
    if result.status is not Status.CHECK_CONDITION:
        assert not result.sense_bytes, f"sense data with status {result.status.name}"
        return
    assert not result.data, "data-in with CHECK CONDITION"
    assert len(result.sense_bytes) >= 8
    assert result.sense_bytes[0] & 0x7F in (0x70, 0x72), f"sense response code {result.sense_bytes[0]:02X}h"
    assert result.sense.code in asc.TEXT, f"{asc.text(result.sense.code)}"
    assert result.sense.code != asc.INTERNAL_TARGET_FAILURE, "the device type raised what it should not; see the log"


class DeviceTypeConformance:
    """Tests that every device type passes; a subclass says how to make one."""

    examples: ClassVar[int] = 400
    """How many random commands are tried."""

    def add_device(self, bench: Bench) -> None:
        """Add one logical unit to a bench."""
        raise NotImplementedError

    @pytest.fixture
    def initiator(self) -> Iterator[Initiator]:
        """An initiator that has the device as LUN 0."""
        with bench() as made:
            self.add_device(made)
            yield made.initiator()

    @pytest.mark.parametrize("length", _CDB_LENGTHS)
    def test_every_opcode_ends(self, initiator: Initiator, length: int) -> None:
        """All operation codes, with and without data-out."""
        for opcode in range(256):
            for fill in (0x00, 0xFF):
                cdb = bytes((opcode,)).ljust(length, bytes((fill,)))
                check_well_formed(initiator.execute(cdb))
                check_well_formed(initiator.execute(cdb, _FILL))

    def test_every_service_action_ends(self, initiator: Initiator) -> None:
        """All service actions of the operation codes that have them."""
        slots = _lu(initiator).commands.slots
        for opcode in (code for code in range(256) if isinstance(slots[code], dict)):
            for action in range(32):
                for fill in (b"\0", b"\xff"):
                    cdb = bytes((opcode, action)).ljust(16, fill)
                    check_well_formed(initiator.execute(cdb))
                    check_well_formed(initiator.execute(cdb, _FILL))

    def test_random_commands_end(self) -> None:
        """Random fields in the commands that there are, mostly small numbers, with random data-out."""
        byte = strategies.sampled_from([0] * 8 + [1, 2, 3, 4, 7, 8, 16, 24, 64, 128, 254, 255])
        with bench() as made:
            self.add_device(made)
            initiator = made.initiator()

            @hypothesis.settings(max_examples=self.examples, deadline=None, database=None)
            @hypothesis.given(
                strategies.sampled_from(list(_lu(initiator).commands)),
                strategies.lists(byte, min_size=32, max_size=32),
                strategies.lists(byte, max_size=64),
                strategies.sampled_from([0, 1, 512, 4096, 8192]),
            )
            def check(bound: BoundCommand, fields: list[int], beginning: list[int], length: int) -> None:
                usage = bound.command.usage[1:].ljust(31, b"\0")
                rest = bytes(
                    bare | field & used for bare, field, used in zip(_bare(bound)[1:], fields, usage, strict=False)
                )
                data_out = bytes(beginning).ljust(length, b"\0")[:length]
                check_well_formed(initiator.execute(bytes((bound.command.opcode,)) + rest, data_out))

            check()

    def test_what_is_absent_is_refused(self, initiator: Initiator) -> None:
        """An operation code that is not reported as supported is refused as such."""
        supported = {opcode for opcode, _ in _reported(initiator)}
        for opcode in set(range(256)) - supported:
            result = initiator.execute(bytes((opcode,)).ljust(16, b"\0"))
            assert result.code == (SenseKey.ILLEGAL_REQUEST, *asc.INVALID_COMMAND_OPERATION_CODE), f"{opcode:02X}h"

    def test_each_supported_command_has_usage_data(self, initiator: Initiator) -> None:
        """The one-command format agrees with the list of all commands."""
        for (opcode, action), length in _reported(initiator).items():
            option = 1 if action is None else 2
            request = bytes((0xA3, 0x0C, option, opcode)) + (action or 0).to_bytes(2, "big") + (512).to_bytes(4, "big")
            data = initiator.execute(request).data
            assert data[1] & 7 == 3, f"{opcode:02X}h is listed, but not as supported when asked for"
            assert int.from_bytes(data[2:4], "big") == length
            assert data[4] == opcode

    def test_reserved_bits_are_refused(self, initiator: Initiator) -> None:
        """Each bit that is no part of the CDB usage data is refused with a pointer to it."""
        for bound in _lu(initiator).commands:
            for byte, bit in _reserved(bound):
                cdb = bytearray(_bare(bound))
                cdb[byte] |= 1 << bit
                result = initiator.execute(bytes(cdb))
                where = f"{bound.command.name}, byte {byte} bit {bit}"
                assert result.code == (SenseKey.ILLEGAL_REQUEST, *asc.INVALID_FIELD_IN_CDB), where
                assert result.sense.field == FieldPointer(byte, bit, True), where

    @pytest.mark.parametrize("name", _DATA_IN)
    def test_allocation_lengths(self, initiator: Initiator, name: str) -> None:
        """Every allocation length gives the beginning of the whole answer."""
        text, byte, width = _DATA_IN[name]
        whole = initiator.execute(_with_length(text, byte, width, (1 << 8 * width) - 1)).data
        for length in _ALLOCATION_LENGTHS:
            if length < 1 << 8 * width:
                result = initiator.execute(_with_length(text, byte, width, length))
                assert result.status is Status.GOOD
                assert result.data == whole[:length]

    def test_another_object_takes_over(self, initiator: Initiator) -> None:
        """A device type that promises to hand its state over answers as before when another object is in its place."""
        lu, made = _lu(initiator), initiator.bench
        assert set(lu.device.hand_over()) >= {"mode_pages"} or not lu.device.hands_over
        if not lu.device.hands_over:
            return
        asked = [_with_length(text, byte, width, (1 << 8 * width) - 1) for text, byte, width in _DATA_IN.values()]
        before = [initiator.execute(cdb) for cdb in asked]
        pause = Pause(lu, "a reload")
        made.loop.run_until_complete(pause.begin(_PAUSE_S))
        store = lu.store
        view = store and OpenStore(store.name, store.store, made.workers, read_only=not store.writable)
        pause.refit(type(lu.device), view, lu.device.options)
        pause.end()
        assert [initiator.execute(cdb) for cdb in asked] == before

    def test_vpd_pages(self, initiator: Initiator) -> None:
        """Every page that page 00h lists is there, with its code and its length; the list ascends."""
        standard = initiator.execute("12 00 00 FF FF").data
        pages = initiator.execute("12 01 00 FF FF").data
        codes = pages[4:]
        assert list(codes) == sorted(set(codes))
        assert codes[0] == 0
        for code in codes:
            page = initiator.execute(bytes((0x12, 1, code, 0xFF, 0xFF, 0))).data
            assert page[0] == standard[0]
            assert page[1] == code
            assert int.from_bytes(page[2:4], "big") == len(page) - 4

    def test_attentions_hold_commands_back(self, initiator: Initiator) -> None:
        """A unit attention is reported once, by whichever command may report it."""
        for bound in _lu(initiator).commands:
            itl = initiator.nexus.itl(0)
            assert itl is not None
            itl.attentions = (asc.BUS_DEVICE_RESET_FUNCTION_OCCURRED,)
            result = initiator.execute(_bare(bound))
            told = result.code == (SenseKey.UNIT_ATTENTION, *asc.BUS_DEVICE_RESET_FUNCTION_OCCURRED)
            assert told is not bound.passes_attention, bound.command.name
            itl.attentions = ()


def _lu(initiator: Initiator) -> LogicalUnit:
    itl = initiator.nexus.itl(0)
    assert itl is not None
    return itl.lu


def _reported(initiator: Initiator) -> dict[tuple[int, int | None], int]:
    """What REPORT SUPPORTED OPERATION CODES lists: (operation code, service action) → CDB length."""
    data = initiator.execute("A3 0C 00 00 00 00 00 00 FF FF").data
    assert int.from_bytes(data[:4], "big") == len(data) - 4
    listed: dict[tuple[int, int | None], int] = {}
    for at in range(4, len(data), 8):
        action = int.from_bytes(data[at + 2 : at + 4], "big") if data[at + 5] & 1 else None
        listed[data[at], action] = int.from_bytes(data[at + 6 : at + 8], "big")
    return listed


def _bare(bound: BoundCommand) -> bytes:
    """The command's CDB with every field zero."""
    entry = bound.command
    cdb = bytearray(max(16, len(entry.usage)))
    cdb[0] = entry.opcode
    if entry.service_action is not None and entry.opcode != VARIABLE_LENGTH:
        cdb[1] = entry.service_action
    elif entry.service_action is not None:
        cdb[8:10] = entry.service_action.to_bytes(2, "big")
    return bytes(cdb)


def _reserved(bound: BoundCommand) -> Iterator[tuple[int, int]]:
    entry = bound.command
    for byte, used in enumerate(entry.usage):
        if entry.service_action is not None and byte == 1:
            used |= _SERVICE_ACTION_BITS
        yield from ((byte, bit) for bit in range(8) if byte and not used >> bit & 1)


def _with_length(text: str, byte: int, width: int, length: int) -> bytes:
    cdb = bytearray(bytes.fromhex(text))
    cdb[byte : byte + width] = length.to_bytes(width, "big")
    return bytes(cdb)
