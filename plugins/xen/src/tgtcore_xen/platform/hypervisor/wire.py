"""Messages of the xenstore on the wire (docs/misc/xenstore.txt and xen/include/public/io/xs_wire.h of Xen).

A header of four little-endian words (type, request, transaction, length), and the payload: strings that end with a zero byte each.
"""

import errno
import os
import struct
from collections.abc import Iterable
from enum import IntEnum
from typing import NamedTuple

PAYLOAD_BYTES = 4096
"""The longest payload (``XENSTORE_PAYLOAD_MAX``); the server hangs up on who sends more."""

NO_TRANSACTION = 0

_HEADER = struct.Struct("<IIII")


class Type(IntEnum):
    """What a message is (``enum xsd_sockmsg_type``): those that are used here."""

    DIRECTORY = 1
    READ = 2
    WATCH = 4
    UNWATCH = 5
    TRANSACTION_START = 6
    TRANSACTION_END = 7
    WRITE = 11
    MKDIR = 12
    RM = 13
    SET_PERMS = 14
    WATCH_EVENT = 15
    ERROR = 16
    IS_DOMAIN_INTRODUCED = 17
    DIRECTORY_PART = 22


class Message(NamedTuple):
    """One message, of either direction.

    :param type: one of :class:`Type`.
    :param request: chosen by who asks, and repeated in the answer.
    """

    type: int
    request: int
    transaction: int
    payload: bytes


class BrokenMessage(OSError):
    """The store's server sent what is no message; nothing after it can be understood."""

    def __init__(self, problem: str) -> None:
        super().__init__(errno.EPROTO, f"the xenstore sent {problem}")


def encode(message: Message) -> bytes:
    """A message as it is sent.

    :raises OSError: ``E2BIG``: it is too long.
    """
    if len(message.payload) > PAYLOAD_BYTES:
        raise OSError(errno.E2BIG, f"more than {PAYLOAD_BYTES} bytes for the xenstore")
    return _HEADER.pack(message.type, message.request, message.transaction, len(message.payload)) + message.payload


class Decoder:
    """Cuts a stream of bytes into messages."""

    def __init__(self) -> None:
        self._received = bytearray()

    def feed(self, data: bytes) -> list[Message]:
        """The messages that are whole now.

        :raises BrokenMessage: the stream is none of the xenstore's.
        """
        received = self._received
        received += data
        messages = []
        at = 0
        while len(received) - at >= _HEADER.size:
            kind, request, transaction, length = _HEADER.unpack_from(received, at)
            if length > PAYLOAD_BYTES:
                raise BrokenMessage(f"a message of {length} bytes")
            end = at + _HEADER.size + length
            if len(received) < end:
                break
            messages.append(Message(kind, request, transaction, bytes(received[at + _HEADER.size : end])))
            at = end
        del received[:at]
        return messages


def strings(*words: str) -> bytes:
    """A payload of strings.

    :raises OSError: ``EINVAL``: one of them has a zero byte in it.
    """
    payload = b"".join(word.encode() + b"\0" for word in words)
    if payload.count(b"\0") != len(words):
        raise OSError(errno.EINVAL, "a zero byte in a name for the xenstore")
    return payload


def path_of(path: str) -> bytes:
    """A payload that begins with a path, which the server would take for one below our own node if it were not absolute.

    :raises OSError: ``EINVAL``: it is no absolute path, and none of the names that begin with ``@``.
    """
    if not path.startswith(("/", "@")):
        raise OSError(errno.EINVAL, "no absolute path for the xenstore", path)
    return strings(path)


def split(payload: bytes) -> list[str]:
    """The strings of a payload; what is no UTF-8 has replacement characters."""
    if not payload:
        return []
    return [text(word) for word in payload.removesuffix(b"\0").split(b"\0")]


def text(payload: bytes) -> str:
    """A payload that is one value."""
    return payload.decode(errors="replace")


def refusal(payload: bytes, about: str) -> OSError:
    """The exception for an answer of type ``ERROR``: it names the code of an error as C does."""
    name = text(payload.removesuffix(b"\0"))
    code = getattr(errno, name, None) if name in _ERRORS else None
    if code is None:
        return OSError(errno.EIO, f"the xenstore answers {name[:40]!r}", about)
    return OSError(code, f"the xenstore refuses: {os.strerror(code)}", about)


_ERRORS: Iterable[str] = frozenset(
    (
        "EINVAL",
        "EACCES",
        "EEXIST",
        "EISDIR",
        "ENOENT",
        "ENOMEM",
        "ENOSPC",
        "EIO",
        "ENOTEMPTY",
        "ENOSYS",
        "EROFS",
        "EBUSY",
    )
) | {"EAGAIN", "EISCONN", "E2BIG", "EPERM"}
"""Those of ``xsd_errors``."""
