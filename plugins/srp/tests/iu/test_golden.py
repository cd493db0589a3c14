"""What the virtual SCSI client of a Linux kernel has sent, recorded in a guest."""

from collections import Counter
from pathlib import Path

from tgtcore_srp.iu.command import Command
from tgtcore_srp.iu.login import LoginRequest, LoginResponse
from tgtcore_srp.iu.management import TaskManagement
from tgtcore_srp.iu.opcodes import BufferFormat, BufferFormats, TaskManagementFunction
from tgtcore_srp.iu.response import Response
from tgtcore_srp.iu.table import FromInitiator, parse_from_initiator, parse_from_target

from tgtcore.scsi.status import Status

RECORD = Path(__file__).parents[3] / "ibmvio" / "tests" / "golden" / "client_ius.txt"
REQUEST_BYTES = 256
SRP = 1


def recorded(word: str) -> list[bytes]:
    """The SRP information units of request or answer lines, without the zeros at their ends."""
    lines = [line.split() for line in RECORD.read_text().splitlines() if line.startswith(word)]
    return [bytes.fromhex(unit) for _, element, unit in lines if bytes.fromhex(element)[1] == SRP]


def requests() -> list[tuple[FromInitiator, bytes]]:
    """Each request as it was read, and its bytes."""
    units = recorded("request")
    assert units
    return [(parse_from_initiator(unit.ljust(REQUEST_BYTES, b"\0")), unit) for unit in units]


def test_all_requests_are_read_and_written_the_same() -> None:
    """Behind their ends the client leaves what an earlier request had there."""
    for fields, unit in requests():
        assert unit.ljust(REQUEST_BYTES, b"\0").startswith(fields.build())


def test_the_kinds_that_were_recorded() -> None:
    kinds = Counter(type(fields) for fields, _ in requests())
    assert set(kinds) == {LoginRequest, Command, TaskManagement}
    assert kinds[LoginRequest] == 3


def test_its_login() -> None:
    login = next(fields for fields, _ in requests() if isinstance(fields, LoginRequest))
    assert login.it_iu_bytes == REQUEST_BYTES
    assert login.formats == BufferFormats.DIRECT | BufferFormats.INDIRECT
    assert (login.channels, login.immediate_offset) == (0, 0)


def test_its_buffers() -> None:
    buffers = [
        buffer
        for fields, _ in requests()
        if isinstance(fields, Command)
        for buffer in (fields.data_out, fields.data_in)
        if buffer
    ]
    assert {buffer.format for buffer in buffers} == {BufferFormat.DIRECT, BufferFormat.INDIRECT}
    assert all(sum(each.length for each in buffer.segments) == buffer.length for buffer in buffers if buffer.complete)


def test_its_reset_of_a_logical_unit() -> None:
    functions = [fields.function for fields, _ in requests() if isinstance(fields, TaskManagement)]
    assert TaskManagementFunction.LOGICAL_UNIT_RESET in functions


def test_the_answers_are_read() -> None:
    answers = [parse_from_target(unit.ljust(REQUEST_BYTES, b"\0")) for unit in recorded("answer")]
    assert Counter(type(fields) for fields in answers) == {LoginResponse: 3, Response: len(answers) - 3}
    assert {fields.status for fields in answers if isinstance(fields, Response)} == {
        Status.GOOD,
        Status.CHECK_CONDITION,
    }
