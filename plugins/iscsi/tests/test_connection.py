import logging

import pytest
from tgtcore_iscsi.connection import Connection
from tgtcore_iscsi.limits import BHS_BYTES
from tgtcore_iscsi.session import Session


class Services:
    def cold_reset(self, session: Session) -> None:
        raise AssertionError("not asked for")


class Defect:
    """A phase with a bug."""

    def request(self, buffer: bytearray, at: int, data_at: int, data_length: int, ahs_length: int) -> None:
        raise ZeroDivisionError


def test_a_defect_costs_the_connection_and_is_logged_with_the_pdu(caplog: pytest.LogCaptureFixture) -> None:
    woken: list[None] = []
    connection = Connection("peer", Services(), lambda: woken.append(None))
    connection.phase = Defect()
    pdu = bytes([0x43, *range(1, 4)]) + bytes(BHS_BYTES - 4)
    connection.inbound.space()[:BHS_BYTES] = pdu
    connection.received(BHS_BYTES)
    assert connection.closing
    assert not connection.wants_input
    assert woken == [None]
    [record] = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert pdu.hex() in record.getMessage()
    assert record.exc_info
