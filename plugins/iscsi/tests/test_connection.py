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


class Recorder:
    """A phase that notes what comes; with the second PDU the login is over."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.seen: list[int] = []

    def request(self, buffer: bytearray, at: int, data_at: int, data_length: int, ahs_length: int) -> None:
        self.seen.append(buffer[at + 1])
        if len(self.seen) == 2:
            self.connection._receive_bytes = 4096


def test_the_buffer_grows_after_a_login_and_loses_nothing() -> None:
    connection = Connection("peer", Services(), lambda: None)
    connection.phase = recorder = Recorder(connection)
    pdus = [bytes([0x43, number]) + bytes(BHS_BYTES - 2) for number in range(1, 60)]
    stream = b"".join(pdus)
    while stream:
        space = connection.inbound.space()
        count = min(len(space), len(stream), 70)
        space[:count] = stream[:count]
        stream = stream[count:]
        connection.received(count)
    assert recorder.seen == list(range(1, 60))
    assert connection.inbound.capacity == 4096
