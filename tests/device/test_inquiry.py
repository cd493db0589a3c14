from collections.abc import Mapping

import pytest

from tgtcore.device import SharedCommands
from tgtcore.errors import ConfigError
from tgtcore.scsi import asc
from tgtcore.scsi.sense import FieldPointer, SenseKey
from tgtcore.testing.initiator import Bench, Initiator


def page(initiator: Initiator, code: int) -> bytes:
    return initiator.execute(bytes((0x12, 1, code, 0xFF, 0xFF, 0))).data


def test_standard_data(initiator: Initiator) -> None:
    data = initiator.execute("12 00 00 ff ff").data
    assert data[0] == 0x03
    assert data[2] == 0x06
    assert data[4] == len(data) - 5
    assert data[5] >> 4 & 3 == 1  # implicit asymmetric access, which REPORT TARGET PORT GROUPS explains
    assert data[7] & 0x02
    assert data[8:36] == b"ACME    ANVIL           1.0 "
    assert data[58:64] == bytes.fromhex("00a0 0960 0460")


def test_whether_there_are_several_target_ports(made: Bench, initiator: Initiator) -> None:
    assert initiator.execute("12 00 00 00 24").data[6] == 0
    made.target.ports = lambda: made.ports
    assert len(made.ports) > 1
    assert initiator.execute("12 00 00 00 24").data[6] == 0x10


def test_a_page_code_without_evpd_is_refused(initiator: Initiator) -> None:
    result = initiator.execute("12 00 80 00 ff")
    assert result.code == (SenseKey.ILLEGAL_REQUEST, *asc.INVALID_FIELD_IN_CDB)
    assert result.sense.field == FieldPointer(2, None, True)


def test_an_unknown_page_is_refused(initiator: Initiator) -> None:
    assert initiator.execute("12 01 c0 00 ff").code == (SenseKey.ILLEGAL_REQUEST, *asc.INVALID_FIELD_IN_CDB)


def test_list_of_pages(initiator: Initiator) -> None:
    assert page(initiator, 0x00) == bytes.fromhex("03 00 0005 00 80 83 86 88")


def test_serial_number(initiator: Initiator) -> None:
    assert page(initiator, 0x80) == b"\x03\x80\0\x03S-1"


def test_identification_is_stable_and_names_the_port(made: Bench, initiator: Initiator, other: Initiator) -> None:
    mine, theirs = page(initiator, 0x83), page(other, 0x83)
    designators = _designators(mine)
    assert {(association, kind) for association, kind, _ in designators} >= {
        (0, 1),
        (0, 3),
        (0, 10),
        (1, 4),
        (1, 5),
        (1, 8),
    }
    of_unit = [entry for entry in designators if entry[0] == 0]
    assert of_unit == [entry for entry in _designators(theirs) if entry[0] == 0]
    assert (1, 4, bytes((0, 0, 0, 1))) in designators
    assert (1, 4, bytes((0, 0, 0, 2))) in _designators(theirs)
    assert made.lus[0].identity.unique_id in mine


def _designators(data: bytes) -> list[tuple[int, int, bytes]]:
    found, at = [], 4
    while at < len(data):
        length = data[at + 3]
        found.append((data[at + 1] >> 4 & 3, data[at + 1] & 0x0F, data[at + 4 : at + 4 + length]))
        at += 4 + length
    assert at == len(data)
    return found


def test_every_port_is_listed(made: Bench, initiator: Initiator) -> None:
    made.target.ports = lambda: made.ports
    data = page(initiator, 0x88)
    assert [data.index(port.name.encode()) > 0 for port in made.ports] == [True, True]
    assert data[4:8] == bytes((0, 0, 0, 1))


def test_plugins_add_pages_for_their_transport(made: Bench, initiator: Initiator) -> None:
    def extra(transport: str) -> Mapping[int, bytes]:
        assert transport == "memory"
        return {0xC7: b"hello"}

    made.lus[0].extra_vpd_pages = extra
    assert 0xC7 in page(initiator, 0x00)[4:]
    assert page(initiator, 0xC7) == b"\x03\xc7\0\x05hello"


def test_names_that_do_not_fit_are_refused_when_the_unit_is_made(made: Bench) -> None:
    with pytest.raises(ConfigError, match="vendor 'MUCHTOOLONG' is longer than 8 characters"):
        made.add(type("Named", (SharedCommands,), {"code": 3}), vendor="MUCHTOOLONG")
