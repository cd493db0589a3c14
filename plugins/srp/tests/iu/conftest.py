"""One valid information unit of each kind and shape: its object, and its bytes as the tables of the standard give them."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import pytest
from tgtcore_srp.fabric import Segment
from tgtcore_srp.iu.command import Command
from tgtcore_srp.iu.descriptors import BufferDescriptor
from tgtcore_srp.iu.header import Unit
from tgtcore_srp.iu.login import LoginReject, LoginRequest, LoginResponse
from tgtcore_srp.iu.management import TaskManagement
from tgtcore_srp.iu.others import (
    CreditRequest,
    CreditResponse,
    EventRequest,
    EventResponse,
    InitiatorLogout,
    TargetLogout,
)
from tgtcore_srp.iu.response import Response
from tgtcore_srp.iu.table import parse_from_initiator, parse_from_target

TAG = 0x0102030405060708
TAG_HEX = "01 02 03 04 05 06 07 08"
LUN = 0x8001_0000_0000_0000
LUN_HEX = "80 01 00 00 00 00 00 00"
INITIATOR = bytes(range(0x10, 0x20))
TARGET = bytes(range(0x20, 0x30))
PORTS_HEX = "10 11 12 13 14 15 16 17 18 19 1a 1b 1c 1d 1e 1f 20 21 22 23 24 25 26 27 28 29 2a 2b 2c 2d 2e 2f"
WRITE_16 = bytes.fromhex("8a 00 00 00 00 00 00 00 12 34 00 00 00 08 00 00")
READ_10 = bytes.fromhex("28 00 00 00 12 34 00 00 08 00 00 00 00 00 00 00")
LONG_CDB = bytes.fromhex("7f 00 00 00 00 00 00 10 00 09 20 00 00 00 00 00 01 02 03 04 05 06 07 08")

WHOLE = Segment(0x0000_7F00_1234_5000, 0xAABBCCDD, 0x1000)
WHOLE_HEX = "00 00 7f 00 12 34 50 00 aa bb cc dd 00 00 10 00"
FIRST = Segment(0x1000, 1, 0x200)
SECOND = Segment(0x9000, 2, 0x600)
PAIR_HEX = "00 00 00 00 00 00 10 00 00 00 00 01 00 00 02 00  00 00 00 00 00 00 90 00 00 00 00 02 00 00 06 00"
TABLE = Segment(0x5000, 3, 32)
TABLE_HEX = "00 00 00 00 00 00 50 00 00 00 00 03 00 00 00 20"
IMMEDIATE_OFFSET = 68

DIRECT = BufferDescriptor.direct(WHOLE)
INDIRECT = BufferDescriptor.indirect(TABLE, (FIRST, SECOND))
PARTIAL = BufferDescriptor.indirect(TABLE, (FIRST, SECOND), listed=1)
UNLISTED = BufferDescriptor.indirect(TABLE, (FIRST, SECOND), listed=0)


def command_hex(form: str, counts: str, cdb: bytes, rest: str = "", *, more: str = "00", solicited: str = "00") -> str:
    """A command of attribute 1 with its tag and LUN."""
    return f"02 {solicited} 00 00 00 {form} {counts} {TAG_HEX} 00 00 00 00 {LUN_HEX} 00 01 00 {more} {cdb.hex()} {rest}"


class Sample(NamedTuple):
    """A unit as an object and as bytes, and how to get from one to the other."""

    fields: Any
    unit: bytes
    parse: Callable[[Unit], Any]
    build: Callable[[Any], bytes]


IMMEDIATE_DATA = bytes.fromhex("deadbeef")
COMMANDS: dict[str, tuple[Command, str]] = {
    "no data": (Command(TAG, LUN, 1, bytes(16)), command_hex("00", "00 00", bytes(16))),
    "direct in": (
        Command(TAG, LUN, 1, READ_10, 6, None, DIRECT),
        command_hex("01", "00 00", READ_10, WHOLE_HEX, solicited="06"),
    ),
    "direct out": (
        Command(TAG, LUN, 1, WRITE_16, 2, DIRECT),
        command_hex("10", "00 00", WRITE_16, WHOLE_HEX, solicited="02"),
    ),
    "indirect in": (
        Command(TAG, LUN, 1, READ_10, 0, None, INDIRECT),
        command_hex("02", "00 02", READ_10, f"{TABLE_HEX} 00 00 08 00 {PAIR_HEX}"),
    ),
    "partly listed out": (
        Command(TAG, LUN, 1, WRITE_16, 0, PARTIAL),
        command_hex("20", "01 00", WRITE_16, f"{TABLE_HEX} 00 00 08 00 {PAIR_HEX[:48]}"),
    ),
    "not listed out": (
        Command(TAG, LUN, 1, WRITE_16, 0, UNLISTED),
        command_hex("20", "00 00", WRITE_16, f"{TABLE_HEX} 00 00 08 00"),
    ),
    "both ways, long CDB": (
        Command(TAG, LUN, 1, LONG_CDB, 0, DIRECT, INDIRECT),
        command_hex("12", "00 02", LONG_CDB, f"{WHOLE_HEX} {TABLE_HEX} 00 00 08 00 {PAIR_HEX}", more="08"),
    ),
}
FROM_INITIATOR: dict[str, tuple[Any, str]] = {
    "SRP_LOGIN_REQ": (
        LoginRequest(TAG, 8260, 0x0006, INITIATOR, TARGET, 0x81, IMMEDIATE_OFFSET),
        f"00 {'00' * 7} {TAG_HEX} 00 00 20 44 00 00 00 00 00 06 81 00 00 44 00 00 {PORTS_HEX}",
    ),
    "SRP_TSK_MGMT": (
        TaskManagement(TAG, LUN, 1, 0x1112131415161718, 4),
        f"01 04 {'00' * 6} {TAG_HEX} 00 00 00 00 {LUN_HEX} 00 00 01 00 11 12 13 14 15 16 17 18 {'00' * 8}",
    ),
    "SRP_I_LOGOUT": (InitiatorLogout(TAG), f"03 {'00' * 7} {TAG_HEX}"),
    "SRP_CRED_RSP": (CreditResponse(TAG), f"41 {'00' * 7} {TAG_HEX}"),
    "SRP_AER_RSP": (EventResponse(TAG), f"42 {'00' * 7} {TAG_HEX}"),
    **{f"SRP_CMD {name}": sample for name, sample in COMMANDS.items()},
}
FROM_TARGET: dict[str, tuple[Any, str]] = {
    "SRP_LOGIN_RSP": (
        LoginResponse(TAG, 64, 8260, 256, 0x0006, 0x82),
        f"c0 00 00 00 00 00 00 40 {TAG_HEX} 00 00 20 44 00 00 01 00 00 06 82 {'00' * 25}",
    ),
    "SRP_LOGIN_REJ": (
        LoginReject(TAG, 0x00010006, 0x0002),
        f"c2 00 00 00 00 01 00 06 {TAG_HEX} {'00' * 8} 00 02 {'00' * 6}",
    ),
    "SRP_T_LOGOUT": (TargetLogout(TAG, 8, 1), f"80 01 00 00 00 00 00 08 {TAG_HEX}"),
    "SRP_CRED_REQ": (CreditRequest(TAG, -3, 1), f"81 01 00 00 ff ff ff fd {TAG_HEX}"),
    "SRP_AER_REQ": (
        EventRequest(TAG, 0, LUN, bytes.fromhex("7206290000000000"), 1),
        f"82 01 00 00 00 00 00 00 {TAG_HEX} 00 00 00 00 {LUN_HEX} 00 00 00 08 00 00 00 00 72 06 29 00 00 00 00 00",
    ),
    "SRP_RSP good": (Response(TAG, 1), f"c1 00 00 00 00 00 00 01 {TAG_HEX} {'00' * 20}"),
    "SRP_RSP sense": (
        Response(TAG, 0, 2, 0x0A, 512, 0, bytes.fromhex("7205240000000000"), None, 1),
        f"c1 01 00 00 00 00 00 00 {TAG_HEX} 00 00 0a 02 00 00 02 00 00 00 00 00 00 00 00 08 00 00 00 00 72 05 24 00 00 00 00 00",
    ),
    "SRP_RSP code": (
        Response(TAG, -1, 0, 0x21, 0, 7, b"", 5),
        f"c1 00 00 00 ff ff ff ff {TAG_HEX} 00 00 21 00 00 00 00 00 00 00 00 07 00 00 00 00 00 00 00 04 00 00 00 05",
    ),
    "SRP_RSP code and sense": (
        Response(TAG, 1, 0, 0x03, 0, 0, bytes(range(8)), 2),
        f"c1 00 00 00 00 00 00 01 {TAG_HEX} 00 00 03 00 {'00' * 8} 00 00 00 08 00 00 00 04 00 00 00 02 00 01 02 03 04 05 06 07",
    ),
}

IMMEDIATE = Command(TAG, LUN, 1, WRITE_16, 0, BufferDescriptor.immediate(4, IMMEDIATE_OFFSET))
IMMEDIATE_HEX = command_hex("30", "00 00", WRITE_16, f"00 00 00 04 {'00' * 16} de ad be ef")
LOGIN_CM_HEX = f"{TAG_HEX} 00 06 81 00 00 00 20 44 {PORTS_HEX} 00 44 {'00' * 6}"

SAMPLES = {
    **{
        name: Sample(fields, bytes.fromhex(text), parse_from_initiator, type(fields).build)
        for name, (fields, text) in FROM_INITIATOR.items()
    },
    **{
        name: Sample(fields, bytes.fromhex(text), parse_from_target, type(fields).build)
        for name, (fields, text) in FROM_TARGET.items()
    },
    "SRP_CMD immediate": Sample(
        IMMEDIATE,
        bytes.fromhex(IMMEDIATE_HEX),
        partial(Command.parse, immediate_offset=IMMEDIATE_OFFSET),
        partial(Command.build, immediate=IMMEDIATE_DATA),
    ),
    "SRP_LOGIN_REQ in a CM request": Sample(
        FROM_INITIATOR["SRP_LOGIN_REQ"][0], bytes.fromhex(LOGIN_CM_HEX), LoginRequest.parse_cm, LoginRequest.build_cm
    ),
}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test with an argument ``sample`` runs with each."""
    if "sample" in metafunc.fixturenames:
        metafunc.parametrize("sample", SAMPLES.values(), ids=SAMPLES)


@pytest.fixture
def samples() -> dict[str, Sample]:
    """All of them, by name."""
    return SAMPLES
