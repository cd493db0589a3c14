"""Initiators that are slow, silent or greedy; each is a context manager for as long as they are there."""

import contextlib
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from oracle.commands import BLOCK_BYTES, read16, write16
from oracle.libiscsi import library
from oracle.pipelined import PipelinedSession
from oracle.served import Served

PEERS = 6
CROWD = 100
COMMANDS = 32
COMMAND_BYTES = 4 << 20
"""The longest transfer of a disk."""

_COMMAND_BLOCKS = COMMAND_BYTES // BLOCK_BYTES
_LOGIN_HEADER = bytes((0x43, 0x81)) + bytes(46)
_PING_HEADER = bytes((0x40, 0x80)) + bytes(46)


@contextmanager
def _sessions(served: Served, number: int) -> Iterator[list[PipelinedSession]]:
    sessions = [PipelinedSession(served.url) for _ in range(number)]
    try:
        yield sessions
    finally:
        for session in sessions:
            session.drop()


@contextmanager
def never_reading(served: Served, peers: int = PEERS) -> Iterator[None]:
    """Sessions that ask for much and take nothing of it."""
    with _sessions(served, peers) as sessions:
        for session in sessions:
            session.ready()
            _ask(session, lambda answer: None)
        yield


@contextmanager
def stopped_reading(served: Served) -> Iterator[None]:
    """Sessions that take a part of what they asked for, and then no more."""
    with _sessions(served, PEERS) as sessions:
        for session in sessions:
            session.ready()
            answers: list[object] = []
            _ask(session, answers.append)
            while len(answers) < 2:
                session.serve(5)
        yield


def _ask(session: PipelinedSession, done: Callable[[object], None]) -> None:
    for number in range(COMMANDS):
        session.start(read16(number * _COMMAND_BLOCKS, _COMMAND_BLOCKS), done, read=COMMAND_BYTES)
    while not session.everything_sent:
        session.serve(5)


@contextmanager
def not_sending_data(served: Served) -> Iterator[None]:
    """Sessions that announce much data-out and send what comes with the commands, but no more when R2Ts ask for it."""
    data = bytes(COMMAND_BYTES)
    with _sessions(served, PEERS) as sessions:
        for session in sessions:
            session.ready()
            for number in range(COMMANDS):
                session.start(write16(number * _COMMAND_BLOCKS, _COMMAND_BLOCKS), lambda answer: None, data_out=data)
            session.serve(5)
        yield


@contextmanager
def one_byte_a_second(served: Served) -> Iterator[None]:
    """Logins and pings that come byte by byte."""
    ended = threading.Event()
    with ExitStack() as stack:
        for _ in range(CROWD):
            stack.enter_context(socket.create_connection(served.portal, timeout=5))
        connections = [stack.enter_context(socket.create_connection(served.portal, timeout=5)) for _ in range(PEERS)]
        sessions = stack.enter_context(_sessions(served, PEERS))
        logins = [connection.fileno() for connection in connections]
        logged_in = [library.iscsi_get_fd(session.context) for session in sessions]

        def trickle() -> None:
            for login_byte, ping_byte in zip(_LOGIN_HEADER, _PING_HEADER, strict=True):
                for descriptors, byte in ((logins, login_byte), (logged_in, ping_byte)):
                    for descriptor in descriptors:
                        with contextlib.suppress(OSError):
                            os.write(descriptor, bytes((byte,)))
                if ended.wait(1):
                    return

        thread = threading.Thread(target=trickle, daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join(10)


@contextmanager
def half_open(served: Served) -> Iterator[None]:
    """Connections that say nothing, and ones that begin to log in and then say nothing."""
    text = b"InitiatorName=iqn.2025-01.example.slow:peer\0SessionType=Discovery\0AuthMethod=None\0"
    header = bytes((0x43, 0x81, 0, 0)) + len(text).to_bytes(4, "big") + b"\x40" + bytes(39)
    request = header + text + bytes(-len(text) % 4)
    with ExitStack() as stack:
        for number in range(CROWD):
            connection = stack.enter_context(socket.create_connection(served.portal, timeout=5))
            if number % 2:
                connection.sendall(request)
                assert connection.recv(48)[:1] == b"\x23", "a login response"
        yield


@contextmanager
def silent_sessions(served: Served) -> Iterator[None]:
    """Sessions that are logged in and say nothing."""
    with _sessions(served, PEERS):
        yield
