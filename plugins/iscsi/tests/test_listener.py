"""Accepting connections while the network or the system is in trouble."""

import asyncio
import errno
import logging
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from pytest_mock import MockerFixture
from tgtcore_iscsi.addresses import Address
from tgtcore_iscsi.server import Listener

pytestmark = pytest.mark.asyncio


class Failing:
    """A listening socket whose accept fails a few times before it works."""

    def __init__(self, sock: socket.socket, errors: list[int]) -> None:
        self._socket = sock
        self._errors = errors

    def __getattr__(self, name: str) -> Any:
        return getattr(self._socket, name)

    def accept(self) -> tuple[socket.socket, Any]:
        if self._errors:
            number = self._errors.pop()
            raise OSError(number, errno.errorcode[number])
        return self._socket.accept()


@pytest_asyncio.fixture
async def accepted() -> AsyncIterator["asyncio.Queue[socket.socket]"]:
    queue: asyncio.Queue[socket.socket] = asyncio.Queue()
    yield queue
    while not queue.empty():
        queue.get_nowait().close()


@pytest.mark.parametrize(
    "numbers",
    [
        [errno.EPROTO, errno.ECONNABORTED, errno.EHOSTUNREACH],
        [errno.EPERM, errno.ETIMEDOUT],
        [errno.EMFILE],
        [errno.ENOBUFS, errno.EPROTO],
    ],
    ids=lambda numbers: " ".join(errno.errorcode[number] for number in numbers),
)
async def test_trouble_passes(
    accepted: "asyncio.Queue[socket.socket]",
    numbers: list[int],
    mocker: MockerFixture,
    caplog: pytest.LogCaptureFixture,
) -> None:
    mocker.patch("tgtcore_iscsi.server._ACCEPT_PAUSE_S", 0.01)
    caplog.set_level(logging.DEBUG)
    listener = Listener(Address("127.0.0.1", 0), asyncio.get_running_loop(), accepted.put_nowait, lambda asked: None)
    listener.socket = Failing(listener.socket, list(numbers))  # type: ignore[assignment]
    with socket.create_connection(listener.address):
        (await asyncio.wait_for(accepted.get(), 5)).close()
    listener.close()
    assert not [record for record in caplog.records if record.exc_info]
