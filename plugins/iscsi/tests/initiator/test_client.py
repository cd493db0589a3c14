"""The small client reads what it waits for, and nothing that comes behind it."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from tgtcore_iscsi.addresses import Address
from tgtcore_iscsi.initiator.client import Client
from tgtcore_iscsi.pdu import responses
from tgtcore_iscsi.pdu.codes import FINAL, NO_TAG, AsyncEvent

LOGIN_ANSWERS = (
    b"\x23\x81" + bytes(46),  # security negotiation is over
    b"\x23\x87" + bytes(22) + (1).to_bytes(4, "big") + bytes(20),  # full feature phase
)


@contextmanager
def target(*answers: bytes) -> Iterator[Address]:
    """Somebody who answers one request with each of these, whatever it is, and then hangs up."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            with listening.accept()[0] as connection:
                for answer in answers:
                    connection.recv(1 << 16)
                    connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield Address(*listening.getsockname())
        thread.join(10)


def test_what_comes_right_behind_the_login_is_left_in_the_socket() -> None:
    behind = responses.ASYNC_MESSAGE.build(
        responses.AsyncMessage(FINAL, 0, 0, NO_TAG, 2, 1, 1, AsyncEvent.LOGOUT_REQUESTED, 0, 0, 0, 1)
    )
    with target(LOGIN_ANSWERS[0], LOGIN_ANSWERS[1] + behind) as address:
        client = Client(address, "iqn.2025-01.example:t", "iqn.2025-01.example:i")
        assert client._socket.recv(1 << 16) == behind
        client.abort()


def test_a_target_that_hangs_up_within_an_answer_is_gone() -> None:
    with target(LOGIN_ANSWERS[0][:40]) as address, pytest.raises(ConnectionError, match="closed the connection"):
        Client(address, "iqn.2025-01.example:t", "iqn.2025-01.example:i")
