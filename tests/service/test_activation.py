"""Sockets that were opened for us."""

import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tgtcore.service.activation import socket_address, take_given

FIRST = 700
"""Where this test's descriptors begin, far from those that are in use."""


@pytest.fixture
def handed(tmp_path: Path) -> Iterator[list[str]]:
    """Four descriptors as a service manager hands them over; the addresses of those that listen."""
    with ExitStack() as stack:
        tcp = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        connected, _ = [stack.enter_context(sock) for sock in socket.socketpair()]
        unix = stack.enter_context(socket.socket(socket.AF_UNIX))
        unix.bind(str(tmp_path / "socket"))
        unix.listen()
        file = stack.enter_context((tmp_path / "file").open("w"))
        for number, one in enumerate((tcp, connected, file, unix)):
            os.dup2(one.fileno(), FIRST + number)
        yield [f"127.0.0.1:{tcp.getsockname()[1]}", str(tmp_path / "socket")]


def variables(count: int = 4, process: int | None = None) -> dict[str, str]:
    return {
        "LISTEN_FDS": str(count),
        "LISTEN_PID": str(process or os.getpid()),
        "LISTEN_FDNAMES": "iscsi:odd:file",
        "HOME": "/",
    }


def test_what_listens_is_taken_and_the_rest_is_closed(handed: list[str], caplog: pytest.LogCaptureFixture) -> None:
    environ = variables()
    given = take_given(environ, FIRST)
    try:
        assert [(one.name, socket_address(one.socket)) for one in given] == list(
            zip(("iscsi", ""), handed, strict=True)
        )
        assert environ == {"HOME": "/"}
        assert not any(one.socket.get_inheritable() or one.socket.getblocking() for one in given)
        for number in (1, 2):
            with pytest.raises(OSError, match="Bad file descriptor"):
                os.fstat(FIRST + number)
    finally:
        for one in given:
            one.socket.close()
    assert "(odd) was handed to us, but does not listen" in caplog.text
    assert "(file) was handed to us, but is no socket" in caplog.text


@pytest.mark.parametrize(
    "environ",
    [{}, variables(process=1), {"LISTEN_FDS": "x", "LISTEN_PID": str(os.getpid())}, {"LISTEN_FDS": "1"}],
    ids=["nothing", "another's", "nonsense", "no process"],
)
def test_what_is_not_for_us_is_left_alone(environ: dict[str, str]) -> None:
    environ = dict(environ)
    assert take_given(environ, FIRST) == []
    assert environ in ({}, {"HOME": "/"})


def test_a_descriptor_that_is_not_there_is_no_error(caplog: pytest.LogCaptureFixture) -> None:
    assert take_given(variables(1), FIRST + 50) == []
    assert "is no socket" in caplog.text


def test_an_address_of_each_family() -> None:
    with socket.socket(socket.AF_INET6) as sock:
        sock.bind(("::1", 0))
        assert socket_address(sock) == f"[::1]:{sock.getsockname()[1]}"
