"""Elements of a command/response queue: 16 bytes (LoPAR 17.2.3.1.1, table "CRQ Entry Format")."""

from collections.abc import Callable
from enum import IntEnum
from functools import partial
from struct import Struct

from tgtcore_ibmvio.crq.states import Event
from tgtcore_ibmvio.platform.transport_event import VALID, TransportEvent

FIELDS = Struct(">BBxBHHQ")
"""Header, format, status, timeout in seconds, length and address of an information unit; for an answer its tag in the place of
the address."""

_answer = Struct(">BBxBHH8s").pack


class Header(IntEnum):
    """The first byte."""

    COMMAND = 0x80
    INITIALIZATION = 0xC0
    TRANSPORT_EVENT = VALID


_COMMAND = int(Header.COMMAND)


class Format(IntEnum):
    """What the element of a command points to."""

    SRP = 0x01
    MAD = 0x02
    OS400 = 0x03
    AIX = 0x04
    LINUX = 0x05
    MESSAGE = 0x06
    """The status byte is the message."""


class Message(IntEnum):
    """Messages in the status byte."""

    PING = 0xF5
    PING_RESPONSE = 0xF6


_INIT, _INIT_COMPLETE = 0x01, 0x02
_OVERWRITTEN = 0x20
"""Status of a transport event: it took the place of an element, which is lost."""

_MEANINGS: dict[tuple[int, int], Event] = {
    (Header.INITIALIZATION, _INIT): Event.INIT,
    (Header.INITIALIZATION, _INIT_COMPLETE): Event.INIT_COMPLETE,
    (Header.COMMAND, Format.SRP): Event.SRP,
    (Header.COMMAND, Format.MAD): Event.MAD,
    (Header.COMMAND, Format.OS400): Event.MAD,
    (Header.COMMAND, Format.AIX): Event.MAD,
    (Header.COMMAND, Format.LINUX): Event.MAD,
    (Header.TRANSPORT_EVENT, TransportEvent.PARTNER_FAILED): Event.PARTNER_GONE,
    (Header.TRANSPORT_EVENT, TransportEvent.PARTNER_DEREGISTERED): Event.PARTNER_GONE,
    (Header.TRANSPORT_EVENT, TransportEvent.MIGRATED): Event.MIGRATED,
    (Header.TRANSPORT_EVENT, TransportEvent.PREPARE_FOR_SUSPEND): Event.SUSPEND,
    (Header.TRANSPORT_EVENT, TransportEvent.RESUME): Event.RESUME,
}
_MESSAGES: dict[int, Event] = {Message.PING: Event.PING, Message.PING_RESPONSE: Event.PING_RESPONSE}
_WHERE_NOTHING_MAY_BE_LOST = (Event.SUSPEND, Event.RESUME)


def meaning(header: int, format_: int, status: int) -> Event:
    """What an element means to the queue."""
    if header == Header.COMMAND and format_ == Format.MESSAGE:
        return _MESSAGES.get(status, Event.UNKNOWN)
    event = _MEANINGS.get((header, format_), Event.UNKNOWN)
    if status == _OVERWRITTEN and event in _WHERE_NOTHING_MAY_BE_LOST:
        return Event.OVERRUN
    return event


def command_element(format_: Format, length: int, tag: bytes) -> bytes:
    """The element that answers: length of the answer in the client's memory, and the 8 bytes of the tag as they came."""
    return _answer(_COMMAND, format_, 0, 0, length, tag)


srp_element: Callable[[int, bytes], bytes] = partial(_answer, _COMMAND, int(Format.SRP), 0, 0)
"""The same for an SRP information unit, from its length and tag."""


def _element(header: int, format_: int, status: int = 0) -> bytes:
    return FIELDS.pack(header, format_, status, 0, 0, 0)


INIT = _element(Header.INITIALIZATION, _INIT)
INIT_COMPLETE = _element(Header.INITIALIZATION, _INIT_COMPLETE)
PING = _element(Header.COMMAND, Format.MESSAGE, Message.PING)
PING_RESPONSE = _element(Header.COMMAND, Format.MESSAGE, Message.PING_RESPONSE)
